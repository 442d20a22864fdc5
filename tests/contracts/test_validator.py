"""One contract, two deployments: the whole stack in one process, and as three daemons apart."""

import contextlib
import http.client
import json
import socket
import threading
import time
from typing import Any

import pytest

from lakehouse.core.ids import is_id
from lakehouse.core.row_codec import crc_holds, decode_row
from lakehouse.engine.prompt import REPROMPT
from support.city_stack import GOOD, SCHEMA, SCRIPT, config, iterate, rows_of
from support.stack import Answer, call, free_port, running_stack
from support.waiting import wait_until

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module", params=["in_process", "apart"])
def stack(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param)
    (directory / "script.json").write_text(json.dumps(SCRIPT))
    (directory / "airports.csv").write_text("iata,city\nLHR,London\nLGW,London\n")
    (directory / "event.schema.json").write_text(json.dumps(SCHEMA))
    with running_stack(directory, config(free_port()), apart=request.param == "apart") as processes:
        yield processes


@pytest.fixture
def gateway(stack) -> int:
    port: int = stack["gateway"].port
    return port


def test_a_first_shot_is_accepted_and_its_row_is_there(gateway):
    """200, the artifact, grounded, and one whole row with the same ids."""
    answer = iterate(gateway, kind="event", prompt="first shot: delayed")

    reply = answer.json()
    assert answer.status == 200
    assert (reply["verdict"], reply["accepted_iteration"]) == ("accepted", 0)
    assert reply["artifact"] == {"code": "LHR", "quote": "delayed"}
    assert reply["grounded"] is True
    assert reply["error"] is None
    assert is_id(reply["session_id"])
    assert is_id(reply["row_id"])
    [row] = rows_of(gateway, reply["session_id"])
    assert row["row_id"] == reply["row_id"]
    assert row["daemon"] == "validatord"
    assert row["attempts"] == reply["attempts"]
    assert list(row["tables"]) == ["airports"]
    assert [row] == rows_of(gateway, reply["row_id"])


def test_a_rejected_answer_is_told_and_corrected(gateway):
    """The finding names the bad value and the nearest; the second answer is accepted."""
    reply = iterate(gateway, kind="event", prompt="retry: delayed").json()

    assert (reply["verdict"], reply["iterations"]) == ("accepted", 2)
    [finding] = reply["attempts"][0]["findings"]
    assert (finding["code"], finding["path"], finding["got"]) == ("ungrounded", "/code", "XXX")
    assert set(finding["nearest"]) == {"LGW", "LHR"}
    told = reply["attempts"][1]["told"]
    assert told == f'{REPROMPT}\nFindings: [{{"path":"/code","nearest":["LGW","LHR"]}}]'


def test_exhaustion_is_a_422_with_its_findings(gateway):
    """The model only writes prose: three attempts, no artifact."""
    answer = iterate(gateway, kind="event", prompt="prose")

    reply = answer.json()
    assert answer.status == 422
    assert answer.headers["content-type"] == "application/json"
    assert (reply["verdict"], reply["iterations"]) == ("max_iter_exhausted", 3)
    assert [finding["code"] for finding in reply["findings"]] == ["no_json"]
    assert reply["artifact"] is None


def test_a_dead_endpoint_is_an_infra_error_with_a_row(gateway):
    """502 in the session shape, no iteration spent, and the row says the same."""
    answer = iterate(gateway, kind="event", prompt="x", model="dead")

    reply = answer.json()
    assert answer.status == 502
    assert (reply["verdict"], reply["iterations"]) == ("infra_error", 0)
    assert reply["error"]["code"] == "connect"
    assert reply["error"]["retryable"] is True
    assert reply["error"]["hint"]
    [row] = rows_of(gateway, reply["session_id"])
    assert row["error"]["code"] == "connect"
    assert row["error"]["message"] == reply["error"]["message"]
    assert "Connection refused" in row["error"]["detail"]  # the operator's words, through all hops
    assert "127.0.0.1" not in json.dumps(reply)


def test_numbers_keep_their_own_bytes(gateway):
    """1.10 and 2^64 come back, and lie in the log, as the model wrote them."""
    answer = iterate(gateway, schema={"type": "object"}, prompt="numbers", model="small")

    assert b'"artifact":{"n":1.10,"big":18446744073709551616}' in answer.body
    row = call(gateway, "GET", f"/v1/sessions/{answer.json()['row_id']}").body
    assert b'"artifact":{"n":1.10,"big":18446744073709551616}' in row


def test_the_header_decides_the_session_id(gateway):
    """Verbatim in header, reply and row; the trace id follows the seed rule."""
    answer = iterate(
        gateway, {"X-Lakehouse-Trace-Id": "order-7.a"}, kind="event", prompt="first shot: delayed"
    )

    assert answer.headers["x-lakehouse-trace-id"] == "order-7.a"
    reply = answer.json()
    assert reply["session_id"] == "order-7.a"
    assert answer.headers["traceparent"].split("-")[1] == reply["trace_id"]
    assert rows_of(gateway, "order-7.a")[0]["trace_id_replaced"] is False


def test_a_bad_header_is_replaced_and_noted(gateway):
    """It never fails the request and is never echoed."""
    answer = iterate(
        gateway, {"X-Lakehouse-Trace-Id": "a b<script>"}, kind="event", prompt="first shot: delayed"
    )

    assert answer.status == 200
    session_id = answer.json()["session_id"]
    assert is_id(session_id)
    assert answer.headers["x-lakehouse-trace-id"] == session_id
    assert rows_of(gateway, session_id)[0]["trace_id_replaced"] is True


def test_the_callers_trace_goes_on(gateway):
    """Without a header the trace id of `traceparent` is the session id, under a span of ours."""
    answer = iterate(gateway, {"traceparent": PARENT}, kind="event", prompt="first shot: delayed")

    assert answer.json()["session_id"] == PARENT.split("-")[1]
    version, trace_id, span_id, flags = answer.headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", PARENT.split("-")[1], "01")
    assert span_id != PARENT.split("-")[2]


def test_one_session_id_may_stand_for_several_calls(gateway):
    """A workflow: both rows are found, newest first, told apart by row id."""
    header = {"X-Lakehouse-Trace-Id": f"workflow-{free_port()}"}
    first = iterate(gateway, header, kind="event", prompt="first shot: delayed").json()
    second = iterate(gateway, header, kind="event", prompt="prose").json()

    rows = rows_of(gateway, first["session_id"])

    assert [row["row_id"] for row in rows] == [second["row_id"], first["row_id"]]


@pytest.mark.parametrize(
    ("body", "code", "names"),
    [
        ({"kind": "nope", "prompt": "x"}, "unknown_kind", ["'nope'", "'event'"]),
        ({"kind": "event", "prompt": "x", "model": "m"}, "unknown_model", ["'m'", "'small'"]),
        ({"kind": "event", "prompt": "x", "extra": 1}, "invalid_request", ["'extra'", "prompt"]),
        ({"kind": "event"}, "invalid_request", ["prompt", "messages"]),
        ({"prompt": "x"}, "invalid_request", ["kind", "schema", "'event'"]),
        ({"kind": "event", "prompt": "x", "max_iterations": 11}, "invalid_request", ["11", "10"]),
        ({"kind": "event", "prompt": "x", "max_iterations": "2"}, "invalid_request", ["'2'"]),
        ({"kind": "event", "prompt": "x", "deadline_ms": 0}, "invalid_request", ["600000"]),
        ({"kind": "event", "prompt": "x", "temperature": "hot"}, "invalid_request", ["hot"]),
        ({"kind": "event", "prompt": "x", "constrain": "hard"}, "invalid_request", ["'hard'"]),
        (
            {"kind": "event", "prompt": "x", "candidates": "decod"},
            "invalid_request",
            ["`candidates` is 'decod' (did you mean 'decode'?)", "auto, decode, hint, off"],
        ),
        (
            {"kind": "event", "prompt": "x", "candidates": 7},
            "invalid_request",
            ["`candidates`", "7"],
        ),
        ({"kind": "event", "prompt": "x", "top_p": 1.5}, "invalid_request", ["1.5", "0 to 1"]),
        ({"kind": "event", "prompt": "x", "stop": ["a"] * 17}, "invalid_request", ["17", "16"]),
        ({"kind": "event", "prompt": "x", "stop": ["a", ""]}, "invalid_request", ["stop[1]", "''"]),
        ({"kind": "event", "prompt": "x", "stop": "END"}, "invalid_request", ["`stop`", "'END'"]),
        ({"kind": "event", "prompt": "x", "metadata": {"a": 1}}, "invalid_request", ["metadata"]),
        ({"kind": "event", "messages": []}, "invalid_request", ["user"]),
        ({"schema": {"type": "nope"}, "prompt": "x"}, "invalid_schema", ["nope"]),
        ({"schema": {"$ref": "http://127.0.0.1/x"}, "prompt": "x"}, "invalid_schema", ["$ref"]),
        ({"schema": {"pattern": "(?=x)"}, "prompt": "x"}, "invalid_schema", ["(?=x)"]),
    ],
)
def test_a_bad_request_is_a_400_that_says_what_is_allowed(gateway, body, code, names):
    """A problem with a stable code, ids, a message naming field and value; and no row."""
    answer = call(gateway, "POST", "/v1/iterate", body)

    problem = answer.json()
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == code
    assert problem["session_id"] == answer.headers["x-lakehouse-trace-id"]
    assert {"type", "title", "status", "detail", "retryable", "hint"} <= problem.keys()
    for name in names:
        assert name in problem["detail"]
    missing = call(gateway, "GET", f"/v1/sessions/{problem['session_id']}")
    assert missing.status == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"kind":"event","prompt":"x","prompt":"y"}', 400),
        (b'{"kind":"event","prompt":"\\ud800"}', 400),
        (b"[" * 100_000, 400),
        (b'{"kind":"event","prompt":"' + b"x" * (1 << 20) + b'"}', 413),
    ],
)
def test_hostile_bodies_are_refused_at_once(gateway, body, status):
    """Cut, doubled, surrogates, 100,000 levels, over 1 MiB: a problem, and the daemon lives."""
    begun = time.monotonic()
    answer = call(gateway, "POST", "/v1/iterate", body)

    assert answer.status == status
    assert answer.json()["code"] in {"invalid_request", "too_large"}
    assert time.monotonic() - begun < 30
    assert call(gateway, "GET", "/livez").status == 200


def test_headers_are_bounded(gateway):
    """Over 16 KiB is a 413; without end, the connection is closed and the daemon lives."""
    large = call(gateway, "GET", "/livez", headers={"X-Large": "x" * 20_000})
    assert (large.status, large.json()["code"]) == (413, "too_large")

    sent, limit = 0, 64 << 20
    with socket.create_connection(("127.0.0.1", gateway), timeout=60) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nx: ")
        with contextlib.suppress(ConnectionError):
            while sent < limit:
                sent += connection.send(b"x" * 65_536)
    assert sent < limit
    assert call(gateway, "GET", "/livez").status == 200


def test_every_response_carries_the_ids(gateway):
    """404s, 405s and 415s too."""
    answers = [
        call(gateway, "GET", "/nothing/here"),
        call(gateway, "DELETE", "/v1/iterate"),
        call(gateway, "POST", "/v1/iterate", b"a=1", {"Content-Type": "text/plain"}),
        call(gateway, "GET", "/livez"),
        call(gateway, "GET", "/openapi.json"),
    ]

    assert [answer.status for answer in answers] == [404, 405, 415, 200, 200]
    for answer in answers:
        assert is_id(answer.headers["x-lakehouse-trace-id"])
        assert answer.headers["traceparent"].startswith("00-")
    assert answers[1].headers["allow"] == "POST"  # RFC 9110 section 15.5.6


def test_validate_judges_without_a_model_or_a_row(gateway):
    """Inline schema, grounding and tables; 200 either way."""
    body = {
        "schema": SCHEMA,
        "grounding": [{"path": "/code", "column": "a.code"}],
        "tables": {"a": [{"code": "LHR"}, {"code": "LGW"}]},
        "output": '{"code": "LHX"}',
    }
    rejected = call(gateway, "POST", "/v1/validate", body)
    accepted = call(gateway, "POST", "/v1/validate", body | {"output": '{"code": "LGW"}'})

    assert (rejected.status, rejected.json()["verdict"]) == (200, "rejected")
    assert rejected.json()["findings"][0]["code"] == "ungrounded"
    assert rejected.json()["grounded"] is False
    assert accepted.json() == {
        "verdict": "accepted",
        "artifact": {"code": "LGW"},
        "grounded": True,
        "findings": [],
    }


def test_validate_judges_by_a_kind(gateway):
    """The kind's own grounding applies; quotes stand in `source`."""
    body = {"kind": "event", "output": GOOD, "source": "all delayed today"}

    assert call(gateway, "POST", "/v1/validate", body).json()["verdict"] == "accepted"
    rejected = call(gateway, "POST", "/v1/validate", body | {"source": "on time"}).json()
    assert rejected["findings"][0]["path"] == "/quote"


def test_chat_is_one_model_call(gateway):
    """Text and usage in one shape; failures are problems with the infra code."""
    good = call(
        gateway,
        "POST",
        "/v1/chat",
        {"model": "small", "messages": [{"role": "user", "content": "first shot"}]},
    )
    bad = call(
        gateway,
        "POST",
        "/v1/chat",
        {"model": "small", "messages": [{"role": "user", "content": "malformed"}]},
    )

    assert good.status == 200
    assert good.json()["text"] == GOOD
    assert good.json()["finish_reason"] == "stop"
    assert good.json()["provider"] == "scripted"
    assert (bad.status, bad.json()["code"]) == (502, "upstream_malformed")


def test_kinds_and_models_are_listed(gateway):
    """What can be asked for, and how the models are."""
    kinds = call(gateway, "GET", "/v1/kinds").json()["kinds"]
    models = {model["name"]: model for model in call(gateway, "GET", "/v1/models").json()["models"]}

    assert [kind["name"] for kind in kinds] == ["event"]
    assert models["small"]["state"] == "ready"
    assert models["dead"]["state"] == "unreachable"
    ready = call(gateway, "GET", "/readyz")
    assert (ready.status, ready.json()["ready"]) == (200, True)


def test_sessions_are_listed_newest_first_with_a_cursor(gateway):
    """Pages without attempts; filters by name; unknown ones refused."""
    ids = [
        iterate(gateway, kind="event", prompt="prose", conversation_id="pages").json()["row_id"]
        for _ in range(3)
    ]
    first = call(gateway, "GET", "/v1/sessions?conversation_id=pages&limit=2").json()
    second = call(
        gateway, "GET", f"/v1/sessions?conversation_id=pages&limit=2&cursor={first['next']}"
    ).json()

    listed = [row["row_id"] for row in first["sessions"] + second["sessions"]]
    assert listed == ids[::-1]
    assert "attempts" not in first["sessions"][0]
    assert second["next"] is None
    assert call(gateway, "GET", "/v1/sessions?colour=red").status == 400
    assert call(gateway, "GET", "/v1/sessions?limit=0").status == 400


def test_concurrent_sessions_each_leave_one_row(gateway):
    """Fifty at once: fifty replies, fifty rows, no id twice."""
    replies: list[dict[str, Any]] = []
    lock = threading.Lock()

    def one() -> None:
        reply = iterate(
            gateway, kind="event", prompt="retry: delayed", conversation_id="crowd"
        ).json()
        with lock:
            replies.append(reply)

    threads = [threading.Thread(target=one) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    listed = call(gateway, "GET", "/v1/sessions?conversation_id=crowd&limit=200").json()
    assert len(replies) == 50
    assert {reply["row_id"] for reply in replies} == {row["row_id"] for row in listed["sessions"]}
    assert len(listed["sessions"]) == 50


def test_a_caller_who_goes_away_takes_no_row_along(stack, gateway):
    """The session goes on in its own task and leaves its row."""
    session_id = f"gone-{free_port()}"
    asked = json.dumps({"kind": "event", "prompt": "slow: delayed"})
    headers = {"Content-Type": "application/json", "X-Lakehouse-Trace-Id": session_id}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", gateway)) as caller:
        caller.request("POST", "/v1/iterate", asked, headers)
        log = stack["gateway"].output.parent / "log" / "active"
        wait_until(
            lambda: any(session_id.encode() in file.read_bytes() for file in log.iterdir()),
            "the session begins",
        )

    def found() -> Answer:
        return call(gateway, "GET", f"/v1/sessions/{session_id}")

    wait_until(lambda: found().status == 200, "the row")
    answer = found()
    assert answer.json()["rows"][0]["verdict"] == "accepted"


def test_the_lines_of_the_log_hold_their_crc(stack):
    """Every line on disk is whole, and rows decode strictly."""
    log = stack["gateway"].output.parent / "log"
    rows = 0
    for file in (log / "active").iterdir():
        for line in filter(None, file.read_bytes().split(b"\n")):
            assert crc_holds(line)
            if b'"schema":"session.iterate.v1"' in line[:40]:
                decode_row(line)
                rows += 1
    assert rows > 10
