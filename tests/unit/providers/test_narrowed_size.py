"""From which number of values on a model is not sent a narrowed schema."""

import json
import logging

import msgspec
import pytest

from lakehouse.core.schema_weight import SchemaWeight
from lakehouse.providers.narrowed_size import NarrowedSize
from support.offered_calls import narrowed


def schema(values: int) -> msgspec.Raw:
    return msgspec.Raw(narrowed(values))


def size() -> NarrowedSize:
    return NarrowedSize("m", lambda: 1.0)


def test_the_smallest_that_was_refused_counts(caplog: pytest.LogCaptureFixture) -> None:
    """And the operator is told of the first only."""
    caplog.set_level(logging.WARNING)
    found = size()
    for values in (90, 50):
        found.refused(schema(values), "It said so.", sure=True)
    assert [found.takes(schema(values)) for values in (49, 50, 90)] == [True, False, False]
    [record] = caplog.records
    for word in ("'m'", "90 values", "60 minutes", "enum_values_max", "It said so."):
        assert word in record.getMessage()


def test_a_long_text_in_a_schema_does_not_switch_off_short_ones() -> None:
    """Of the schema of one session only what is as large in both ways is kept from the others."""
    found = size()
    long = msgspec.Raw(b'{"enum":["%b"]}' % (b"x" * 60_000))
    found.refused(long, "Too long.", sure=True)
    assert not found.takes(long)
    assert found.takes(schema(9))
    found.refused(schema(90), "Too many.", sure=True)
    assert [found.takes(one) for one in (long, schema(89), schema(90))] == [False, True, False]


@pytest.mark.parametrize(
    ("refused", "taken", "takes"),
    [
        ([9], None, True),
        ([9, 9], None, False),
        ([9, 12], None, True),
        ([9, 12, 9], None, False),
        ([9, 5], None, True),
        ([9, 5, 6], None, False),
        ([9, 9], 9, True),
        ([9, 9], 8, False),
    ],
)
def test_a_failure_that_may_have_another_cause_counts_when_it_comes_again(
    refused: list[int], taken: int | None, takes: bool
) -> None:
    """At that size or a larger one, and no schema so large was accepted between."""
    found = size()
    *before, last = refused
    for values in before:
        found.refused(schema(values), "", sure=False)
    if taken is not None:
        found.taken(schema(taken))
    found.refused(schema(last), "", sure=False)
    assert found.takes(schema(9)) is takes


def test_values_are_counted_as_limits_count_them() -> None:
    """Every `enum` and `const`, wherever it stands."""
    every = b'{"anyOf":[{"const":1},{"enum":[1,2]}],"properties":{"a":{"items":{"enum":["x"]}}}}'
    assert SchemaWeight.of(json.loads(every)).values == 4
    assert SchemaWeight.of(json.loads(bytes(schema(9)))).values == 9
    assert SchemaWeight.of(True).values == 0
