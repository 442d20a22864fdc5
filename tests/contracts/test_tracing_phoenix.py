"""End to end into a receiver that this project did not write: Arize Phoenix, over OTLP/HTTP."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.forked_commands import run_command
from support.phoenix import Phoenix, phoenix
from support.stack import call, running_stack, untraced
from support.waiting import wait_until

CONFIG = """
[log]
path = "log"
[tracing]
content = true
[models.small]
provider = "scripted"
model = "tiny"
script = "script.json"
[tables.airports]
path = "airports.csv"
[kinds.event]
schema = "event.schema.json"
[[kinds.event.grounding]]
path = "/code"
column = "airports.iata"
"""
SCHEMA = {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SPANS = {
    "POST /v1/iterate": 2,  # gateway and validatord
    "session": 1,
    "attempt": 2,
    "chat tiny": 2,
    "POST /v1/chat": 2,  # chatd
    "extraction": 2,
    "schema": 2,
    "grounding": 2,
    "log append": 1,
}
ARRIVAL_S = 60.0  # Phoenix writes to its database in the background

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first run installs Phoenix


@pytest.fixture(scope="module")
def receiver(tmp_path_factory) -> Iterator[Phoenix]:
    with phoenix(tmp_path_factory.mktemp("phoenix")) as running:
        yield running


def project(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    script = ['{"code": "XXX"}', '{"code": "LHR"}']
    (directory / "script.json").write_text(json.dumps(script))
    (directory / "airports.csv").write_text("iata,city\nLHR,London\nLGW,London\n")
    (directory / "event.schema.json").write_text(json.dumps(SCHEMA))
    return directory


def arrived(receiver: Phoenix, trace_id: str, count: int) -> list[dict[str, Any]]:
    wait_until(
        lambda: len(receiver.spans(trace_id)) >= count,
        lambda: [span["name"] for span in receiver.spans(trace_id)],
        every_s=0.2,
    )
    return receiver.spans(trace_id)


def attribute(span: dict[str, Any], name: str) -> Any:
    for pair in span["attributes"]:
        if pair["key"] == name:
            return next(value for value in pair["value"].values() if value is not None)
    return None


def test_three_daemons_apart_leave_one_tree_in_phoenix(receiver, tmp_path):
    """One session with a retry: every span arrives, parent to child, under the id of the row."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    with running_stack(
        project(tmp_path / "s"), CONFIG, apart=True, environment=environment
    ) as processes:
        port = processes["gateway"].port
        body = {"kind": "event", "prompt": "Which airport?", "conversation_id": "c-1"}
        answer = call(port, "POST", "/v1/iterate", body, {"traceparent": CALLER})
        reply = answer.json()
        [row] = call(port, "GET", f"/v1/sessions/{reply['row_id']}").json()["rows"]
        spans = arrived(receiver, row["trace_id"], sum(SPANS.values()))

    assert reply["iterations"] == 2
    assert Counter(span["name"] for span in spans) == SPANS
    ids = {span["span_id"]: span for span in spans}
    assert len(ids) == len(spans)
    assert answer.headers["x-lakehouse-trace-id"] == row["trace_id"] == CALLER.split("-")[1]
    assert {span["trace_id"] for span in spans} == {row["trace_id"]}
    roots = [span for span in spans if span["parent_span_id"] not in ids]
    assert [root["parent_span_id"] for root in roots] == [CALLER.split("-")[2]]
    assert roots[0]["span_id"] == answer.headers["traceparent"].split("-")[2]
    ways = Counter(" > ".join(way(span, ids)) for span in spans)
    assert ways["POST /v1/iterate > POST /v1/iterate > session > attempt > POST /v1/chat"] == 2
    assert ways["POST /v1/iterate > POST /v1/iterate > session > attempt > chat tiny"] == 2
    attempts = {span["span_id"] for span in spans if span["name"] == "attempt"}
    assert attempts == {attempt["span_id"] for attempt in row["attempts"]}


def test_phoenix_reads_what_the_attributes_say(receiver, tmp_path):
    """Verdict, conversation, model and texts, as it gives them back."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    with running_stack(
        project(tmp_path / "s"), CONFIG, apart=False, environment=environment
    ) as processes:
        body = {"kind": "event", "prompt": "Which airport?", "conversation_id": "c-2"}
        reply = call(processes["gateway"].port, "POST", "/v1/iterate", body).json()
        spans = arrived(receiver, reply["trace_id"], 13)

    [session] = [span for span in spans if span["name"] == "session"]
    assert attribute(session, "lakehouse.verdict") == "accepted"
    assert attribute(session, "session.id") == "c-2"
    assert attribute(session, "lakehouse.row_id") == reply["row_id"]
    generation = next(span for span in spans if span["name"] == "chat tiny")
    assert attribute(generation, "gen_ai.request.model") == "tiny"
    assert "Which airport?" in attribute(generation, "gen_ai.input.messages")


def test_what_phoenix_missed_is_sent_from_the_log(receiver, tmp_path):
    """Logged while nothing listened, found under the row's own ids afterwards."""
    directory = project(tmp_path / "s")
    with running_stack(directory, CONFIG, apart=True) as processes:
        body = {"kind": "event", "prompt": "Which airport?"}
        reply = call(processes["gateway"].port, "POST", "/v1/iterate", body).json()
    assert receiver.spans(reply["trace_id"]) == []

    run_command(
        ["trace", "resend", "--since", "2026-01-01T00:00:00Z"],
        cwd=directory,
        env={**untraced(os.environ), "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url},
        timeout=60,
    ).check_returncode()

    spans = arrived(receiver, reply["trace_id"], 13)
    ids = {span["span_id"]: span for span in spans}
    assert [span["name"] for span in spans if span["parent_span_id"] not in ids] == [
        "POST /v1/iterate"
    ]
    attempts = {span["span_id"] for span in spans if span["name"] == "attempt"}
    assert attempts == {attempt["span_id"] for attempt in reply["attempts"]}


def way(span: dict[str, Any], ids: dict[str, dict[str, Any]]) -> list[str]:
    found = [span["name"]]
    while span["parent_span_id"] in ids:
        span = ids[span["parent_span_id"]]
        found.insert(0, span["name"])
    return found
