"""Patterns are RE2: what is accepted, what is refused by name, and what they match."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core.errors import Refusal
from lakehouse.core.json_text import dumps
from lakehouse.validation.patterns import PatternError, to_engine
from lakehouse.validation.schema import compile_schema


def matches(pattern: str, text: str) -> bool:
    return compile_schema(dumps({"pattern": pattern}).encode()).accepts(text)


# The answers are RE2's: checked once against google-re2 1.1, with 120,000 random patterns beside.
@pytest.mark.parametrize(
    ("pattern", "text", "wanted"),
    [
        (r"^\d+$", "12", True),
        (r"^\d+$", "\u0661", False),
        (r"^\w$", "é", False),
        (r"^\W$", "é", True),
        (r"^\s$", "\u00a0", False),
        (r"^\s$", "\v", False),
        (r"^\S$", "\v", True),
        (r"é\b", "é", False),
        (r"é\B", "é", True),
        (r"^[[:alpha:]]+$", "ab", True),
        (r"^[[:^alpha:]]$", "a", False),
        (r"^[[a]$", "[", True),
        (r"^[a&&b]$", "&", True),
        (r"^[]a]$", "]", True),
        (r"^[^]a]$", "b", True),
        (r"^[a-]$", "-", True),
        (r"^[\w-z]$", "-", True),
        (r"^[\D]$", "5", False),
        (r"^{$", "{", True),
        (r"^a{,3}$", "a{,3}", True),
        (r"^a{2}$", "aa", True),
        (r"^a{1,3}?$", "aa", True),
        (r"\Qa.b\E", "a.b", True),
        (r"\Qa.b", "axb", False),
        (r"\x41\x{e9}", "Aé", True),
        (r"^\07\012$", "\a\n", True),
        (r"^\pN\p{Greek}\P{Lu}\p{^Lu}$", "1αaa", True),
        (r"(?i)É", "é", True),
        (r"(?P<n>a)(?<m>b)(?:c)", "abc", True),
        (r"(?s)^.$", "\n", True),
        (r"^.$", "\n", False),
        (r"(?m)^b$", "a\nb", True),
        (r"a$", "a\n", False),
        (r"^a\z", "a", True),
        (r"\<\/\-\_", "</-_", True),
        ("ab", "xaby", True),
        ("", "x", True),
        ("(a{500}){2}", "x", False),
        ("(a{500}){1}b{3}", "x", False),
        ("(a{600}){0}b", "b", True),
        ("(a{600}){0,1}b", "b", True),
        ("((a{10}){10}){10}", "x", False),
        ("(a{500})*(a{500})+(a{500})?(a{501}|b){1}", "x", False),
        ("(?i)a{500}(b)", "x", False),
    ],
)
def test_a_pattern_matches_as_re2_says(pattern, text, wanted):
    """Whatever dialect the engine below speaks."""
    assert matches(pattern, text) is wanted


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        ("(?=a)", "look-ahead"),
        ("(?!a)", "look-ahead"),
        ("(?<=a)b", "look-behind"),
        ("(?<!a)b", "look-behind"),
        (r"(a)\1", "backreference"),
        (r"(?P<n>a)(?P=n)", "backreference"),
        (r"(?<n>a)\k<n>", "backreference"),
        ("(?>a)", "atomic"),
        ("(?#c)", "comment"),
        ("(?x)a b", "(?x)"),
        ("a++", "repetition of a repetition"),
        ("a**", "repetition of a repetition"),
        ("a{1001}", "1000"),
        ("(a{500}){3}", "1000"),
        ("(a{2}b{20}){51}", "1000"),
        ("(?:(a{10}|b){10}c){11}", "1000"),
        ("(?P<n>a{2,}){501}", "1000"),
        ("((a{600}){0}){2}", "1000"),
        ("(a{1001}){1}", "1000"),
        (r"\u0041", r"\x{"),
        (r"\cA", r"\c"),
        (r"\Z", r"\Z"),
        (r"\C", r"\C"),
        (r"\p{Script=Greek}", "Script=Greek"),
        ("[[:foo:]]", "foo"),
        ("[z-a]", "range"),
        (r"[a-\d]", r"\d"),
        ("[a", "unclosed"),
        ("[a-", "unclosed"),
        ("a\\", "backslash"),
        (r"\x{110000}", "10FFFF"),
    ],
)
def test_what_is_not_re2_is_refused_by_name(pattern, named):
    """A 400 that says what is wrong with the pattern."""
    with pytest.raises(PatternError) as refused:
        to_engine(pattern)
    assert named in str(refused.value)


@pytest.mark.parametrize(
    "pattern",
    ["(?=a)", "((a{1,1000}){1,1000})", "(a", "a)", "*a", "x" * 257, r"\p{Nope}", r"\p{Letter}"],
)
@pytest.mark.parametrize("place", ["pattern", "patternProperties"])
def test_a_refusal_names_the_pattern_and_its_place(pattern, place):
    """Found by the reader, too long, or refused by the engine: all alike."""
    holder = {"pattern": pattern} if place == "pattern" else {"patternProperties": {pattern: {}}}
    with pytest.raises(Refusal) as refused:
        compile_schema(dumps({"properties": {"x": holder}}).encode())
    assert refused.value.code == "invalid_schema"
    assert f"/properties/x/{place}" in refused.value.public
    assert pattern in refused.value.public or "257 characters" in refused.value.public


@given(st.text(st.sampled_from(list("ab1^$.|()[]{}*+?\\-:,dwspPQEx<>=!é "))))
def test_any_text_is_accepted_or_refused_and_nothing_else(pattern):
    """No pattern crashes the reader or the engine."""
    with suppress(Refusal):
        assert matches(pattern, "ab1") in {True, False}
