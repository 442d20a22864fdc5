"""Simple case folding: one code point to one, and nothing else."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core.folding import fold


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("ẞ", "ß"),
        ("Σ", "ς"),
        ("σ", "ς"),
        ("ſ", "S"),
        ("K", "k"),  # KELVIN SIGN
        ("µ", "μ"),  # MICRO SIGN, Greek mu
        ("ᾈ", "ᾀ"),
        ("ﬅ", "ﬆ"),  # joined in Unicode 15.1, later than Python 3.11's tables
        ("\N{CHEROKEE SMALL LETTER A}", "\N{CHEROKEE LETTER A}"),
        ("\U00016ea0", "\U00016ebb"),  # a letter of Unicode 17
        ("ZÜRICH", "zürich"),
        ("ǅ", "Ǆ"),
    ],
)
def test_letters_that_differ_only_in_case_meet(left: str, right: str) -> None:
    assert fold(left) == fold(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("ß", "ss"),  # full folding only
        ("İ", "i"),  # Turkic and full folding only
        ("İ", "i̇"),
        ("ı", "i"),
        ("ﬁ", "fi"),
        ("\u00e9", "e\u0301"),  # composed and decomposed: nothing is normalized
        ("a", "á"),
    ],
)
def test_full_folding_turkic_letters_and_normalization_play_no_part(left: str, right: str) -> None:
    assert fold(left) != fold(right)


@given(st.text())
def test_folding_keeps_the_length_and_is_done_at_once(text: str) -> None:
    folded = fold(text)
    assert len(folded) == len(text)
    assert fold(folded) == folded


def test_agrees_with_python_wherever_python_folds_one_to_one() -> None:
    """Every assigned letter of this Python's Unicode that `str.casefold` keeps at length one."""
    for point in range(0x110000):
        letter = chr(point)
        if unicodedata.category(letter) in {"Cn", "Cs"} or len(letter.casefold()) != 1:
            continue
        if letter not in "\u1c89\ua7cb\ua7cc\ua7da\ua7dc":  # assigned later than Unicode 14
            assert fold(letter) == letter.casefold(), hex(point)
