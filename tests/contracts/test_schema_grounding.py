"""Grounding that a caller's schema carries: one contract, in one process and as three daemons."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import openai
import pytest
from pydantic import BaseModel, Field

from support.endpoint import Answer, Endpoint, completion, endpoint
from support.offered_calls import schema_in
from support.stack import call, running_stack

AIRPORTS = "iata,city,gates\nOSL,Oslo,98\nBGO,Bergen,33\nTRD,Trondheim,21\n"
CONFIG = """
[log]
path = "log"
[models.m]
provider = "openai"
model = "m"
base_url = "{url}"
[tables.airports]
path = "airports.csv"
types = {{ gates = "number" }}
[tables.late]
path = "late.csv"
[tables.staff]
path = "airports.csv"
private = true
[kinds.event]
schema = "event.json"
[[kinds.event.grounding]]
path = "/city"
column = "airports.city"
"""
TEXT = {"type": "string"}
PAIR = {"column": "airports.iata", "with": {"city": "airports.city"}}
EVENT = {
    "type": "object",
    "properties": {"airport": {**TEXT, "x-lakehouse": PAIR}, "city": TEXT},
    "required": ["airport", "city"],
    "additionalProperties": False,
}
WRONG, RIGHT = '{"airport":"BGO","city":"Oslo"}', '{"airport":"OSL","city":"Oslo"}'
# What the model answers to a text, attempt by attempt.
ANSWERS = {
    "<pair>": [WRONG, RIGHT],
    "<never>": [WRONG, '{"airport":"OSLO","city":"Oslo"}', '{"airport":"XXX","city":"Oslo"}'],
    "<kind>": ['{"city":"Paris"}', '{"city":"Bergen"}', '{"city":"Oslo"}'],
    "<list>": [
        '{"events":[{"airport":"OSL","city":"Oslo"},{"airport":"OSL","city":"Bergen"}]}',
        '{"events":[{"airport":"OSL","city":"Oslo"},{"airport":"BGO","city":"Bergen"}]}',
    ],
}


class Event(BaseModel):
    airport: Annotated[str, Field(json_schema_extra={"x-lakehouse": PAIR})]
    city: str


class Events(BaseModel):
    events: list[Event]


@pytest.fixture(scope="module", params=["in_process", "apart"])
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, Endpoint]]:
    directory = tmp_path_factory.mktemp(request.param)
    (directory / "airports.csv").write_text(AIRPORTS)
    (directory / "event.json").write_text(
        json.dumps({"type": "object", "properties": {"city": TEXT}})
    )
    left: list[str] = []

    def answer(body: dict[str, Any]) -> Answer:
        texts = [turn["content"] for turn in body["messages"]]
        if not any("Findings" in one for one in texts):  # a session begins
            [steps] = [steps for name, steps in ANSWERS.items() if name in texts[-1]]
            left[:] = steps
        return completion(left.pop(0))

    with endpoint(answer) as server:
        config = CONFIG.format(url=server.base_url)
        with running_stack(directory, config, apart=request.param == "apart") as processes:
            yield processes["gateway"].port, server


def session(port: int, text: str, **body: object) -> dict[str, Any]:
    """Run a session; gives its row."""
    reply = call(port, "POST", "/v1/iterate", {"prompt": text, **body}).json()
    assert "row_id" in reply, reply
    [row] = call(port, "GET", f"/v1/sessions/{reply['row_id']}").json()["rows"]
    assert row["attempts"] == reply["attempts"]
    found: dict[str, Any] = row
    return found


def findings(row: dict[str, Any]) -> list[list[tuple[str, str]]]:
    return [[(one["code"], one["path"]) for one in each["findings"]] for each in row["attempts"]]


@pytest.mark.parametrize("body", [{"schema": EVENT}, {"kind": "event", "output_schema": EVENT}])
def test_a_schema_grounds_the_answer(stack: tuple[int, Endpoint], body: dict[str, Any]) -> None:
    """A value that no row has with the one beside it is rejected, and told with the nearest."""
    port, server = stack
    before = len(server.calls)
    row = session(port, "<pair> Oslo is late.", **body)

    assert (row["verdict"], row["grounded"]) == ("accepted", True)
    assert findings(row) == [[("ungrounded", "/city")], []]
    assert row["attempts"][0]["findings"][0]["nearest"] == ["Bergen"]
    assert row["inline_schema"] == EVENT
    assert list(row["tables"]) == ["airports"]
    for sent in server.calls[before:]:
        assert "x-lakehouse" not in json.dumps(sent)


def test_the_kinds_own_rules_judge_beside_those_of_the_callers_schema(
    stack: tuple[int, Endpoint],
) -> None:
    """Also where both are about one place. The row names the kind's digest, and its own schema."""
    port, _ = stack
    schema = {"properties": {"city": {**TEXT, "x-lakehouse": {"match": "quote"}}}}
    row = session(port, "<kind> Oslo is not Paris.", kind="event", output_schema=schema)

    told = [[one["expected"] for one in each["findings"]] for each in row["attempts"]]
    assert told == [[{"column": "airports.city", "match": "exact"}], [{"match": "quote"}], []]
    [known] = call(port, "GET", "/v1/kinds").json()["kinds"]
    assert row["kind_digest"] == known["digest"]


@pytest.mark.parametrize("body", [{"schema": EVENT}, {"kind": "event", "output_schema": EVENT}])
def test_values_that_the_text_names_are_offered(
    stack: tuple[int, Endpoint], body: dict[str, Any]
) -> None:
    port, server = stack
    before = len(server.calls)
    row = session(port, "<pair> From OSL Oslo to BGO Bergen.", **body)

    shown = json.dumps(schema_in(server.calls[before]))
    assert "OSL" in shown
    assert "BGO" in shown
    assert "TRD" not in shown
    told = {(one["path"], one["mode"]) for one in row["attempts"][0]["narrowed"]}
    assert ("/airport", "decode") in told


@pytest.fixture
def client(stack: tuple[int, Endpoint]) -> Iterator[openai.OpenAI]:
    url = f"http://127.0.0.1:{stack[0]}/v1"
    with openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("way", ["chat", "responses", "tool", "kind"])
def test_a_pydantic_model_carries_it_through_openais_package(
    client: openai.OpenAI, way: str
) -> None:
    messages: Any = [{"role": "user", "content": "<pair> Oslo is late."}]
    parsed: Any
    answer: Any
    if way == "responses":
        answer = client.responses.parse(model="m", input=messages, text_format=Event)
        parsed = answer.output_parsed
    elif way == "tool":
        tool = openai.pydantic_function_tool(Event)
        answer = client.chat.completions.parse(model="m", messages=messages, tools=[tool])
        parsed = answer.choices[0].message.tool_calls[0].function.parsed_arguments
    else:
        model = "event" if way == "kind" else "m"
        answer = client.chat.completions.parse(
            model=model, messages=messages, response_format=Event
        )
        parsed = answer.choices[0].message.parsed
    assert parsed == Event(airport="OSL", city="Oslo")
    assert (answer.lakehouse["iterations"], answer.lakehouse["grounded"]) == (2, True)


def test_a_list_of_pydantic_models_is_grounded_element_by_element(
    stack: tuple[int, Endpoint], client: openai.OpenAI
) -> None:
    port, _ = stack
    answer: Any = client.chat.completions.parse(
        model="m", messages=[{"role": "user", "content": "<list>"}], response_format=Events
    )
    [_, second] = answer.choices[0].message.parsed.events
    assert second == Event(airport="BGO", city="Bergen")
    [row] = call(port, "GET", f"/v1/sessions/{answer.lakehouse['session_id']}").json()["rows"]
    assert findings(row) == [[("ungrounded", "/events/1/city")], []]


def test_an_answer_that_the_tables_lack_is_no_success(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.parse(
            model="m", messages=[{"role": "user", "content": "<never>"}], response_format=Event
        )
    assert refused.value.code == "max_iter_exhausted"
    told: Any = refused.value.body
    assert {one["code"] for one in told["findings"]} == {"ungrounded"}


def test_a_correction_of_such_a_session_is_taken(stack: tuple[int, Endpoint]) -> None:
    """It must fit the schema of the row; a person vouches for its values."""
    port, _ = stack
    row = session(port, "<pair> Oslo is late.", schema=EVENT)
    body = {"session_id": row["session_id"], "label": "corrected"}
    wrong = call(port, "POST", "/v1/feedback", {**body, "artifact": {"airport": "OSL"}})
    assert (wrong.status, wrong.json()["code"]) == (400, "invalid_request")
    right = call(port, "POST", "/v1/feedback", {**body, "artifact": json.loads(RIGHT)})
    assert right.status == 200


def test_a_table_that_cannot_be_read_is_an_outage_of_the_session(
    stack: tuple[int, Endpoint],
) -> None:
    """It is configured, so the caller is not to blame: there is a row, and no call."""
    port, server = stack
    before = len(server.calls)
    schema = {"properties": {"a": {**TEXT, "x-lakehouse": {"column": "late.code"}}}}
    reply = call(port, "POST", "/v1/iterate", {"schema": schema, "prompt": "<pair>"})
    assert (reply.status, reply.json()["error"]["code"]) == (503, "table_unavailable")
    assert call(port, "GET", f"/v1/sessions/{reply.json()['row_id']}").status == 200
    assert len(server.calls) == before


@pytest.mark.parametrize(
    ("keyword", "words"),
    [
        ({"column": "airport.iata"}, ["'/a'", "'airport'", "did you mean 'airports'", "'late'"]),
        ({"column": "staff.iata"}, ["'/a'", "table 'staff' is private"]),
        ({"column": "airports.itaa"}, ["'/a'", "'airports.itaa'", "did you mean 'iata'"]),
        ({"column": "airports.iata", "with": {"b": "airports.town"}}, ["'airports.town'", "gates"]),
        ({"column": "airports.gates"}, ["can only be string", "contains number"]),
        ({"column": "iata"}, ["'iata'", "table.column"]),
        ({"match": "within", "column": "airports.gates"}, ["tolerance"]),
        ({"match": "within", "column": "airports.gates", "tolerance": 1}, ["needs a number"]),
        ({"match": "quote", "column": "airports.iata"}, ["neither column nor with"]),
        ({"column": "airports.iata", "candidates_required": True}, ["may not be null"]),
        ({"colunm": "airports.iata"}, ["did you mean 'column'"]),
    ],
)
@pytest.mark.parametrize("member", ["schema", "output_schema"])
def test_what_cannot_be_checked_is_refused_before_the_model_is_asked(
    stack: tuple[int, Endpoint], member: str, keyword: dict[str, Any], words: list[str]
) -> None:
    port, server = stack
    before = len(server.calls)
    schema = {"type": "object", "properties": {"a": {**TEXT, "x-lakehouse": keyword}, "b": TEXT}}
    kind = {"kind": "event"} if member == "output_schema" else {}
    answer = call(port, "POST", "/v1/iterate", {"prompt": "<pair>", member: schema, **kind})
    assert (answer.status, answer.json()["code"]) == (400, "invalid_schema")
    for word in words:
        assert word in answer.json()["detail"]
    assert answer.json()["hint"]
    assert len(server.calls) == before


RULES = [{"sql": "SELECT true", "message": "no"}]


@pytest.mark.parametrize("name", ["x-lakehouse-rules", "X-Lakehouse-Rule", "x_lakehose_rules"])
@pytest.mark.parametrize(
    "door", ["schema", "output_schema", "validate", "chat", "responses", "tool"]
)
def test_sql_of_a_caller_is_refused(stack: tuple[int, Endpoint], door: str, name: str) -> None:
    """It would be SQL of strangers; a schema that only misspells it would check nothing."""
    port, server = stack
    before = len(server.calls)
    schema = {"type": "object", "properties": {"a": TEXT}, name: RULES}
    messages = [{"role": "user", "content": "<pair>"}]
    path, body = {
        "schema": ("iterate", {"prompt": "<pair>", "schema": schema}),
        "output_schema": ("iterate", {"prompt": "<p>", "kind": "event", "output_schema": schema}),
        "validate": ("validate", {"output": "{}", "schema": schema}),
        "chat": ("chat/completions", {
            "model": "m", "messages": messages,
            "response_format": {
                "type": "json_schema", "json_schema": {"name": "a", "schema": schema}
            },
        }),
        "responses": ("responses", {
            "model": "m", "input": "<pair>",
            "text": {"format": {"type": "json_schema", "name": "a", "schema": schema}},
        }),
        "tool": ("chat/completions", {
            "model": "m", "messages": messages,
            "tools": [{"type": "function", "function": {"name": "a", "parameters": schema}}],
        }),
    }[door]  # fmt: skip
    answer = call(port, "POST", f"/v1/{path}", body)
    told = answer.json()
    told = told.get("error", told)
    assert (answer.status, told["code"]) == (400, "invalid_schema")
    assert f"/{name}': SQL rules cannot stand" in (told.get("detail") or told["message"])
    assert "SQL rules belong to kinds" in told["hint"]
    assert len(server.calls) == before


def test_an_answer_is_validated_against_the_tables_of_the_request(
    stack: tuple[int, Endpoint],
) -> None:
    port, _ = stack
    body = {"schema": EVENT, "tables": {"airports": [{"iata": "OSL", "city": "Oslo"}]}}
    told = [
        call(port, "POST", "/v1/validate", {**body, "output": output}).json()
        for output in (RIGHT, WRONG)
    ]
    assert [(one["verdict"], one["grounded"]) for one in told] == [
        ("accepted", True), ("rejected", False),
    ]  # fmt: skip
    others: list[dict[str, Any]] = [{}, {"airport": []}]
    for tables in others:
        answer = call(port, "POST", "/v1/validate", {**body, "tables": tables, "output": RIGHT})
        assert (answer.status, answer.json()["code"]) == (400, "invalid_request")
        assert "'airports'" in answer.json()["detail"]


def test_openais_clients_are_told_the_member_of_their_request(stack: tuple[int, Endpoint]) -> None:
    port, _ = stack
    schema = {"type": "object", "properties": {"a": {**TEXT, "x-lakehouse": {"column": "x.y"}}}}
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "<pair>"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
    }
    answer = call(port, "POST", "/v1/chat/completions", body)
    told = answer.json()["error"]
    assert (answer.status, told["type"], told["code"]) == (
        400, "invalid_request_error", "invalid_schema",
    )  # fmt: skip
    assert told["param"] == "response_format.json_schema.schema"
    assert "table 'x' is not configured" in told["message"]
