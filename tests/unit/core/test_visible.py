"""What hides in a text is shown, and what belongs to a word or an emoji stays."""

import pytest

from lakehouse.core.visible import fully_visible


@pytest.mark.parametrize(
    "text",
    [
        "na\u00efve caf\u00e9, line\nand\ttab",
        "\u2764\ufe0f\u200d\U0001f525",  # a heart on fire
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian
        "\u0915\u094d\u200d\u0937",  # Devanagari
        "Vi\u1ec7t e\u0323\u0302",
    ],
)
def test_words_and_emoji_stay_as_they_are(text: str):
    assert fully_visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u200bb", "a\\u200bb"),
        ("a\u200db", "a\\u200db"),
        ("\u0436\u200d", "\u0436\\u200d"),
        ("\u0436\u200d\u200c\u0436", "\u0436\\u200d\\u200c\u0436"),
        ("\U0001f600\ufe0f\ufe00\ufe01", "\U0001f600\ufe0f\\ufe00\\ufe01"),
        ("\U0001f600\u200d\ufe0f", "\U0001f600\\u200d\\ufe0f"),
        ("a\ufe0f", "a\\ufe0f"),
        ("x\U000e0041\u202e", "x\\U000e0041\\u202e"),
        ("e\u0301\u0301\u0301\u0301\u0301", "e\u0301\u0301\u0301\u0301\\u0301"),
    ],
)
def test_what_hides_is_shown_by_its_number(text: str, shown: str):
    """Also chains of joiners and selectors, which can carry a text of their own."""
    assert fully_visible(text) == shown
