"""What people say of sessions, over HTTP: one contract, both deployments."""

import json

import pytest

from lakehouse.core.ids import is_id, new_id
from lakehouse.core.row_codec import decode_feedback
from lakehouse.sessionlog.reading.views import open_views
from lakehouse.sessionlog.shared_file import whole_lines
from support.stack import SCRIPTED, Answer, call, running_stack

CONFIG = (
    SCRIPTED
    + """
[kinds.event]
schema = "event.schema.json"
"""
)
SCHEMA = {
    "type": "object",
    "properties": {"code": {"type": "string"}},
    "required": ["code"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module", params=["in_process", "apart"])
def stack(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param)
    (directory / "script.json").write_text(json.dumps(['{"code": "LHR"}']))
    (directory / "event.schema.json").write_text(json.dumps(SCHEMA))
    with running_stack(directory, CONFIG, apart=request.param == "apart") as processes:
        yield processes["gateway"].port, directory / "log"


@pytest.fixture
def gateway(stack) -> int:
    port: int = stack[0]
    return port


@pytest.fixture
def log(stack):
    return stack[1]


def session(port: int, **headers: str) -> tuple[str, str]:
    """Run a session; gives its session id and row id."""
    body = {"kind": "event", "prompt": "LHR is closed."}
    reply = call(port, "POST", "/v1/iterate", body, headers).json()
    return reply["session_id"], reply["row_id"]


def say(port: int, **body: object) -> Answer:
    return call(port, "POST", "/v1/feedback", body)


def lines(log, session_id: str) -> list[bytes]:
    return [
        line
        for line in whole_lines(log / "feedback.jsonl")
        if decode_feedback(line).session_id == session_id
    ]


def test_a_label_becomes_one_durable_line(gateway, log):
    """The reply is the line without its crc; the view shows it."""
    session_id, row_id = session(gateway)

    answer = say(gateway, session_id=session_id, label="wrong", comment="not closed", author="ana")

    assert answer.status == 200
    reply = answer.json()
    assert is_id(reply["feedback_id"])
    assert (reply["row_id"], reply["label"], reply["artifact"]) == (row_id, "wrong", None)
    [line] = lines(log, session_id)
    assert {**reply, "crc": json.loads(line)["crc"]} == json.loads(line)
    with open_views(log) as views:
        query = "SELECT row_id, label, comment, author FROM feedback WHERE session_id = ?"
        found = views.execute(query, [session_id]).fetchall()
    assert found == [(row_id, "wrong", "not closed", "ana")]


def test_a_corrected_artifact_keeps_its_bytes(gateway, log):
    session_id, _ = session(gateway)
    body = b'{"session_id":"%b","label":"corrected","artifact":{"code": "L\\u0047W"}}'

    answer = call(gateway, "POST", "/v1/feedback", body % session_id.encode())

    assert answer.status == 200
    [line] = lines(log, session_id)
    assert b'"artifact":{"code":"L\\u0047W"}' in line


def test_a_session_of_several_rows_needs_the_row(gateway, log):
    """409 names them; with the `row_id` the label is taken."""
    wanted = "workflow-" + new_id()
    rows = {session(gateway, **{"X-Lakehouse-Trace-Id": wanted})[1] for _ in range(2)}

    answer = say(gateway, session_id=wanted, label="right")

    assert answer.status == 409
    assert answer.json()["code"] == "ambiguous_session"
    assert all(row_id in answer.json()["detail"] for row_id in rows)
    assert lines(log, wanted) == []
    row_id = min(rows)
    assert say(gateway, session_id=wanted, row_id=row_id, label="right").json()["row_id"] == row_id


@pytest.mark.parametrize(
    ("body", "status", "code", "names"),
    [
        ({"label": "good"}, 400, "invalid_request", "label"),
        ({"label": "corrected"}, 400, "invalid_request", "artifact"),
        ({"label": "wrong", "artifact": {"code": "LGW"}}, 400, "invalid_request", "artifact"),
        ({"label": "corrected", "artifact": {"city": 1}}, 400, "invalid_request", "schema"),
        ({"label": "right", "note": "x"}, 400, "invalid_request", "note"),
        ({"label": "right", "row_id": "0" * 32}, 404, "not_found", "0" * 32),
        ({"label": "right", "session_id": "nobody"}, 404, "not_found", "nobody"),
    ],
)
def test_what_cannot_be_taken_is_refused_and_leaves_no_line(
    gateway, log, body, status, code, names
):
    session_id, _ = session(gateway)

    answer = say(gateway, **{"session_id": session_id, **body})

    assert (answer.status, answer.json()["code"]) == (status, code)
    assert names in answer.json()["detail"]
    assert lines(log, session_id) == []


def test_the_api_describes_it(gateway):
    api = call(gateway, "GET", "/openapi.json").json()

    operation = api["paths"]["/v1/feedback"]["post"]
    assert {"200", "400", "404", "409"} <= operation["responses"].keys()
    assert "label" in api["components"]["schemas"]["FeedbackRequest"]["required"]
