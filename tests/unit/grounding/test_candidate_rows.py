"""What a text names of several columns at once, and the quotes that it holds."""

import msgspec
import pytest

from lakehouse.core.kind import GroundingRule
from lakehouse.core.limits import CANDIDATE_ROWS_MAX, CANDIDATES_MAX
from lakehouse.grounding.index import index_numbers, index_texts
from support.candidates import of, ready

# --- Rows ---------------------------------------------------------------------------------------

PAIRED = GroundingRule(path="/iata", column="t.iata", with_={"/city": "t.city"})
AIRPORTS = {
    "t.iata": ready(index_texts(["LHR", "LGW", "ORY", "CDG", "LHR"])),
    "t.city": ready(index_texts(["London", "London", "Paris", "Paris", "Heathrow"])),
}


def rows(text: str, rule: GroundingRule = PAIRED) -> list[tuple[str, list[object], bool]]:
    return [
        (
            msgspec.json.decode(row.main.value),
            [msgspec.json.decode(value) for value in row.values],
            row.joined,
        )
        for row in of(rule, AIRPORTS, text).rows
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LHR in London", [("LHR", ["London"], True)]),
        ("LHR", [("LHR", ["Heathrow"], True), ("LHR", ["London"], True)]),
        ("LHR in Paris", [("LHR", ["Heathrow"], False), ("LHR", ["London"], False)]),
        ("LGW London to ORY Paris", [("LGW", ["London"], True), ("ORY", ["Paris"], True)]),
        ("in London", []),
        ("LGW in Pariss", [("LGW", ["London"], True)]),
    ],
)
def test_with_gives_rows(text: str, expected: list[tuple[str, list[object], bool]]) -> None:
    assert rows(text) == expected


def test_a_null_beside_a_named_value_is_null() -> None:
    columns = {"t.iata": ready(index_texts(["LHR"])), "t.city": ready(index_texts([None]))}
    (row,) = of(PAIRED, columns, "LHR").rows
    assert row.values == (msgspec.Raw(b"null"),)


def test_rows_of_numbers_within_a_tolerance() -> None:
    rule = GroundingRule(
        path="/n", column="t.n", match="within", tolerance=0.5, with_={"/city": "t.city"}
    )
    columns = {
        "t.n": ready(index_numbers([1, 3.25])),
        "t.city": ready(index_texts(["York", "Paris"])),
    }
    (row,) = of(rule, columns, "about 3").rows
    assert (row.main.value, row.values) == (msgspec.Raw(b"3"), (msgspec.Raw(b'"Paris"'),))


def test_rows_beyond_those_looked_at_are_told() -> None:
    count = CANDIDATE_ROWS_MAX + 1
    columns = {
        "t.iata": ready(index_texts(["LHR"] * count)),
        "t.city": ready(index_texts([f"Town {n}" for n in range(count)])),
    }
    found = of(PAIRED, columns, "LHR")
    assert (len(found.rows), found.rows_total, found.complete) == (
        CANDIDATES_MAX,
        CANDIDATE_ROWS_MAX,
        False,
    )
    joined = of(PAIRED, columns, "LHR in Town 7")
    assert [bytes(row.values[0]) for row in joined.rows] == [b'"Town 7"']
    assert joined.complete


# --- Quotes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One here. Two there!", ["One here.", "Two there!"]),
        ("It costs 1.10 now. Yes.", ["It costs 1.10 now.", "Yes."]),
        ("By J. Smith. Done.", ["By J. Smith.", "Done."]),
        ("It is approx. five. Done.", ["It is approx. five.", "Done."]),
        ("Here, there; where", ["Here, there; where", "Here", "there", "where"]),
        ("No. 3: go, now.", ["No.", "3: go, now.", "3", "go, now.", "go", "now."]),
        ("Up - and: " + "x, " * 200 + "x", None),
        ("1,200 seats", ["1,200 seats"]),
        ("一つ。二つ、三つ。", ["一つ。", "二つ、三つ。", "二つ", "三つ。"]),
        ("هل هنا؟ نعم، هنا", ["هل هنا؟", "نعم، هنا", "نعم", "هنا"]),
        ("यह एक है। दो।", ["यह एक है।", "दो।"]),
        ("  one \n\n two  ", ["one", "two"]),
        ('He said "go." Then left.', ['He said "go."', "Then left."]),
        ("... !", []),
        ("", []),
    ],
)
def test_quotes_are_sentences_and_clauses(text: str, expected: list[str] | None) -> None:
    found = of(GroundingRule(path="/q", match="quote"), {}, text).values
    if expected is None:  # the rest behind a dash or colon is too long for a quote
        expected = [text, "Up", "and", "x"]
    assert [msgspec.json.decode(one.value) for one in found] == expected
    assert all(text[one.start : one.end] == msgspec.json.decode(one.value) for one in found)
