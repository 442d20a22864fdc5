"""Patterns that begin with look-ahead mean the same without it."""

import json
import random
import re
from decimal import Decimal

import pytest

from lakehouse.core.errors import Refusal
from lakehouse.openai_api.look_ahead import without_look_ahead
from lakehouse.validation.schema import CompiledSchema, compile_schema

# Zod 4: `z.email()` and `z.hostname()`.
EMAIL = (
    r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+"
    r"[A-Za-z]{2,}$"
)
HOSTNAME = (
    r"^(?=.{1,253}\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[-0-9a-zA-Z]{0,61}[0-9a-zA-Z])?)*\.?$"
)
DECIMAL = r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"  # Pydantic before 2.14
CENTS = r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d{0,2}0*$"
PASSWORD = r"^(?=.*[A-Z])(?=.*\d)(?!.*[)(\]]).{4,}$"


def compiled(pattern: str, **more: object) -> CompiledSchema:
    raw = json.dumps({"properties": {"v": {"type": "string", "pattern": pattern, **more}}})
    return compile_schema(without_look_ahead(raw.encode()))


def takes(schema: CompiledSchema, text: str) -> bool:
    return schema.accepts({"v": text})


@pytest.mark.parametrize(
    ("pattern", "seeds"),
    [
        (EMAIL, ["a.b@example.org", ".a@example.org", "a..b@example.org", "a@b"]),
        (HOSTNAME, ["example.org", "-a", "a." * 127, "a." * 125 + "a"]),
        (DECIMAL, ["1.5", "-", "+.5", "", "00.", "1e5", "12,5", "-.", "++1"]),
        (CENTS, ["1.50", "1.505", "-1.5000", "12.345", "."]),
        (PASSWORD, ["Abc1", "abc1", "ABC1(", "A1]]", "A1bcdef"]),
    ],
)
def test_the_same_texts_match(pattern: str, seeds: list[str]) -> None:
    chance, schema = random.Random(1), compiled(pattern)
    found = set()
    for _ in range(3_000):
        text = list(chance.choice(seeds))
        for _ in range(chance.randrange(3)):
            at = chance.randrange(len(text) + 1)
            text[at : at + chance.randrange(2)] = chance.choice(".-+@aA01_(] ")
        word = "".join(text)
        found.add(takes(schema, word))
        assert takes(schema, word) == (re.search(pattern, word) is not None), word
    assert found == {True, False}


@pytest.mark.parametrize(
    ("pattern", "digits", "places"),
    [
        (
            r"^(?!^[-+.]*$)[+-]?0*(?:\d{0,3}|(?=[\d.]{1,6}0*$)\d{0,3}\.\d{0,2}0*$)",
            5,
            2,
        ),
        (r"^(?!^[-+.]*$)[+-]?0*(?:\d{0,4}|(?=[\d.]{1,5}0*$)\d*\.\d*0*$)", 4, None),
    ],
)
def test_decimals_with_a_count_of_digits(pattern: str, digits: int, places: int | None) -> None:
    """`Decimal(max_digits=…)` of Pydantic before 2.14, whose own pattern takes any text."""
    assert re.search(pattern, "12 apples")
    chance, schema = random.Random(1), compiled(pattern)
    found = set()
    for _ in range(3_000):
        text = "".join(chance.choice("0123.-") for _ in range(chance.randrange(1, 8)))
        if not re.fullmatch(r"-?(?:\d+\.?\d*|\.\d+)", text):
            assert not takes(schema, text)
            continue
        number = Decimal(text).normalize().as_tuple()
        exponent = number.exponent
        assert isinstance(exponent, int)
        whole = max(len(number.digits) + exponent, 0) if any(number.digits) else 0
        after = max(-exponent, 0)
        fits = whole + after <= digits and (places is None or after <= places)
        if places is not None:
            fits = fits and whole <= digits - places
        found.add(fits)
        assert takes(schema, text) == fits, text
    assert found == {True, False}


def test_what_stands_beside_the_pattern_stays() -> None:
    schema = compiled(PASSWORD, maxLength=5, allOf=[{"pattern": "1$"}])
    assert takes(schema, "Abc1")
    assert not takes(schema, "Abc1d")
    assert not takes(schema, "Abcd1e")


@pytest.mark.parametrize(
    "pattern",
    [
        "a(?=b)",  # not at the start
        "(?=b)a",  # of any place in the text
        "^(?!a)b|c",  # of one branch only
        "^(?<!a)b",
        "^(?=a",
    ],
)
def test_look_ahead_elsewhere_is_refused(pattern: str) -> None:
    with pytest.raises(Refusal, match="pattern"):
        compiled(pattern)


def test_a_schema_without_look_ahead_keeps_its_bytes() -> None:
    raw = b'{ "pattern" : "^a$", "minimum": 1.10 }'
    assert without_look_ahead(raw) is raw
    constant = b'{"const":{"pattern":"^(?!a)b"}}'
    assert without_look_ahead(constant) == constant


def test_a_value_that_is_no_text_is_not_refused_by_a_pattern() -> None:
    raw = json.dumps({"type": ["string", "null"], "pattern": r"^(?!\.)(?=.*a)."}).encode()
    schema = compile_schema(without_look_ahead(raw))

    assert schema.accepts(None)
    assert schema.accepts("ba")
    assert not schema.accepts(".a")
    assert not schema.accepts("b")


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(?=a)?b",  # the condition may fail
        r"^(?!^[-+.]*$)[+-]?0*(?:\d{0,0}|(?=[\d.]{1,3}0*$)\d{0,0}\.\d{0,4}0*$)",  # 2 of 4 digits
    ],
)
def test_what_would_mean_something_else_is_refused(pattern: str) -> None:
    with pytest.raises(Refusal):
        compiled(pattern)
