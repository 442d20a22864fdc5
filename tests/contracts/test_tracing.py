"""One id from header to trace, in one process and in three, into a strict Langfuse."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.langfuse import SECRET_KEY, LangfuseServer, langfuse
from support.otlp import SeenSpan
from support.stack import Answer, Process, call, running_stack
from support.waiting import wait_until

GOOD = '{"code": "LHR"}'
SCRIPT = {
    "matches": {
        "first shot": [GOOD],
        "retry": ['{"code": "XXX"}', GOOD],
        "prose": ["I would rather not.", "No JSON today.", "Sorry."],
        "malformed": [{"error": "upstream_malformed"}],
    }
}
SCHEMA = {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}
CONFIG = """
[log]
path = "log"
[session]
drain_ms = 5000
[models.small]
provider = "scripted"
model = "tiny"
script = "script.json"
[tables.airports]
path = "airports.csv"
[kinds.event]
schema = "event.schema.json"
system = "Extract."
[[kinds.event.grounding]]
path = "/code"
column = "airports.iata"
"""
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
DEPLOYMENTS = ["in_process", "apart"]
ARRIVAL_S = 60.0


def project(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "script.json").write_text(json.dumps(SCRIPT))
    (directory / "airports.csv").write_text("iata,city\nLHR,London\nLGW,London\n")
    (directory / "event.schema.json").write_text(json.dumps(SCHEMA))
    return directory


@pytest.fixture(scope="module", params=DEPLOYMENTS)
def stack(request, tmp_path_factory) -> Iterator[tuple[dict[str, Process], LangfuseServer]]:
    directory = project(tmp_path_factory.mktemp(request.param))
    apart = request.param == "apart"
    with (
        langfuse() as server,
        running_stack(
            directory, CONFIG, apart=apart, environment=server.environment()
        ) as processes,
    ):
        yield processes, server


def iterate(processes: dict[str, Process], headers=None, **body) -> Answer:
    return call(
        processes["gateway"].port, "POST", "/v1/iterate", {"kind": "event", **body}, headers
    )


def arrived(server: LangfuseServer, trace_id: str, enough: Callable[[list[SeenSpan]], bool]):
    """Wait until enough of a trace is there; give all of it."""

    def spans() -> list[SeenSpan]:
        return [span for (trace, _), span in list(server.spans.items()) if trace == trace_id]

    wait_until(lambda: enough(spans()), lambda: [span.name for span in spans()])
    return spans()


def named(spans: list[SeenSpan], name: str) -> list[SeenSpan]:
    return [span for span in spans if span.name == name]


def path_of(span: SeenSpan, spans: list[SeenSpan]) -> list[str]:
    """Name the way from the root of what arrived down to a span."""
    by_id = {each.span_id: each for each in spans}
    way = [span.name]
    while span.parent_span_id in by_id:
        span = by_id[span.parent_span_id]
        way.insert(0, span.name)
    return way


def whole_retry(apart: bool) -> Callable[[list[SeenSpan]], bool]:
    return lambda spans: len(spans) == (16 if apart else 13)


def test_a_session_with_a_retry_is_one_tree_across_the_daemons(stack):
    """Header, reply, row and receiver have one id; every span but the caller's has its parent."""
    processes, server = stack
    apart = "chatd" in processes
    answer = iterate(processes, {"traceparent": CALLER}, prompt="retry", conversation_id="c-1")
    reply = answer.json()

    spans = arrived(server, reply["trace_id"], whole_retry(apart))

    assert reply["trace_id"] == CALLER.split("-")[1] == answer.headers["x-lakehouse-trace-id"]
    [row] = call(processes["gateway"].port, "GET", f"/v1/sessions/{reply['row_id']}").json()["rows"]
    assert row["trace_id"] == reply["trace_id"]
    by_id = {span.span_id: span for span in spans}
    roots = [span for span in spans if span.parent_span_id not in by_id]
    assert [(root.name, root.parent_span_id) for root in roots] == [
        ("POST /v1/iterate", CALLER.split("-")[2])
    ]
    assert roots[0].span_id == answer.headers["traceparent"].split("-")[2]
    attempts = {span.span_id for span in named(spans, "attempt")}
    assert attempts == {attempt["span_id"] for attempt in row["attempts"]}
    counts = Counter(span.name for span in spans)
    assert counts["attempt"] == counts["chat tiny"] == counts["extraction"] == 2
    assert counts["schema"] == counts["grounding"] == 2
    assert counts["session"] == counts["log append"] == 1


def test_every_hop_is_the_parent_of_the_next(stack):
    """The way down to a model call goes through every daemon that the call went through."""
    processes, server = stack
    apart = "chatd" in processes
    trace_id = iterate(processes, prompt="retry").json()["trace_id"]
    spans = arrived(server, trace_id, whole_retry(apart))

    hops = ["POST /v1/iterate"] * (2 if apart else 1)
    [generation, _] = named(spans, "chat tiny")
    assert path_of(generation, spans) == [*hops, "session", "attempt", "chat tiny"]
    services = {span.resource["service.name"] for span in spans}
    if apart:
        assert services == {"lakehouse-gateway", "lakehouse-validatord", "lakehouse-chatd"}
        for chat in named(spans, "POST /v1/chat"):
            assert path_of(chat, spans) == [*hops, "session", "attempt", "POST /v1/chat"]
            assert chat.resource["service.name"] == "lakehouse-chatd"
    else:
        assert services == {"lakehouse"}


def test_a_child_lies_within_its_parent(stack):
    """In time, too; between processes of one machine, give or take its clocks' grain."""
    processes, server = stack
    trace_id = iterate(processes, prompt="retry").json()["trace_id"]
    spans = arrived(server, trace_id, whole_retry("chatd" in processes))
    by_id = {span.span_id: span for span in spans}
    for span in spans:
        if span.parent_span_id in by_id:
            parent = by_id[span.parent_span_id]
            assert parent.start_ns - 5_000_000 <= span.start_ns <= span.end_ns
            assert span.end_ns <= parent.end_ns + 5_000_000, (span.name, parent.name)


def test_a_verdict_becomes_scores_under_ids_that_stay(stack):
    """On the session's own span; an outage has a verdict and nothing that enters an average."""
    processes, server = stack
    accepted = iterate(processes, prompt="first shot").json()
    exhausted = iterate(processes, prompt="prose").json()
    failed = iterate(processes, prompt="malformed").json()

    def scores(row_id: str) -> dict[str, object]:
        return {
            score["name"]: score["value"]
            for score in list(server.scores.values())
            if row_id in score["id"]
        }

    wait_until(
        lambda: all(map(scores, (accepted["row_id"], exhausted["row_id"], failed["row_id"]))),
        "scores",
    )

    assert scores(accepted["row_id"]) == {
        "lakehouse.verdict": "accepted",
        "lakehouse.accepted": 1,
        "lakehouse.iterations": 1,
    }
    assert scores(exhausted["row_id"]) == {
        "lakehouse.verdict": "max_iter_exhausted",
        "lakehouse.accepted": 0,
        "lakehouse.iterations": 3,
    }
    assert scores(failed["row_id"]) == {"lakehouse.verdict": "infra_error"}
    spans = arrived(server, accepted["trace_id"], lambda spans: bool(named(spans, "session")))
    score = server.scores[f"lakehouse-{accepted['row_id']}-verdict"]
    assert score["traceId"] == accepted["trace_id"]
    assert score["observationId"] == named(spans, "session")[0].span_id


def test_a_model_that_fails_shows_where_it_failed(stack):
    """The attempt that no row holds, with the code as the error's type."""
    processes, server = stack
    trace_id = iterate(processes, prompt="malformed").json()["trace_id"]
    spans = arrived(server, trace_id, lambda spans: bool(named(spans, "POST /v1/iterate")))
    for name in ("session", "attempt", "chat tiny"):
        [span] = named(spans, name)
        assert span.attributes["error.type"] == "upstream_malformed"
        assert span.error


def test_a_model_call_without_a_session_is_a_generation(stack):
    """Once, with its tokens, wherever the model is; and never beside a session's own."""
    processes, server = stack
    body = {"model": "small", "messages": [{"role": "user", "content": "first shot"}]}
    answer = call(processes["gateway"].port, "POST", "/v1/chat", body)
    trace_id = answer.headers["traceparent"].split("-")[1]
    hops = 2 if "chatd" in processes else 1

    spans = arrived(server, trace_id, lambda spans: len(spans) == hops + 1)

    [generation] = named(spans, "chat tiny")
    assert path_of(generation, spans) == ["POST /v1/chat", "chat tiny"]
    assert generation.parent_span_id == answer.headers["traceparent"].split("-")[2]
    assert generation.attributes["gen_ai.usage.input_tokens"] == 0


def test_a_trace_of_our_own_links_to_the_callers(stack):
    """The header decides: its trace is the seed rule's, and the caller's is a link on the root."""
    processes, server = stack
    header = {"X-Lakehouse-Trace-Id": "order-7.a", "traceparent": CALLER, "tracestate": "v=1"}
    reply = iterate(processes, header, prompt="first shot").json()
    assert reply["trace_id"] != CALLER.split("-")[1]

    # Each daemon sends its own spans: the gateway's, with the root, may come last.
    spans = arrived(server, reply["trace_id"], lambda spans: bool(roots_of(spans)))

    roots = roots_of(spans)
    assert [root.links for root in roots] == [[(CALLER.split("-")[1], CALLER.split("-")[2])]]
    assert {span.tracestate for span in spans} == {""}


def roots_of(spans):
    return [span for span in spans if not span.parent_span_id]


def test_the_callers_decision_not_to_sample_is_kept(stack):
    """Its row and answer are as always; nothing of it is sent, and what follows is."""
    processes, server = stack
    quiet = "00-5cf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
    answer = iterate(processes, {"traceparent": quiet}, prompt="first shot")
    assert answer.headers["traceparent"].endswith("-00")
    after = iterate(processes, prompt="first shot").json()["trace_id"]

    arrived(server, after, lambda spans: bool(named(spans, "POST /v1/iterate")))

    assert not [trace for trace, _ in server.spans if trace == quiet.split("-")[1]]
    assert not [score for score in server.scores.values() if score["traceId"] in quiet]


def test_nothing_that_was_said_leaves_the_house_unless_it_may(stack):
    """The default: no prompt, no output, no system text, in no request to the receiver."""
    processes, server = stack
    body = {"prompt": "first shot of canary-prompt", "metadata": {"team": "ops"}}
    trace_id = iterate(processes, **body).json()["trace_id"]
    spans = arrived(server, trace_id, lambda spans: bool(named(spans, "POST /v1/iterate")))

    everything = b"".join(posted.body for posted in server.posted)
    for text in (b"canary-prompt", b"Extract.", b"LHR", b"XXX"):
        assert text not in everything
    [session] = named(spans, "session")
    assert session.attributes["langfuse.trace.metadata"] == '{"team":"ops"}'


def test_the_intake_refused_nothing(stack):
    """After all of the above: ids, types and versions were right."""
    processes, server = stack
    iterate(processes, prompt="first shot")
    assert server.posted
    assert server.refusals == []


def test_keys_stay_in_the_environment(stack):
    """No daemon printed one."""
    processes, _ = stack
    for process in processes.values():
        printed = process.output.read_text()
        assert "Traces go to" in printed
        assert SECRET_KEY not in printed


def test_probes_and_metrics_are_no_traces(stack):
    """What watches a daemon is not its work; every other request is, refused ones too."""
    processes, server = stack
    port = processes["gateway"].port
    for path in ("/livez", "/readyz", "/metrics"):
        assert call(port, "GET", path).status == 200
    refused = call(port, "POST", "/v1/iterate", {"kind": "nope", "prompt": "x"})
    trace_id = refused.headers["traceparent"].split("-")[1]

    spans = arrived(server, trace_id, lambda spans: any(not s.parent_span_id for s in spans))

    assert {span.attributes["http.response.status_code"] for span in spans} == {400}
    assert {span.error for span in spans} == {None}
    routes = {span.attributes.get("http.route") for span in server.spans.values()}
    assert "/v1/iterate" in routes
    assert not routes & {"/livez", "/readyz", "/metrics", "/v1/models"}


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_what_waits_is_sent_when_the_daemons_stop(deployment, tmp_path):
    """Stopped right after the answer: every span of the session arrives."""
    apart = deployment == "apart"
    with langfuse() as server:
        with running_stack(
            project(tmp_path / "s"), CONFIG, apart=apart, environment=server.environment()
        ) as processes:
            trace_id = iterate(processes, prompt="retry").json()["trace_id"]
            for process in reversed(list(processes.values())):
                assert process.stop() == 0
        spans = [span for (trace, _), span in server.spans.items() if trace == trace_id]
        assert whole_retry(apart)(spans), [span.name for span in spans]
        assert len(server.scores) == 3


def test_an_outage_of_the_validator_leaves_the_gateways_trace(tmp_path):
    """Its row is the gateway's, and so are the spans: a session without attempts."""
    with (
        langfuse() as server,
        running_stack(
            project(tmp_path / "s"), CONFIG, apart=True, environment=server.environment()
        ) as processes,
    ):
        processes["validatord"].stop()
        answer = iterate(processes, prompt="first shot")
        assert answer.status == 502
        trace_id = answer.json()["trace_id"]
        spans = arrived(server, trace_id, lambda spans: len(spans) == 3)
    [session] = named(spans, "session")
    assert path_of(session, spans) == ["POST /v1/iterate", "session"]
    assert session.attributes["lakehouse.daemon"] == "gateway"
    assert session.attributes["error.type"] == "connect"


def test_without_a_receiver_there_is_one_line_and_nothing_else(tmp_path):
    """Ids and headers are as always; the exporter is not even loaded."""
    with running_stack(project(tmp_path / "s"), CONFIG, apart=False) as processes:
        answer = iterate(processes, {"traceparent": CALLER}, prompt="retry")
        assert answer.json()["trace_id"] == CALLER.split("-")[1]
        assert answer.headers["traceparent"].startswith(CALLER[:36])
        metrics = call(processes["gateway"].port, "GET", "/metrics").body.decode()
        lines = processes["gateway"].output.read_text().splitlines()
    assert sum("Tracing is off" in line for line in lines) == 1
    assert "lakehouse_tracing_items_total{" not in metrics


def test_half_a_configuration_starts_nothing(tmp_path):
    """One clear error that names what is missing, exit code 2, and no port opened."""
    with (
        pytest.raises(AssertionError, match="did not start") as caught,
        running_stack(
            project(tmp_path / "s"),
            CONFIG,
            apart=False,
            environment={"LANGFUSE_URL": "http://127.0.0.1:1", "LANGFUSE_SECRET_KEY": SECRET_KEY},
        ),
    ):
        pass
    told = str(caught.value)
    assert "LANGFUSE_PUBLIC_KEY is not" in told
    assert "Traceback" not in told
    assert SECRET_KEY not in told
