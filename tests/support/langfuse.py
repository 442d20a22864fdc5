"""A Langfuse intake that rejects what the real one rejects, on a port of its own.

Written from `web/src/pages/api/public/otel/v1/traces/index.ts`, `.../ingestion.ts` and
`packages/shared/src/server/otel/utils.ts` of Langfuse 4: one span with an id that is none refuses
the whole export; scores are judged one by one, and answered with 207.
"""

import base64
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from google.protobuf.message import DecodeError

from support.otlp import SeenSpan, seen_spans

PUBLIC_KEY = "pk-lf-test"
SECRET_KEY = "sk-lf-canary"
SCORE_BODY_BYTES_MAX = 4_500_000

Answer = tuple[int, dict[str, str], bytes]


class Posted(msgspec.Struct, frozen=True):
    """One request as it came; header names are lowercase."""

    path: str
    headers: dict[str, str]
    body: bytes


class LangfuseServer:
    """Keeps what it took: spans by trace and id, scores by id, as the real one does.

    While `before` gives an answer, the intake does not see the request: the network's trouble.
    """

    def __init__(self) -> None:
        self.posted: list[Posted] = []
        self.spans: dict[tuple[str, str], SeenSpan] = {}
        self.scores: dict[str, dict[str, Any]] = {}
        self.refusals: list[str] = []
        self.before: Callable[[Posted], Answer | None] = lambda _: None
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                headers = {name.lower(): value for name, value in self.headers.items()}
                posted = Posted(self.path, headers, self.rfile.read(length))
                status, fields, body = server.answer(posted)
                self.send_response(status)
                for name, value in fields.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    def environment(self) -> dict[str, str]:
        return {
            "LANGFUSE_URL": self.url,
            "LANGFUSE_PUBLIC_KEY": PUBLIC_KEY,
            "LANGFUSE_SECRET_KEY": SECRET_KEY,
        }

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, posted: Posted) -> Answer:
        with self._lock:
            self.posted.append(posted)
        answered = self.before(posted)
        if answered is None:
            with self._lock:
                answered = self._intake(posted)
        return answered

    def _intake(self, posted: Posted) -> Answer:
        pair = base64.b64encode(f"{PUBLIC_KEY}:{SECRET_KEY}".encode()).decode()
        if posted.headers.get("authorization") != f"Basic {pair}":
            return self._refuse(401, "Invalid credentials")
        if posted.path == "/api/public/otel/v1/traces":
            return self._traces(posted)
        if posted.path == "/api/public/ingestion":
            return self._ingestion(posted)
        return self._refuse(404, f"nothing at {posted.path}")

    def _traces(self, posted: Posted) -> Answer:
        if "application/x-protobuf" not in posted.headers.get("content-type", ""):
            return self._refuse(400, "Invalid content type")
        version = posted.headers.get("x-langfuse-ingestion-version", "")
        if not version.isdigit() or int(version) > 4:
            return self._refuse(400, f"Unsupported x-langfuse-ingestion-version {version!r}")
        body = posted.body
        if posted.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        try:
            spans = seen_spans(body)
        except DecodeError:
            return self._refuse(400, "Failed to parse OTel Protobuf Trace")
        for span in spans:
            if len(span.trace_id) != 32 or len(span.span_id) != 16:
                return self._refuse(400, f"not an id: {span.trace_id!r}, {span.span_id!r}")
            if span.trace_id.strip("0") == "" or span.span_id.strip("0") == "":
                return self._refuse(400, "an id of zeros")
        self.spans |= {(span.trace_id, span.span_id): span for span in spans}
        return 200, {"content-type": "application/json"}, b"{}"

    def _ingestion(self, posted: Posted) -> Answer:
        if len(posted.body) > SCORE_BODY_BYTES_MAX:
            return self._refuse(413, "too large")
        batch = json.loads(posted.body)["batch"]
        errors = []
        for event in batch:
            fault = _fault_of(event)
            if fault is None:
                self.scores[event["body"]["id"]] = event["body"]
            else:
                self.refusals.append(fault)
                errors.append({"id": event.get("id"), "status": 400, "message": fault})
        answer = {"successes": [{"status": 201}] * (len(batch) - len(errors)), "errors": errors}
        return 207, {"content-type": "application/json"}, json.dumps(answer).encode()

    def _refuse(self, status: int, why: str) -> Answer:
        self.refusals.append(why)
        return status, {"content-type": "application/json"}, json.dumps({"error": why}).encode()


def _fault_of(event: dict[str, Any]) -> str | None:
    if event.get("type") != "score-create":
        return f"event type {event.get('type')!r} is not accepted"
    if not isinstance(event.get("id"), str) or not isinstance(event.get("timestamp"), str):
        return "id or timestamp is missing"
    body = event["body"]
    if not body.get("traceId") or not body.get("name"):
        return "traceId or name is missing"
    value = body.get("value")
    right = {
        "CATEGORICAL": isinstance(value, str),
        "BOOLEAN": type(value) is int and value in {0, 1},
        "NUMERIC": type(value) in {int, float},
    }
    if not right.get(body.get("dataType"), False):
        return f"value {value!r} is no {body.get('dataType')}"
    return None


@contextmanager
def langfuse() -> Iterator[LangfuseServer]:
    server = LangfuseServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
