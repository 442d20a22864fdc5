"""W3C Trace Context from the caller to the model's endpoint, through one process and three.

The cases of W3C's own harness, restated: what comes in as headers, and what a model is called
with. `tools/w3c_trace_context.py` runs the harness itself. Tracing is not configured here.
"""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lakehouse.core.trace_context import TraceParent, parse_traceparent
from support.spec_files import vectors
from support.stack import Process, running_stack

TRACE = "12345678901234567890123456789012"
SPAN = "1234567890123456"
PARENT = f"00-{TRACE}-{SPAN}-01"
WRONG_THEN_RIGHT = ['{"left": 2}', '{"left": 1}', '{"left": 0}']
Pairs = list[tuple[str, str]]


class RecordingModel:
    """An OpenAI-compatible endpoint that keeps the headers it is called with."""

    def __init__(self) -> None:
        self.calls: list[Pairs] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                model.calls.append([(name.lower(), text) for name, text in self.headers.items()])
                several = asked["messages"][0]["content"] == "several"
                made = len(model.calls) - 1 if several else 2
                message = {"role": "assistant", "content": WRONG_THEN_RIGHT[min(made, 2)]}
                self._answer({"choices": [{"message": message, "finish_reason": "stop"}]})

            def do_GET(self) -> None:
                self._answer({"data": []})

            def _answer(self, value: object) -> None:
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @contextlib.contextmanager
    def running(self) -> Iterator["RecordingModel"]:
        thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            thread.join()
            self.server.server_close()


@pytest.fixture(scope="module")
def model() -> Iterator[RecordingModel]:
    with RecordingModel().running() as running:
        yield running


@pytest.fixture(scope="module", params=["in_process", "apart"])
def stack(request, model, tmp_path_factory) -> Iterator[tuple[Process, RecordingModel]]:
    config = (
        '[log]\npath = "log"\n[models.recording]\nprovider = "openai"\nmodel = "recording"\n'
        f'base_url = "http://127.0.0.1:{model.server.server_address[1]}/v1"\n'
    )
    directory = tmp_path_factory.mktemp(request.param)
    with running_stack(directory, config, apart=request.param == "apart") as processes:
        yield processes["gateway"], model


def ask(stack, headers: Pairs, prompt: str = "once") -> tuple[dict[str, str], list[Pairs]]:
    """Run a session with header lines as they are; give its answer's and its calls' headers."""
    gateway, model = stack
    model.calls.clear()
    schema = {"type": "object", "properties": {"left": {"const": 0}}}
    body = json.dumps({"schema": schema, "prompt": prompt}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    with contextlib.closing(connection):
        connection.putrequest("POST", "/v1/iterate")
        for name, value in [*headers, ("content-type", "application/json")]:
            connection.putheader(name, value)
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        answer = {name.lower(): value for name, value in response.getheaders()}
        assert response.status == 200, response.read()
    return answer, list(model.calls)


def one(pairs: Pairs, name: str) -> str | None:
    values = [value for key, value in pairs if key == name]
    assert len(values) <= 1
    return values[0] if values else None


def sent(stack, headers: Pairs) -> tuple[TraceParent, str | None]:
    """Give the trace context that the model was called with; it is always a valid one."""
    answer, [call] = ask(stack, headers)
    parent = parse_traceparent([one(call, "traceparent") or ""])
    assert parent is not None
    assert answer["traceparent"].split("-")[1] == parent.trace_id
    assert answer["traceparent"].split("-")[2] != parent.span_id
    assert "tracestate" not in answer
    return parent, one(call, "tracestate")


def test_without_context_a_trace_begins_here(stack):
    """Sampled and random, as a minted id is; a second one is another."""
    first, tracestate = sent(stack, [])
    second, _ = sent(stack, [])
    assert (first.flags, tracestate) == (3, None)
    assert first.trace_id != second.trace_id


@pytest.mark.parametrize("name", ["traceparent", "TraceParent", "TrAcEpArEnT", "TRACEPARENT"])
def test_a_valid_parent_is_gone_on_with_however_it_is_spelled(stack, name):
    parent, _ = sent(stack, [(name, PARENT)])
    assert (parent.trace_id, parent.flags) == (TRACE, 1)
    assert parent.span_id != SPAN


@pytest.mark.parametrize("name", ["trace-parent", "trace.parent"])
def test_another_name_is_another_header(stack, name):
    parent, _ = sent(stack, [(name, PARENT)])
    assert parent.trace_id != TRACE


@pytest.mark.parametrize(
    "case",
    [case for case in vectors("traceparent") if not any("\n" in text for text in case["fields"])],
    ids=lambda case: case["why"],
)
def test_a_parent_is_kept_or_ignored_as_a_whole(stack, case):
    """Every vector of the specification, from the door to the model."""
    parent, _ = sent(stack, [("traceparent", text) for text in case["fields"]])
    came = [text.strip().split("-")[1] for text in case["fields"] if text.count("-") >= 2]
    if case["parent"] is None:
        assert parent.trace_id not in came
    else:
        assert parent.trace_id == case["parent"]["trace_id"]
        assert parent.flags == case["parent"]["flags"]
        assert parent.span_id != case["parent"]["span_id"]


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in vectors("tracestate")
        if all(text.isascii() and text.replace("\t", " ").isprintable() for text in case["fields"])
    ],
    ids=lambda case: case["why"],
)
def test_a_tracestate_goes_on_or_is_discarded_as_a_whole(stack, case):
    """Whatever becomes of it, the parent beside it is kept."""
    headers = [("traceparent", PARENT), *(("tracestate", text) for text in case["fields"])]
    parent, tracestate = sent(stack, headers)
    assert parent.trace_id == TRACE
    assert tracestate == case["sent"]


@pytest.mark.parametrize(
    "headers",
    [
        [("tracestate", "foo=1")],
        [("traceparent", PARENT.replace("00-", "ff-", 1)), ("tracestate", "foo=1")],
        [("traceparent", PARENT), ("traceparent", PARENT), ("tracestate", "foo=1")],
        [("traceparent", PARENT), ("tracestate", "foo=1"), ("X-Lakehouse-Trace-Id", "order-7")],
    ],
    ids=["no parent", "a bad parent", "two parents", "a trace of our own"],
)
def test_a_tracestate_without_the_callers_trace_is_not_looked_at(stack, headers):
    parent, tracestate = sent(stack, headers)
    assert parent.trace_id != TRACE
    assert tracestate is None


@pytest.mark.parametrize("flags", ["00", "01", "02", "03"])
def test_the_flags_of_the_callers_trace_are_kept(stack, flags):
    parent, _ = sent(stack, [("traceparent", f"00-{TRACE}-{SPAN}-{flags}")])
    assert f"{parent.flags:02x}" == flags


@pytest.mark.parametrize("headers", [[], [("traceparent", PARENT)]], ids=["minted", "the caller's"])
def test_every_call_of_a_session_has_a_parent_of_its_own_in_one_trace(stack, headers):
    """Three attempts, three calls."""
    _, calls = ask(stack, headers, prompt="several")
    parents = [parse_traceparent([one(call, "traceparent") or ""]) for call in calls]
    assert len({parent.trace_id for parent in parents if parent}) == 1
    assert len({parent.span_id for parent in parents if parent}) == 3


def test_a_tracestate_near_the_header_limit_does_not_fail_the_next_hop(stack):
    """What is sent on is bounded, so that an inner daemon's own headers still fit."""
    members = ",".join(f"{letter}={'v' * 250}" for letter in "abcdefghijklmnopqrstuvwxyz")
    parent, tracestate = sent(
        stack, [("traceparent", PARENT), ("tracestate", members), ("x-padding", "p" * 8_000)]
    )
    assert parent.trace_id == TRACE
    assert tracestate is None
