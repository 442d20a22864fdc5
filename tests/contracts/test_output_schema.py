"""A caller's schema beside a kind: one contract, in one process and as three daemons."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from support.endpoint import Answer, Endpoint, completion, endpoint
from support.offered_calls import schema_in
from support.stack import call, running_stack

CITIES = ("Oslo", "Bergen")
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}
OUTPUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 4},
        "people": {"type": "number", "minimum": 1.50e2},
    },
    "required": ["city", "people"],
}
CONFIG = """
[log]
path = "log"
[models.m]
provider = "openai"
model = "m"
base_url = "{url}"
[tables.cities]
path = "cities.csv"
[kinds.city]
schema = "city.json"
[[kinds.city.grounding]]
path = "/city"
column = "cities.name"
"""
# What the model answers to a text, attempt by attempt.
ANSWERS = {
    "both hold": ['{"city":"Oslo","people":709000}'],
    "the caller's does not": ['{"city":"Oslo"}', '{"city":"Oslo","people":709000}'],
    "the kind's does not": [
        '{"city":"Oslo","people":709000,"more":1}',
        '{"city":"Oslo","people":709000.5}',
        '{"city":"Oslo","people":709000}',
    ],
    "no table has it": ['{"city":"Rome","people":709000}', '{"city":"Oslo","people":709000}'],
    "never": ['{"city":"Bergen","people":3}', '{"city":"Oslo","people":4}', '{"city":"Oslo"}'],
}


@pytest.fixture(scope="module", params=["in_process", "apart"])
def stack(request, tmp_path_factory) -> Iterator[tuple[int, Endpoint]]:
    directory = tmp_path_factory.mktemp(request.param)
    (directory / "city.json").write_text(json.dumps(SCHEMA))
    (directory / "cities.csv").write_text("\n".join(("name", *CITIES)))

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


def session(port: int, text: str, output_schema: object = OUTPUT, **body: object) -> dict[str, Any]:
    """Run a session; gives its reply, whatever its end, after its row was compared with it."""
    body = {"kind": "city", "prompt": text, "output_schema": output_schema, **body}
    reply: dict[str, Any] = call(port, "POST", "/v1/iterate", body).json()
    [row] = call(port, "GET", f"/v1/sessions/{reply['row_id']}").json()["rows"]
    assert (row["kind"], row["inline_schema"]) == ("city", output_schema)
    assert row["attempts"] == reply["attempts"]
    return reply


def test_an_answer_that_satisfies_both_is_a_first_shot(stack):
    """The model decodes under one object; the row has the caller's schema with its bytes."""
    port, server = stack
    before = len(server.calls)
    reply = session(port, "both hold")

    assert (reply["verdict"], reply["iterations"], reply["grounded"]) == ("accepted", 1, True)
    [sent] = server.calls[before:]
    assert schema_in(sent) == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 4},
            "people": {"type": "integer", "minimum": 150},
        },
        "required": ["city", "people"],
        "additionalProperties": False,
    }
    assert sent["response_format"]["json_schema"]["strict"] is False  # `maxLength` is not known
    row = call(port, "GET", f"/v1/sessions/{reply['row_id']}").body
    assert json.dumps(OUTPUT, separators=(",", ":")).encode() in row


def test_a_finding_of_the_callers_schema_is_told_to_the_model(stack):
    port, server = stack
    before = len(server.calls)
    reply = session(port, "the caller's does not")

    assert (reply["verdict"], reply["accepted_iteration"]) == ("accepted", 1)
    [finding] = reply["attempts"][0]["findings"]
    assert (finding["code"], finding["expected"]) == ("schema", {"required": "people"})
    assert '"required":"people"' in server.calls[before:][1]["messages"][-1]["content"]


def test_the_kind_still_judges(stack):
    """Its closed object, its integer, and its table."""
    port, _ = stack
    reply = session(port, "the kind's does not")
    told = [[one["expected"] for one in each["findings"]] for each in reply["attempts"]]
    assert (reply["verdict"], told) == (
        "accepted",
        [[{"additionalProperties": False}], [{"type": "integer"}], []],
    )
    reply = session(port, "no table has it")
    assert [each["outcome"] for each in reply["attempts"]] == ["rejected", "accepted"]
    assert [one["code"] for one in reply["attempts"][0]["findings"]] == ["ungrounded"]


def test_what_satisfies_only_one_is_never_accepted(stack):
    port, _ = stack
    reply = session(port, "never")
    assert reply["verdict"] == "max_iter_exhausted"
    assert session(port, "never", {"required": ["city"]})["verdict"] == "accepted"


def test_values_of_the_table_are_offered_in_the_merged_schema(stack):
    """Narrowed from what both allow: Bergen is too long for the caller."""
    port, server = stack
    before = len(server.calls)
    reply = session(port, "both hold: Oslo, or Bergen?")

    [sent] = server.calls[before:]
    city = (schema_in(sent) or {})["properties"]["city"]
    assert "Oslo" in json.dumps(city)
    assert "Bergen" not in json.dumps(city)
    assert [one["mode"] for one in reply["attempts"][0]["narrowed"]] == ["decode"]
    session(port, "both hold: Oslo, or Bergen?", {"minProperties": 1})
    assert "Bergen" in json.dumps(schema_in(server.calls[-1]))


def test_a_corrected_artifact_must_satisfy_both(stack):
    """By the schema of the row and the kind of today."""
    port, _ = stack
    row_id = session(port, "both hold")["row_id"]
    [row] = call(port, "GET", f"/v1/sessions/{row_id}").json()["rows"]
    body = {"session_id": row["session_id"], "row_id": row_id, "label": "corrected"}
    for wrong in ({"city": "Oslo"}, {"city": "Oslo", "people": 200, "more": 1}):
        answer = call(port, "POST", "/v1/feedback", {**body, "artifact": wrong})
        assert (answer.status, answer.json()["code"]) == (400, "invalid_request")
    right = {"city": "Oslo", "people": 200}
    assert call(port, "POST", "/v1/feedback", {**body, "artifact": right}).status == 200


@pytest.mark.parametrize(
    ("body", "code", "names"),
    [
        ({"kind": "city", "output_schema": {"required": ["x"]}}, "invalid_schema", "'/x'"),
        ({"kind": "city", "output_schema": {"type": "strin"}}, "invalid_schema", "did you mean"),
        ({"kind": "city", "output_schema": []}, "invalid_schema", "`output_schema`"),
        ({"schema": {}, "output_schema": {}}, "invalid_request", "put the schema into `schema`"),
        ({"output_schema": {}}, "invalid_request", "put the schema into `schema`"),
        ({"kind": "city", "schema": {}, "output_schema": {}}, "invalid_request", "exclude"),
        ({"kind": "city", "schema": {}}, "invalid_request", "exclude"),
    ],
)
def test_what_cannot_hold_is_refused_before_the_model_is_asked(stack, body, code, names):
    port, server = stack
    before = len(server.calls)
    answer = call(port, "POST", "/v1/iterate", {"prompt": "both hold", **body})
    assert (answer.status, answer.json()["code"]) == (400, code)
    assert names in answer.json()["detail"]
    assert answer.json()["hint"]
    assert len(server.calls) == before
