"""What may be a part of another name, or another word: only a guess."""

import pytest

from support.candidates import Found, named

YORKS = ["York", "New York", "York City", "New York City"]


@pytest.mark.parametrize(
    ("values", "text", "expected"),
    [
        (["Avon"], "in Stratford-upon-Avon", [("Avon", "?0")]),
        (["Stratford"], "in Stratford-upon-Avon", [("Stratford", "?0")]),
        (["Chester"], "in Man-\nchester", [("Chester", "?0")]),
        (["Man"], "in Man-\r\nchester", [("Man", "?0")]),
        (["York"], "by road -\nYork is near", [("York", "=")]),
        (["York", "Paris"], "York-\n\nParis -", [("York", "="), ("Paris", "=")]),
        # Signs that are not seen, and those of HTML
        (["Chester"], "in Man\u00adchester", [("Chester", "?0")]),
        (["Man"], "in Man\u200bchester", [("Man", "?0")]),
        (["York"], "in \u200bYork\ufeff.", [("York", "=")]),
        (["กรุงเทพ"], "ไป\u200bกรุงเทพ\u200bวันนี้", [("กรุงเทพ", "=")]),
        (["York"], "in New&nbsp;York", [("York", "?0")]),
        (["York"], "in London;York", [("York", "=")]),
    ],
)
def test_a_part_of_a_name_is_a_guess(values: list[str], text: str, expected: Found) -> None:
    assert named(values, text) == expected


@pytest.mark.parametrize(
    ("values", "text", "expected"),
    [
        (YORKS, "in Neew York", [("New York", "?1"), ("York", "=")]),
        (["York", "North York"], "in Nrth York", [("North York", "?1"), ("York", "=")]),
        (["york", "north york"], "in nrth york", [("north york", "?1"), ("york", "=")]),
        (["London", "New London"], "from LGW London", [("London", "=")]),
        (["Angeles", "Los Angeles"], "Los, Angeles", [("Angeles", "=")]),
        (["Jean", "Jean-Pierre"], "Jean-Piere", [("Jean-Pierre", "?1"), ("Jean", "?0")]),
        (
            ["Bay", "San Francisco Bay"],
            "San Fransisco Bay",
            [("San Francisco Bay", "?1"), ("Bay", "=")],
        ),
    ],
)
def test_a_misspelled_longer_name_stands_beside_the_named_one(
    values: list[str], text: str, expected: Found
) -> None:
    assert named(values, text) == expected


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("A flight is late", "?0"),
        ("It rains. A flight is late", "?0"),
        ("Terminal A is closed", "="),
        ("A: closed", "="),
        ("A", "="),
    ],
)
def test_a_letter_that_begins_a_sentence_may_be_an_article(text: str, mark: str) -> None:
    assert named(["A", "B"], text) == [("A", mark)]
