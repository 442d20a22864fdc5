"""What the demo's checks can let through at all: every airport of the table, every notice."""

from importlib.resources import files

import pyarrow.parquet as pq
import pytest

from lakehouse.demo.notices import load_notices

NOTICES = load_notices()


@pytest.fixture(scope="module")
def airports() -> list[tuple[str, str]]:
    with files("lakehouse.demo").joinpath("airports.parquet").open("rb") as file:
        rows = pq.read_table(file, columns=["iata", "city"]).to_pylist()
    return [(row["iata"], row["city"]) for row in rows if row["iata"] and row["city"]]


def test_a_code_names_one_airport(airports):
    """Otherwise `with` could take the city of one airport and the code of another."""
    codes = [code for code, _ in airports]

    assert len(codes) > 7_000
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("notice", NOTICES, ids=lambda notice: notice.id)
def test_the_checks_leave_only_the_airports_that_a_notice_names(notice, airports):
    """The whole table against the text, inside words too: what is left is all that can pass.

    A notice without an answer leaves nothing, so no artifact for it can be accepted, whatever the
    model writes. The others leave the airport of the answer, and in `lgw-ams` the other one named.
    """
    possible = {
        (code, city) for code, city in airports if code in notice.text and city in notice.text
    }

    if notice.answer is None:
        assert possible == set()
    else:
        others = {("LGW", "London")} if notice.id == "lgw-ams" else set()
        assert possible == {(notice.answer.airport, notice.answer.city)} | others
