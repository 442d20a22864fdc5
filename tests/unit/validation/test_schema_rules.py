"""SQL rules at the root of a schema of ours: taken off before it is compiled."""

import json
from typing import Any

import pytest

from lakehouse.core.errors import SetupError
from lakehouse.core.kind import SqlRule
from lakehouse.validation.keywords import idle_keywords
from lakehouse.validation.schema_rules import without_rules

RULE = {"sql": "SELECT $a > 1", "message": "a is small"}


def test_rules_are_taken_off_and_no_other_byte_changes() -> None:
    said = json.dumps(RULE).encode()
    more = b'"maximum":1.50,"$defs":{"x-lakehouse-rules":{}}}'
    bare, rules = without_rules(b'{"type":"object","x-lakehouse-rules":[%b],%b' % (said, more))
    assert bare == b'{"type":"object",' + more
    assert rules == (SqlRule("SELECT $a > 1", "a is small"),)


@pytest.mark.parametrize("raw", [b"true", b'{"type":"object"}', b'{"const":"x-lakehouse-rules"}'])
def test_a_schema_without_rules_is_the_same(raw: bytes) -> None:
    assert without_rules(raw) == (raw, ())


@pytest.mark.parametrize("wrong", [{}, [1], [{"sql": "SELECT 1"}], [{**RULE, "more": 1}], None])
def test_malformed_rules_are_named(wrong: Any) -> None:
    with pytest.raises(SetupError, match="`x-lakehouse-rules`: ") as caught:
        without_rules(json.dumps({"x-lakehouse-rules": wrong}).encode())
    assert caught.value.hint


def test_the_keywords_are_not_taken_for_misspelt_ones() -> None:
    marked = {"x-lakehouse": {"match": "quote"}}
    schema: Any = {"type": "object", "properties": {"a": marked}, "x-lakehouse-rules": []}
    assert idle_keywords(schema) == []
