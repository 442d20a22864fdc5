"""Compiled schemas that are kept: the ones asked for last, bounded in bytes."""

import json

import pytest

from lakehouse.core.errors import Refusal
from lakehouse.validation.schema import SchemaCache


def test_the_cache_keeps_the_schemas_asked_for_last():
    """By count, the one not asked for longest goes first; equal bytes give the same object."""
    cache = SchemaCache(count_max=2)
    first = cache.get(b'{"const":1}')
    cache.get(b'{"const":2}')
    assert cache.get(b'{"const":1}') is first
    cache.get(b'{"const":3}')
    assert len(cache) == 2
    assert cache.get(b'{"const":1}') is first
    assert len(cache) == 2


def test_the_cache_is_bounded_in_bytes_too():
    """Callers who send their own large schemas do not fill the memory."""
    cache = SchemaCache(bytes_max=1 << 20)
    for number in range(20):
        cache.get(json.dumps({"const": number, "title": "x" * 20_000}).encode())
    assert 1 <= len(cache) <= 4


def test_a_refused_schema_is_not_kept():
    """The next caller gets the same refusal."""
    cache = SchemaCache()
    for _ in range(2):
        with pytest.raises(Refusal):
            cache.get(b"{")
    assert len(cache) == 0
