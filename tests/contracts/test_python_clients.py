"""The contract of the Python clients: in this process and over HTTP, waiting and with asyncio."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypedDict

import msgspec
import pydantic
import pytest

import lakehouse
from lakehouse import Grounded, Quote
from support.python_doors import DOORS, Door, Place, places
from support.stack import SCRIPTED, free_port

BCN = '{"airport":"BCN","city":"Barcelona"}'
BCX = '{"airport":"BCX","city":"Barcelona"}'
NOTICE = "BCN Barcelona: VY3901 delayed 25 minutes."
SCRIPT = {
    "matches": {
        "never": [BCX, '{"airport":"BCY","city":"Barcelona"}'],
        "spoiled": [BCX, BCN],
        "list": [f'{{"result":[{BCN},{BCN}]}}'],
        "quoted": ['{"quote":"on time"}', '{"quote":"delayed 25 minutes"}'],
        ".": [BCN],
    }
}
CONFIG = f"""
{SCRIPTED}
[models.dead]
provider = "openai"
base_url = "http://127.0.0.1:{free_port()}/v1"
model = "nobody"
[tables.airports]
path = "airports.csv"
[tables.gone]
path = "gone.csv"
[kinds.airport]
schema = "airport.json"
max_iterations = 2
"""
FILES = {
    "airports.csv": "iata,city\nBCN,Barcelona\nBOS,Boston\n",
    "gone.csv": "iata\nBCN\n",
    "airport.json": '{"type":"object","properties":{"airport":{"type":"string"}}}',
}


class Event(pydantic.BaseModel):
    airport: str
    city: str


@dataclasses.dataclass
class DataEvent:
    airport: str
    city: str


class DictEvent(TypedDict):
    airport: str
    city: str


class StructEvent(msgspec.Struct):
    airport: str
    city: str


class GroundedEvent(pydantic.BaseModel):
    airport: Annotated[str, Grounded("airports.iata", with_={"city": "airports.city"})]
    city: str


class Delay(msgspec.Struct):
    quote: Annotated[str, Quote()]


class GoneEvent(msgspec.Struct):
    airport: Annotated[str, Grounded("gone.iata")]
    city: str


SCHEMA = {
    "type": "object",
    "properties": {"airport": {"type": "string"}, "city": {"type": "string"}},
    "required": ["airport", "city"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Place]]:
    with places(tmp_path_factory.mktemp("doors"), CONFIG, SCRIPT, FILES) as found:
        yield found


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest, place: Callable[[str], Place]) -> Iterator[Door]:
    client = Door(request.param, place(request.param))
    yield client
    client.close()


@pytest.mark.parametrize(
    ("type_", "wanted"),
    [
        (Event, Event(airport="BCN", city="Barcelona")),
        (DataEvent, DataEvent("BCN", "Barcelona")),
        (DictEvent, {"airport": "BCN", "city": "Barcelona"}),
        (StructEvent, StructEvent("BCN", "Barcelona")),
        (SCHEMA, {"airport": "BCN", "city": "Barcelona"}),
        (list[Event], [Event(airport="BCN", city="Barcelona")] * 2),
    ],
    ids=["pydantic", "dataclass", "TypedDict", "Struct", "schema", "list"],
)
def test_an_instance_of_the_type_comes_out(door: Door, type_: Any, wanted: Any) -> None:
    prompt = "a list" if type_ == list[Event] else NOTICE

    got, session = door.create_with_session(type_, prompt)

    assert got == wanted
    assert type(got) is type(wanted)
    assert (session.verdict, session.iterations, session.accepted_iteration) == ("accepted", 1, 0)
    row = door.row(session.row_id)
    assert (row["verdict"], row["prompt"]) == ("accepted", prompt)
    assert row["session_id"] == session.session_id
    assert row["metadata"]["client"].startswith("lakehouse-python/")


def test_instructors_names_and_messages_are_taken(door: Door) -> None:
    messages = [{"role": "user", "content": NOTICE}]
    assert door.create(response_model=Event, messages=messages).airport == "BCN"
    assert door.create(Event, messages).airport == "BCN"


def test_a_rejected_answer_is_told_and_the_next_one_counts(door: Door) -> None:
    """A value that is not in the table: the nearest one is told."""
    event, session = door.create_with_session(GroundedEvent, "spoiled: BCN Barcelona")

    assert event == GroundedEvent(airport="BCN", city="Barcelona")
    assert (session.iterations, session.accepted_iteration, session.grounded) == (2, 1, True)
    first, second = session.attempts
    assert [(one.code, one.path, one.nearest) for one in first.findings] == [
        ("ungrounded", "/airport", ("BCN", "BOS"))
    ]
    assert "BCN" in second.told
    row = door.row(session.row_id)
    assert [one["outcome"] for one in row["attempts"]] == ["rejected", "accepted"]
    assert row["tables"].keys() == {"airports"}


def test_a_quote_must_be_in_the_prompt(door: Door) -> None:
    delay, session = door.create_with_session(Delay, "quoted: VY3901 delayed 25 minutes")

    assert delay.quote == "delayed 25 minutes"
    assert [one.code for one in session.attempts[0].findings] == ["ungrounded"]


def test_when_no_answer_passes_the_error_tells_all(door: Door) -> None:
    with pytest.raises(lakehouse.Exhausted) as raised:
        door.create(GroundedEvent, "never", max_retries=1, session_id=f"never-{door.name}")

    error = raised.value
    assert error.session_id == f"never-{door.name}"
    assert error.artifact == {"airport": "BCY", "city": "Barcelona"}
    assert [one.path for one in error.findings] == ["/airport"]
    assert [one.outcome for one in error.attempts] == ["rejected"] * 2
    assert error.usage.prompt_tokens == 0
    assert "/airport" in str(error)
    (row,) = door.rows(session_id=error.session_id)
    assert (row["verdict"], row["iterations"]) == ("max_iter_exhausted", 2)


def test_a_dead_endpoint_is_an_infra_error_with_a_row(door: Door) -> None:
    with pytest.raises(lakehouse.InfraError, match="cannot be reached") as raised:
        door.create(Event, NOTICE, model="dead")

    assert (raised.value.code, raised.value.retryable) == ("connect", True)
    assert raised.value.hint in str(raised.value)
    assert f"(session {raised.value.session_id})" in str(raised.value)
    (row,) = door.rows(session_id=raised.value.session_id)
    assert (row["error"]["code"], row["iterations"]) == ("connect", 0)


def test_a_table_that_is_gone_is_an_infra_error(door: Door) -> None:
    file = door.place.directory / "gone.csv"
    file.unlink()
    try:
        with pytest.raises(lakehouse.InfraError, match="'gone'") as raised:
            door.create(GoneEvent, NOTICE)
    finally:
        file.write_text(FILES["gone.csv"])

    assert raised.value.code == "table_unavailable"
    (row,) = door.rows(session_id=raised.value.session_id)
    assert row["verdict"] == "infra_error"


@pytest.mark.parametrize(
    ("arguments", "options", "code", "told"),
    [
        ((Event, NOTICE), {"kind": "airprt"}, "unknown_kind", "did you mean 'airport'"),
        ((Event, NOTICE), {"model": "smal"}, "unknown_model", "did you mean 'small'"),
        ((Event, NOTICE), {"max_retries": 10}, "invalid_request", "`max_retries` is 10"),
        ((Event, NOTICE), {"temprature": 1}, "invalid_request", "did you mean 'temperature'"),
        ((Event, NOTICE), {"temperature": "hot"}, "invalid_request", "`temperature`"),
        ((Event, NOTICE), {"metadata": {"door": "x"}}, "invalid_request", "metadata.door"),
        ((Event, NOTICE), {"session_id": "a b"}, "invalid_request", "`session_id`"),
        ((Event,), {}, "invalid_request", "prompt is missing"),
        ((Event, "x" * 3_000_000), {}, "too_large", "bytes"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_cannot_be_meant_is_refused_and_no_row_is_written(
    door: Door, arguments: Any, options: Any, code: str, told: str
) -> None:
    before = len(door.rows())

    with pytest.raises(lakehouse.Refused) as raised:
        door.create(*arguments, **options)

    assert raised.value.code == code
    assert told in str(raised.value)
    assert raised.value.hint
    assert len(door.rows()) == before


def test_a_schema_that_cannot_be_used_is_refused(door: Door) -> None:
    with pytest.raises((lakehouse.Refused, lakehouse.SetupError), match="type"):
        door.create({"type": "objekt"}, NOTICE)


def test_a_kind_and_a_type_hold_together(door: Door) -> None:
    event, session = door.create_with_session(Event, NOTICE, kind="airport")

    assert event.city == "Barcelona"
    row = door.row(session.row_id)
    assert row["kind"] == "airport"
    assert row["inline_schema"] is not None


def test_a_session_without_a_type_is_returned_whatever_its_verdict(door: Door) -> None:
    done = door.iterate(kind="airport", prompt=NOTICE)
    assert (done.verdict, done.artifact) == ("accepted", {"airport": "BCN", "city": "Barcelona"})

    strict = {"type": "object", "properties": {"airport": {"enum": ["BOS"]}}}
    done = door.iterate(schema=strict, prompt=NOTICE, max_iterations=2)
    assert (done.verdict, done.iterations) == ("max_iter_exhausted", 2)
    assert [one.code for one in done.findings] == ["schema"]

    done = door.iterate(kind="airport", prompt=NOTICE, model="dead")
    assert (done.verdict, done.error.code) == ("infra_error", "connect")
    assert door.row(done.row_id)["verdict"] == "infra_error"


def test_kinds_and_models_are_listed(door: Door) -> None:
    (kind,) = door.wait(lambda lake: lake.kinds())
    assert (kind.name, kind.model, kind.max_iterations) == ("airport", "small", 2)
    models = {one.name: one.state for one in door.wait(lambda lake: lake.models())}
    assert models == {"small": "ready", "dead": "unreachable"}


def test_what_the_caller_says_of_a_session_is_in_its_row(door: Door) -> None:
    asked = f"asked-{door.name}"
    _, session = door.create_with_session(
        Event,
        NOTICE,
        session_id=asked,
        conversation_id="talk-7",
        metadata={"order": "5"},
        system="Be brief.",
        temperature=0.25,
        seed=7,
        deadline=30,
    )

    assert session.session_id == asked
    row = door.row(session.row_id)
    assert (row["session_id"], row["conversation_id"]) == (asked, "talk-7")
    assert row["metadata"]["order"] == "5"
    assert row["metadata"]["python_type"].endswith(":Event")
    assert row["system"] == "Be brief."
    settings = row["settings"]
    assert (settings["temperature"], settings["seed"], settings["deadline_ms"]) == (0.25, 7, 30_000)


OWN = {"session_id", "trace_id", "row_id", "timestamp", "duration_ms", "daemon", "crc", "span_id"}


def test_the_rows_of_all_clients_say_the_same(place: Callable[[str], Place]) -> None:
    """All members but ids, times, and what names the door."""
    rows = []
    for name in DOORS:
        client = Door(name, place(name))
        _, session = client.create_with_session(
            GroundedEvent, "spoiled: BCN Barcelona", metadata={"order": "5"}, seed=3
        )
        client.close()
        rows.append(_shared(client.row(session.row_id)))

    assert rows[0].keys() >= {"artifact", "attempts", "tables", "kind_digest", "settings"}
    assert [row == rows[0] for row in rows] == [True] * 4, rows


def _shared(value: Any) -> Any:
    if isinstance(value, dict):
        doors = {"door", "idempotency_key", "config_digest"}
        return {name: _shared(item) for name, item in value.items() if name not in OWN | doors}
    return [_shared(item) for item in value] if isinstance(value, list) else value
