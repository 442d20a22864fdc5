"""The demo's data, checked before any model sees it."""

import json
from importlib.resources import files

import jsonschema_rs
import msgspec
import pyarrow.parquet as pq
import pytest

from lakehouse.demo.notices import load_notices

NOTICES = load_notices()


@pytest.fixture(scope="module")
def table():
    with files("lakehouse.demo").joinpath("airports.parquet").open("rb") as file:
        return pq.read_table(file)


@pytest.fixture(scope="module")
def cities(table) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in table.select(["iata", "city"]).to_pylist():
        if row["iata"]:
            found.setdefault(row["iata"], set()).add(row["city"])
    return found


def test_the_table_is_real_and_says_where_it_comes_from(table, cities):
    """28,000 rows, known airports, no empty texts, and source, date and licence in the file."""
    assert table.num_rows > 28_000
    assert cities["LHR"] == {"London"}
    assert cities["ZRH"] == {"Zurich"}
    assert "" not in cities
    assert {b"source", b"date", b"license"} <= set(table.schema.metadata)


def test_there_are_enough_notices_and_hard_ones_among_them():
    """At least 20, some without any right answer; no text twice."""
    assert len(NOTICES) >= 20
    assert sum(notice.answer is None for notice in NOTICES) >= 5
    assert len({notice.text for notice in NOTICES}) == len(NOTICES)
    assert len({notice.id for notice in NOTICES}) == len(NOTICES)


@pytest.mark.parametrize("notice", [n for n in NOTICES if n.answer], ids=lambda n: n.id)
def test_a_checked_answer_holds_by_plain_checks(notice, cities):
    """Schema, a real airport, its city, and words of its own notice: checked without our code."""
    schema = json.loads(
        files("lakehouse.demo").joinpath("init/airport_event.schema.json").read_text()
    )
    answer = msgspec.to_builtins(notice.answer)

    assert jsonschema_rs.validator_for(schema).is_valid(answer)
    assert answer["city"] in cities[answer["airport"]]
    assert answer["quote"] in notice.text
    assert answer["airport"] in notice.text
    assert answer["city"] in notice.text
