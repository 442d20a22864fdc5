"""What the demo's checks can let through at all: every airport of the table, every notice."""

from importlib.resources import files

import duckdb
import jsonschema_rs
import msgspec
import pyarrow.parquet as pq
import pytest

from lakehouse.config.kinds import load_kinds
from lakehouse.config.load import load_config
from lakehouse.core.kind import Kind
from lakehouse.demo.notices import load_notices
from lakehouse.validation.schema import SchemaCache

NOTICES = load_notices()
EVENTLESS = {"no-event-vienna": {("VIE", "Vienna")}, "no-event-denied": {("PRG", "Prague")}}


@pytest.fixture(scope="module")
def airports() -> list[tuple[str, str]]:
    with files("lakehouse.demo").joinpath("airports.parquet").open("rb") as file:
        rows = pq.read_table(file, columns=["iata", "city"]).to_pylist()
    return [(row["iata"], row["city"]) for row in rows if row["iata"] and row["city"]]


@pytest.fixture(scope="module")
def kind(tmp_path_factory) -> Kind:
    """The kind as `lakehouse init` writes it."""
    directory = tmp_path_factory.mktemp("demo")
    for name in ("lakehouse.toml", "airport_event.schema.json"):
        source = files("lakehouse.demo").joinpath("init", name)
        (directory / name).write_bytes(source.read_bytes())
    config = load_config(directory / "lakehouse.toml", {})
    return load_kinds(config, SchemaCache())["airport_event"]


def test_a_code_names_one_airport(airports):
    """Otherwise `with` could take the city of one airport and the code of another."""
    codes = [code for code, _ in airports]

    assert len(codes) > 7_000
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("notice", NOTICES, ids=lambda notice: notice.id)
def test_the_checks_leave_only_the_airports_that_a_notice_names(notice, airports):
    """The whole table against the text, inside words too: what is left is all that can pass.

    The others leave the airport of the answer, and in `lgw-ams` the other one named. A notice
    without an answer leaves nothing, or no sentence that could stand for its event: see below.
    """
    possible = {
        (code, city) for code, city in airports if code in notice.text and city in notice.text
    }

    if notice.answer is None:
        assert possible == EVENTLESS.get(notice.id, set())
    else:
        others = {("LGW", "London")} if notice.id == "lgw-ams" else set()
        assert possible == {(notice.answer.airport, notice.answer.city)} | others


@pytest.mark.parametrize("notice", NOTICES, ids=lambda notice: notice.id)
def test_only_a_notice_with_an_event_has_a_quote_that_passes(notice, kind):
    """Every piece of the text, tried as the quote: the shipped schema and rule decide.

    With the test above: no artifact can be accepted for a notice without an answer, whatever the
    model writes.
    """
    schema = msgspec.json.decode(kind.schema)["properties"]["quote"]
    is_valid = jsonschema_rs.validator_for(schema).is_valid
    text = notice.text
    pieces = {
        text[start:end] for start in range(len(text)) for end in range(start + 1, len(text) + 1)
    }
    quotes = [piece for piece in pieces if is_valid(piece)]
    (rule,) = kind.rules
    with duckdb.connect() as connection:
        passing = [
            quote
            for quote in quotes
            if connection.execute(rule.sql, {"quote": quote}).fetchall() == [(True,)]
        ]

    assert quotes
    if notice.answer is None and notice.id in EVENTLESS:
        assert passing == []
    elif notice.answer is not None:
        assert notice.answer.quote in passing
