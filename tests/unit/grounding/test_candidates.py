"""What a text names of a table: pairs of a text and its candidates."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core.errors import TableUnavailable
from lakehouse.core.kind import GroundingRule
from lakehouse.core.limits import CANDIDATES_CHARS_MAX, CANDIDATES_MAX
from lakehouse.grounding.arrow import index_arrow
from lakehouse.grounding.candidates import named_in
from lakehouse.grounding.index import index_booleans, index_numbers, index_texts
from lakehouse.grounding.near_keys import NEAR_SHARED_MAX
from lakehouse.grounding.tokens import Reading, is_unspaced, key_of
from support.candidates import CITY, Found, named, of, ready

YORKS = ["York", "New York", "York City", "New York City"]
CODES = ["ARE", "CAN", "LHR", "ZRH", "EGLL"]
TRIPLE = [
    # A value inside another
    (YORKS, "He flew to New York.", [("New York", "=")]),
    (YORKS, "He flew to York.", [("York", "=")]),
    (YORKS, "York and New York", [("York", "="), ("New York", "=")]),
    (YORKS, "New York City", [("New York City", "=")]),
    (YORKS, "new york city", [("New York City", "~")]),
    (["York", "new york"], "New York", [("new york", "~")]),
    (["York", "Old York"], "New York", [("York", "=")]),
    (["A B", "B C"], "A B C", [("A B", "="), ("B C", "=")]),
    # Whole words only
    (["York"], "Yorkshire", []),
    (["York"], "NewYork", []),
    (["port"], "airports and reports", []),
    (["York"], "(York), York; York!", [("York", "=")]),
    (["York"], '"York"', [("York", "=")]),
    (["York"], "York/London", [("York", "=")]),
    (["example"], "see example.com", [("example", "?0")]),
    (["name"], "the first_name field", [("name", "?0")]),
    (["York"], "it ended in York.Then", [("York", "?0")]),
    # Case
    (["Alimentum"], "ALIMENTUM", [("Alimentum", "~")]),
    (["Alimentum"], "alimentum", [("Alimentum", "~")]),
    (["York", "YORK"], "York", [("York", "=")]),
    (["York", "YORK"], "york", [("YORK", "~"), ("York", "~")]),
    (["Σίσυφος"], "ΣΊΣΥΦΟΣ", [("Σίσυφος", "~")]),
    (["Москва"], "МОСКВА", [("Москва", "~")]),
    (["STRAßE"], "straße", [("STRAßE", "~")]),
    # Codes that are words
    (CODES, "You are here and can go.", []),
    (CODES, "Are you here? Can you go?", []),
    (CODES, "From ARE to CAN", [("ARE", "="), ("CAN", "=")]),
    (CODES, "Can he land at LHR?", [("LHR", "=")]),
    (CODES, "zrh", []),
    (CODES, "LHR-ZRH", [("LHR", "="), ("ZRH", "=")]),
    (CODES, "egll", []),
    (["Rome", "London", "Paris", "ROME", "Zürich"], "rome", [("ROME", "~"), ("Rome", "~")]),
    (["MOD-1"], "mod-1", [("MOD-1", "~")]),
    # Diacritics
    (["Zürich"], "Zürich", [("Zürich", "=")]),
    (["Zürich"], "ZÜRICH", [("Zürich", "~")]),
    (["Zürich"], "Zu\u0308rich", [("Zürich", "~")]),
    (["Zu\u0308rich"], "Zürich", [("Zu\u0308rich", "~")]),
    (["Zürich"], "Zurich", [("Zürich", "?1")]),
    (["Zurich"], "Zürich", [("Zurich", "?1")]),
    (["São Paulo"], "Sao Paulo", [("São Paulo", "?1")]),
    (["Zu"], "Zu\u0308rich", []),
    # Hyphens
    (["Saint-Denis"], "in Saint-Denis", [("Saint-Denis", "=")]),
    (["Saint-Denis"], "in Saint\u2011Denis", [("Saint-Denis", "~")]),
    (["Winston-Salem"], "Winston–Salem", [("Winston-Salem", "~")]),
    (["Saint-Denis"], "in Saint Denis", [("Saint-Denis", "?1")]),
    (["Denis", "Saint-Denis"], "Saint-Denis", [("Saint-Denis", "=")]),
    (["Jean"], "Jean-Pierre", [("Jean", "?0")]),
    (["York"], "a York-based firm", [("York", "=")]),
    (["Paris"], "an ex-Paris firm", [("Paris", "=")]),
    (["vegetarian"], "non-vegetarian", [("vegetarian", "?0")]),
    (["Paris", "London"], "London–Paris", [("London", "="), ("Paris", "=")]),
    # Apostrophes
    (["O'Hare"], "at O'Hare", [("O'Hare", "=")]),
    (["O'Hare"], "at O’Hare", [("O'Hare", "~")]),
    (["Hare"], "at O'Hare", [("Hare", "?0")]),
    (["Heathrow"], "Heathrow's runway", [("Heathrow", "=")]),
    (["Orly"], "près d'Orly", [("Orly", "=")]),
    (["Aquila"], "L'Aquila", [("Aquila", "?0")]),
    (["Wendy's"], "at Wendy's", [("Wendy's", "=")]),
    (["Wendy's"], "at Wendys", [("Wendy's", "?1")]),
    # Scripts without spaces, and others
    (["東京", "京都"], "東京へ行く", [("東京", "=")]),
    (["東京", "東京都"], "東京都に住む", [("東京都", "=")]),
    (["東京", "京都"], "京都と東京", [("京都", "="), ("東京", "=")]),
    (["京"], "東京", []),
    (["京"], "京 is short", [("京", "=")]),
    (["東京2020"], "祝東京2020大会", [("東京2020", "=")]),
    (["กรุงเทพ"], "ไปกรุงเทพวันนี้", [("กรุงเทพ", "=")]),
    (["서울"], "서울에서", [("서울", "=")]),
    (["서울"], "동서울", []),
    (["मुंबई"], "वह मुंबई में है", [("मुंबई", "=")]),
    (["القاهرة"], "في القاهرة، مصر", [("القاهرة", "=")]),
    # Plural and near
    (["Bar"], "two bars", []),
    (["Cathedral"], "Cathedrals", [("Cathedral", "?1")]),
    (["Alimentum"], "Alimentumm", [("Alimentum", "?1")]),
    (["Alimentum"], "Alimnetum", [("Alimentum", "?2")]),
    (["Alimentum"], "Almntm", []),
    (["Cotto"], "Coto", [("Cotto", "?1")]),
    (["Cot"], "Cit", []),
    (["Zizzi"], "Zuzzu", []),
    (["Cotto", "Coto"], "Coto", [("Coto", "=")]),
    (["San Francisco"], "San Fransisco", [("San Francisco", "?1")]),
    (["Newyork"], "New York", [("Newyork", "?1")]),
    # White space, signs, none
    (["New York"], "New\nYork", [("New York", "~")]),
    (["New York"], "New\u00a0York", [("New York", "~")]),
    (["C", "C++", "C#"], "C++ and C#", [("C++", "="), ("C#", "=")]),
    (["C"], "C++", [("C", "?0")]),
    (["£20-25", "20"], "it costs £20-25", [("£20-25", "=")]),
    (["£££", "££"], "it is £££.", [("£££", "=")]),
    ([" York "], "in York", [(" York ", "=")]),
    (["", " "], "a ? b", []),
    (YORKS, "nothing here", []),
    (YORKS, "", []),
    ([], "York", []),
    # Numbers and dates as texts
    (["200"], "1,200", []),
    (["200"], "1,200 and 200", [("200", "=")]),
    (["5"], "-5", []),
    (["2024-05-01"], "on 2024-05-01.", [("2024-05-01", "=")]),
    (["10"], "10.5", []),
    (["A320"], "an A320, an a320", [("A320", "=")]),
]


@pytest.mark.parametrize(("values", "text", "expected"), TRIPLE)
def test_a_text_names_these_values(values: list[str], text: str, expected: Found) -> None:
    assert named(values, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Staff may park here", [("May", "?0")]),
        ("He lives in May", [("May", "=")]),
        ("HE LIVES IN MAY", [("May", "~")]),
        ("he lives in may", [("May", "~")]),
        ("He lives in town 7", [("Town 7", "~")]),
    ],
)
def test_a_word_of_a_large_column_may_be_another_in_lower_case(text: str, expected: Found) -> None:
    assert named(["May", *(f"Town {n}" for n in range(300))], text) == expected
    assert named(["May"], "Staff may park here") == [("May", "~")]


def test_a_value_stands_where_it_is_named_best_and_first() -> None:
    column = {"t.city": ready(index_texts(["York", "Paris"]))}
    found = of(CITY, column, "YORK, Paris", "York, York").values
    assert [(one.value, one.source, one.start, one.end) for one in found] == [
        (msgspec.Raw(b'"Paris"'), 0, 6, 11),
        (msgspec.Raw(b'"York"'), 1, 0, 4),
    ]


# --- Numbers, dates -----------------------------------------------------------------------------


def numbers(cells: Sequence[int | float | Decimal], text: str) -> Found:
    found = of(CITY, {"t.city": ready(index_numbers(cells))}, text).values
    return [(bytes(one.value).decode(), one.spelling) for one in found]


@pytest.mark.parametrize(
    ("cells", "text", "expected"),
    [
        ([1200], "1,200 seats", [("1200", "exact")]),
        ([1200], "1'200 seats", [("1200", "exact")]),
        ([1200], "1 200 seats", [("1200", "exact")]),
        ([1, 200], "1 200 seats", [("1", "folded"), ("200", "exact")]),
        ([1200], "1.200 Plätze", [("1200", "folded")]),
        ([1200, 200], "1 200", [("1200", "exact")]),
        ([1.2, 1200], "1.200", [("1.2", "exact")]),
        ([1.1], "1.10", [("1.1", "exact")]),
        ([3.5], "3,5 km", [("3.5", "exact")]),
        ([1200.5], "1.200,50", [("1200.5", "exact")]),
        ([-5, 5], "-5", [("-5", "exact")]),
        ([-5], "\u22125", [("-5", "exact")]),
        ([20, 25, -25], "20-25", [("20", "exact"), ("25", "exact")]),
        ([320], "A320", []),
        ([1.2, 2.3, 3], "1.2.3", []),
        ([5], "5km, 5%", [("5", "exact")]),
        ([14, 0, 30], "at 14:00 or 14:30", []),
        ([2024, 5, 1], "2024-05-01 or 1/5/2024", []),
        ([19], "COVID-19", []),
        ([3], "3: three, and/or 3", [("3", "exact")]),
        ([20], "£20.", [("20", "exact")]),
        ([2000], "2e3", [("2000", "exact")]),
        ([0.5], ".5", [("0.5", "exact")]),
        ([Decimal("0.10")], "0.1", [("0.10", "exact")]),
        ([7], "none, seven", []),
    ],
)
def test_a_text_names_these_numbers(cells: list[float], text: str, expected: Found) -> None:
    assert numbers(cells, text) == expected


@pytest.mark.parametrize(
    ("cells", "type_", "text", "expected"),
    [
        (["2024-05-01"], pa.date32(), "On 2024-05-01, not 2024-05-02", ["2024-05-01"]),
        (["2024-05-01"], pa.date32(), "12024-05-01", []),
        (["2024-05-01T08:30"], pa.timestamp("s"), "at 2024-05-01 08:30.", ["2024-05-01T08:30:00"]),
        (
            ["2024-05-01T08:30"],
            pa.timestamp("s", "UTC"),
            "at 2024-05-01T10:30+02:00",
            ["2024-05-01T08:30:00Z"],
        ),
        (["2024-05-01T08:30"], pa.timestamp("s", "UTC"), "at 2024-05-01T08:30", []),
    ],
)
def test_a_text_names_these_dates(
    cells: list[str], type_: object, text: str, expected: list[str]
) -> None:
    column = ready(index_arrow(pa.array(cells).cast(pa.timestamp("s")).cast(type_)))
    found = of(CITY, {"t.city": column}, text).values
    assert [msgspec.json.decode(one.value) for one in found] == expected


def test_a_column_of_booleans_is_named_by_nothing_which_rules_nothing_out() -> None:
    found = of(CITY, {"t.city": ready(index_booleans([True, False]))}, "true or false")
    assert (found.total, found.complete) == (0, False)
    assert of(CITY, {"t.city": ready(index_texts(["x"]))}, "true or false").complete


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,200 and -5", ["1200", "1.2", "-5"]),
        ("1.10 then 1.1", ["1.1"]),
        ("none", []),
        ("007", ["7"]),
        ("1e999 or 1e-999", []),
        ("-0", ["0"]),
    ],
)
def test_within_takes_the_numbers_that_the_text_writes(text: str, expected: list[str]) -> None:
    rule = GroundingRule(path="/n", column="t.n", match="within", tolerance=0.5)
    found = of(rule, {"t.n": ready(index_numbers([3]))}, text).values
    assert sorted(bytes(one.value).decode() for one in found) == sorted(expected)


# --- Bounds -------------------------------------------------------------------------------------


def test_values_are_capped_and_their_total_is_known() -> None:
    values = [f"Town{n}x" for n in range(CANDIDATES_MAX + 5)]
    found = of(CITY, {"t.city": ready(index_texts(values))}, " ".join(["Townx", *values]))
    assert len(found.values) == CANDIDATES_MAX
    assert found.total >= CANDIDATES_MAX + 5
    assert {one.spelling for one in found.values} == {"exact"}


def test_a_text_that_is_too_long_is_not_complete() -> None:
    column = {"t.city": ready(index_texts(["York"]))}
    found = of(CITY, column, "x " * (CANDIDATES_CHARS_MAX // 2), "York")
    assert (found.total, found.complete) == (0, False)


def test_a_part_that_many_values_share_is_passed_over() -> None:
    values = [f"Aaaa{n:04}" for n in range(1000, 1000 + 2 * NEAR_SHARED_MAX)]
    assert named(values, "Aaaa") == []


def test_an_unknown_column_is_an_outage() -> None:
    with pytest.raises(TableUnavailable):
        of(CITY, {}, "York")


# --- Properties ---------------------------------------------------------------------------------

WORDS = st.text(st.sampled_from("abAB é'-.\u0308東京1 "), min_size=1, max_size=6)


@given(values=st.lists(WORDS, max_size=8), text=st.lists(WORDS, max_size=10).map(" ".join))
def test_what_is_named_stands_in_the_text_and_in_the_column(values: list[str], text: str) -> None:
    column = {"t.city": ready(index_texts(values))}
    found = of(CITY, column, text)
    shuffled = of(CITY, {"t.city": ready(index_texts(values[::-1]))}, text)
    assert found == shuffled
    places = [(one.source, one.start, -one.end, bytes(one.value)) for one in found.values]
    assert places == sorted(places)
    for one in found.values:
        value = msgspec.json.decode(one.value)
        assert value in values
        there = text[one.start : one.end]
        if one.spelling == "exact":
            assert there == value.strip()
        elif one.spelling == "folded":
            assert key_of(there) == key_of(value.strip())
    sure = [one for one in found.values if one.spelling != "near"]
    for one in sure:
        assert not any(
            other.start <= one.start
            and one.end <= other.end
            and other.end - other.start > one.end - one.start
            for other in sure
        )


@given(text=st.text() | st.text(st.sampled_from("abAB é'-.\u0308東1\n "), max_size=30))
def test_a_text_is_read_token_by_token(text: str) -> None:
    """At once for the whole text, with the keys that its parts have alone."""
    reading = Reading(text)
    places = list(zip(reading.starts, reading.ends, strict=True))
    assert reading.words == [key_of(text[start:end]) for start, end in places]
    assert reading.names() == [
        (start, end)
        for start, end in places
        if not text[start:end].islower()
        and not text[start:end].isdigit()
        and not is_unspaced(text[start])
    ]
    for start, end in zip(reading.starts, reading.ends[1:], strict=False):
        assert reading.key(start, end) == key_of(text[start:end])


@given(values=st.lists(WORDS, max_size=8), text=st.lists(WORDS, max_size=10).map(" ".join))
def test_what_is_sure_is_found_without_what_is_near(values: list[str], text: str) -> None:
    column = ready(index_texts(values))
    every = named_in(column, Reading(text))
    sure = named_in(column, Reading(text), near=False)
    assert sure == [one for one in every if one.spelling != "near"]


@given(word=st.text(st.sampled_from("abcdeé"), min_size=4, max_size=14), data=st.data())
def test_a_name_one_edit_away_is_near(word: str, data: st.DataObject) -> None:
    value = word.capitalize()
    at = data.draw(st.integers(1, len(value)))
    typed = data.draw(
        st.sampled_from([value[:at] + "z" + value[at:], value[: at - 1] + "Z" + value[at:]])
    )
    ((name, mark),) = named([value], f"in {typed} now")
    assert (name, mark) == (value, "?1")


@given(values=st.lists(st.text(max_size=12), max_size=6), text=st.text(max_size=80))
def test_any_text_can_be_searched(values: list[str], text: str) -> None:
    source = " ".join([text, *values])
    column = {"t.city": ready(index_texts(values))}
    for rule in (
        CITY,
        GroundingRule(path="/q", match="quote"),
        GroundingRule(path="/n", column="t.city", match="within", tolerance=0.0),
    ):
        for one in of(rule, column, source).values:
            msgspec.json.decode(one.value)
            assert 0 <= one.start < one.end <= len(source)


@given(
    number=st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9)
)
def test_a_number_is_found_as_it_is_written(number: Decimal) -> None:
    column = {"t.city": ready(index_numbers([number]))}
    texts = {f"{number:f}", f"{number:,f}"}
    for text in (text for text in texts if sum(map(str.isdigit, text)) < 40):
        (found,) = of(CITY, column, f"it is {text} now").values
        assert (found.start, found.end) == (6, 6 + len(text))
