"""A session as Python sees it, whatever the model wrote."""

import dataclasses
from decimal import Decimal

import pytest

import lakehouse
from lakehouse.testing import scripted

HUGE = '{"price":1e400}'


@dataclasses.dataclass
class Offer:
    price: float


def test_a_number_that_is_no_double_is_a_finding_and_no_crash():
    with scripted([HUGE]) as lake, pytest.raises(lakehouse.Exhausted) as caught:
        lake.create(Offer, "How much?", max_retries=0)

    [finding] = caught.value.findings
    assert (finding.path, finding.got) == ("/price", Decimal("1e400"))
    assert caught.value.artifact == {"price": Decimal("1e400")}
    assert str(caught.value).endswith("/price: Number out of range")


def test_one_such_number_does_not_end_many_calls():
    with scripted([HUGE, {"price": 1.5}]) as lake:
        outcomes = list(lake.create_many(Offer, ["a", "b"], concurrency=1, max_retries=0))

    assert [outcome.ok for outcome in outcomes] == [False, True]
    assert outcomes[1].value == Offer(1.5)
    assert outcomes[1].session is not None
    assert type(outcomes[1].session.artifact["price"]) is float
