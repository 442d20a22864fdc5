"""Inline schemas that strangers send: the size comes first, and little is kept of them."""

import tracemalloc

import msgspec
import pytest

from lakehouse.core.errors import Refusal
from lakehouse.core.limits import INLINE_DIGESTS_CACHED_MAX, SCHEMA_BYTES_MAX
from lakehouse.engine import inline_kind as inline_kind_module
from lakehouse.engine.inline_kind import inline_kind
from support.sessions import task_of


def kind_of(schema: str, *, system: str | None = None, assert_formats: bool = False) -> str:
    return inline_kind(
        msgspec.Raw(schema.encode()),
        system=system,
        max_iterations=3,
        model="small",
        assert_formats=assert_formats,
    ).digest


def schema_of(size: int) -> str:
    text = '{"description":""}'
    return text[:-2] + "a" * (size - len(text)) + text[-2:]


@pytest.mark.parametrize("size", [SCHEMA_BYTES_MAX + 1, 900_000])
@pytest.mark.parametrize("member", ["description", "enum"])
def test_a_schema_that_is_too_large_is_refused_before_it_is_read(monkeypatch, size, member):
    """No parsing and no digest of it: either would raise here."""

    def never(*_, **__):
        raise AssertionError("read before its size was looked at")

    monkeypatch.setattr(inline_kind_module, "parse", never)
    monkeypatch.setattr(inline_kind_module, "kind_digest", never)
    schema = schema_of(size) if member == "description" else f'{{"enum":[{"1," * (size // 2)}1]}}'
    with pytest.raises(Refusal) as caught:
        task_of(schema=msgspec.Raw(schema.encode()))
    assert caught.value.code == "invalid_schema"
    assert f"{SCHEMA_BYTES_MAX:,}" in caught.value.public


def test_a_schema_of_the_limit_is_taken_whatever_space_stands_between_its_tokens():
    """The limit counts what the schema says."""
    assert kind_of(schema_of(SCHEMA_BYTES_MAX)).startswith("sha256:")
    spaced = schema_of(SCHEMA_BYTES_MAX).replace(":", " : ", 1)
    assert kind_of(spaced) == kind_of(schema_of(SCHEMA_BYTES_MAX))


def test_what_is_kept_of_many_large_requests_is_little():
    """300 schemas of 64 KB with a system text of 200 KB each: 80 MB, of which nothing stays."""
    kind_of("{}")
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(300):
        head = f'{{"title":"{number}","description":"'
        schema = head + "a" * (SCHEMA_BYTES_MAX - len(head) - 2) + '"}'
        kind_of(schema, system=f"{number}" + "b" * 200_000)
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert kept < 1_000_000
    assert len(inline_kind_module._inline_digests) <= INLINE_DIGESTS_CACHED_MAX


def test_alike_requests_have_one_digest_and_others_another():
    """The cache answers for the same schema, system, budget and model only."""
    first = kind_of('{"type":"object"}', system="a")
    assert kind_of('{"type":"object"}', system="a") == first
    assert kind_of('{"type":"object"}', system="b") != first
    assert kind_of('{"type":"array"}', system="a") != first
    assert kind_of('{"type":"object"}', system=None) != first
    assert kind_of('{"type":"object"}', system="a", assert_formats=True) != first
