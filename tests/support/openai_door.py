"""A stack with every outcome of a session, and calls of OpenAI's routes as clients make them."""

import contextlib
import json
import re
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lakehouse.gateway.auth import new_key
from lakehouse.openai_api.door import PATHS
from lakehouse.openai_api.parameters import ApiRoute
from support.endpoint import Answer as EndpointAnswer
from support.endpoint import completion, endpoint, refusal
from support.openai_replies import events
from support.stack import Answer, Process, call, free_port, running_stack
from support.waiting import wait_until

CITIES = {"LHR": "London", "LGW": "London", "OSL": "Oslo", "BCN": "Barcelona"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "code": {"type": "string"},
        "city": {"type": "string"},
        "quote": {"type": "string"},
    },
    "required": ["code", "city"],
    "additionalProperties": False,
}
GOOD = '{"code": "LHR", "city": "London", "quote": "delayed"}'
COMPACT = GOOD.replace(": ", ":").replace(", ", ",")
WRONG_PAIR = '{"code": "LHR", "city": "Oslo", "quote": "delayed"}'
USAGE = {"prompt_tokens": 7, "completion_tokens": 5}
LARGE = json.dumps({"text": "é€😀\u2028" * 8_000}, ensure_ascii=False, separators=(",", ":"))
SCRIPT = {
    "matches": {
        "first shot": [{"text": GOOD, "usage": USAGE}],
        "retry": [{"text": WRONG_PAIR, "usage": USAGE}, {"text": GOOD, "usage": USAGE}],
        "prose": ["I would rather not."],
        "cut off": [{"text": GOOD[:20], "finish_reason": "length"}],
        "rather slow": [{"text": GOOD, "delay_ms": 2_000}],
        "slow": [{"text": WRONG_PAIR}, {"text": GOOD, "delay_ms": 1_000}],
        "rather long": [{"text": GOOD, "delay_ms": 4_000}],
        "passing": [{"error": "shutdown"}, GOOD],
        "very long": [{"text": GOOD, "delay_ms": 60_000}],
        "malformed": [{"error": "upstream_malformed"}],
        "large": [LARGE],
        "any JSON": ['{"n": 1.10, "big": 18446744073709551616}'],
    }
}
CONFIG = """
[log]
path = "log"
[session]
drain_ms = {drain_ms}
load_budget_ms = 200
[gateway]
api_keys_env = "KEYS"
sessions_at_once_max = {at_once_max}
[gateway.openai]
stream_wait_ms = {stream_wait_ms}
unchecked = "{unchecked}"
[chatd]
api_key_env = "INNER"
[validatord]
api_key_env = "INNER"
[models.small]
provider = "scripted"
model = "tiny"
slots = 64
script = "script.json"
[models.lazy]
provider = "scripted"
model = "lazy"
script = "lazy.json"
{busy}
[models.dead]
provider = "openai"
base_url = "http://127.0.0.1:{dead_port}/v1"
model = "gone"
[models.far]
provider = "openai"
base_url = "{far_url}"
model = "far"
[tables.airports]
path = "airports.csv"
[kinds.event]
schema = "event.schema.json"
system = "Extract."
model = "small"
[[kinds.event.grounding]]
path = "/code"
column = "airports.iata"
with = {{ "/city" = "airports.city" }}
[[kinds.event.grounding]]
path = "/quote"
match = "quote"
"""

# One for each way to ask: an overloaded model is left alone for a while, and tells how long.
BUSY = tuple(
    f"busy-{route}-{way}" for route in ("chat", "responses") for way in ("whole", "streamed")
)
_BUSY = """
[models.{name}]
provider = "scripted"
model = "busy"
script = "busy.json"
"""

_UNDER_WAY = re.compile(rb'lakehouse_queue_depth\{queue="requests"\} ([0-9.]+)')
_COMPLAINT = re.compile(rb"Traceback|never retrieved|never awaited|was destroyed|Unclosed")
_DRAIN_MS = 60_000


def _far(body: dict[str, Any]) -> EndpointAnswer:
    """What the endpoint of model `far` answers, by the text of the request."""
    text = json.dumps(body["messages"])
    if "content filter" in text:
        return completion("", "content_filter")
    if "too long" in text:
        message = "This model's maximum context length is 8192 tokens, you asked for 9000."
        return refusal(message, code="context_length_exceeded")
    if "quota" in text:
        message = "You exceeded your current quota, please check your plan and billing details."
        return refusal(message, 429, type="insufficient_quota", code="insufficient_quota")
    if "no such model" in text:
        return refusal("The model `far` does not exist", 404, code="model_not_found")
    return completion(GOOD)


def asked(route: ApiRoute, model: str, prompt: str, **members: object) -> dict[str, object]:
    """The body of a request with one user text."""
    turn = {"messages": [{"role": "user", "content": prompt}]}
    return {"model": model, **(turn if route == "chat" else {"input": prompt}), **members}


def formatted(route: ApiRoute, schema: object) -> dict[str, object]:
    """The members that ask for an answer under a schema."""
    named = {"name": "wanted", "schema": schema, "strict": True}
    if route == "chat":
        return {"response_format": {"type": "json_schema", "json_schema": named}}
    return {"text": {"format": {"type": "json_schema", **named}}}


def text_of(route: ApiRoute, body: bytes, *, streamed: bool) -> str:
    """The answer's text: of the whole body, or the pieces of a stream joined."""
    if not streamed and route == "chat":
        return str(json.loads(body)["choices"][0]["message"]["content"])
    if not streamed:
        return str(json.loads(body)["output"][0]["content"][0]["text"])
    if route == "responses":
        told = events(body)
        return "".join(one["delta"] for one in told if one["type"] == "response.output_text.delta")
    choices = [choice for event in events(body) for choice in event["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


class Door(msgspec.Struct, frozen=True):
    """The public door of a running stack, and the secrets of two of its callers."""

    processes: dict[str, Process]
    keys: tuple[str, str]
    directory: Path
    environment: dict[str, str]

    @property
    def port(self) -> int:
        return self.processes["gateway"].port

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        caller: int = 0,
        port: int | None = None,
    ) -> Answer:
        """Make one call, at another port where it is given."""
        sent = {"Authorization": f"Bearer {self.keys[caller]}"} | dict(headers or {})
        return call(port or self.port, method, path, body, sent)

    def ask(
        self,
        route: ApiRoute,
        model: str,
        prompt: str,
        headers: Mapping[str, str] | None = None,
        *,
        caller: int = 0,
        port: int | None = None,
        **members: object,
    ) -> Answer:
        """Send one request of a route, with one user text."""
        body = asked(route, model, prompt, **members)
        return self.call("POST", PATHS[route], body, headers, caller=caller, port=port)

    def raw(self, route: ApiRoute, model: str, prompt: str, **members: object) -> bytes:
        """The bytes of a streamed request, for a raw connection."""
        body = json.dumps(asked(route, model, prompt, stream=True, **members)).encode()
        head = (
            f"POST {PATHS[route]} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {self.keys[0]}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def requests_under_way(self, role: str = "gateway") -> int:
        """Count those of a daemon, this look at it aside."""
        headers = {"Authorization": f"Bearer {self.keys[0]}"}
        told = call(self.processes[role].port, "GET", "/metrics", None, headers).body
        match = _UNDER_WAY.search(told)
        assert match is not None, told
        return int(float(match[1])) - 1

    def another_gateway(self) -> Process:
        """Start one beside the daemons that run apart, for the same callers."""
        port = free_port()
        url = {role: process.url for role, process in self.processes.items()}
        variables = {
            "LAKEHOUSE_GATEWAY__LISTEN": f'"127.0.0.1:{port}"',
            "LAKEHOUSE_CHATD__URL": f'"{url["chatd"]}"',
            "LAKEHOUSE_VALIDATORD__URL": f'"{url["validatord"]}"',
        }
        file = self.directory / "lakehouse.toml"
        return Process("gateway", file, port, variables | self.environment)

    def log(self) -> bytes:
        """The bytes of the log's active files."""
        files = (self.directory / "log" / "active").iterdir()
        return b"".join(file.read_bytes() for file in files if file.suffix == ".jsonl")

    def wait_for_started(self, prompt: str, count: int = 1) -> None:
        """Wait until that many sessions with this prompt have begun."""
        told = json.dumps(prompt).encode()
        wait_until(lambda: self.log().count(told) >= count, f"{count} started lines of {prompt!r}")

    def rows(self, identity: str) -> list[dict[str, Any]]:
        """The rows of a session, by any of its ids."""
        found = self.call("GET", f"/v1/sessions/{identity}")
        assert found.status in {200, 404}
        return found.json()["rows"] if found.status == 200 else []


@contextlib.contextmanager
def door_stack(
    directory: Path,
    *,
    apart: bool,
    stream_wait_ms: int = 20_000,
    at_once_max: int = 100,
    unchecked: str = "refuse",
    drain_ms: int = 5_000,
    wrapped: Sequence[str] = (),
) -> Iterator[Door]:
    """Run a stack, in one process or as three daemons."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "script.json").write_text(json.dumps(SCRIPT))
    busy = [{"error": "overloaded", "retry_after_s": 30}]  # longer than any deadline here
    (directory / "busy.json").write_text(json.dumps(busy))
    (directory / "lazy.json").write_text(json.dumps({"load_ms": 60_000, "steps": [GOOD]}))
    lines = ["iata,city", *(f"{code},{city}" for code, city in CITIES.items())]
    (directory / "airports.csv").write_text("\n".join(lines) + "\n")
    (directory / "event.schema.json").write_text(json.dumps(SCHEMA))
    callers = new_key("alice"), new_key("bob")
    inner = new_key("inner")
    entries = ",".join(key.entry for key in (*callers, inner))
    with endpoint(_far) as far:
        text = CONFIG.format(
            busy="".join(_BUSY.format(name=name) for name in BUSY),
            dead_port=free_port(),
            far_url=far.base_url,
            stream_wait_ms=stream_wait_ms,
            at_once_max=at_once_max,
            unchecked=unchecked,
            drain_ms=drain_ms,
        )
        environment = {"KEYS": entries, "INNER": inner.secret}
        with running_stack(
            directory, text, apart=apart, environment=environment, wrapped=wrapped
        ) as processes:
            yield Door(processes, (callers[0].secret, callers[1].secret), directory, environment)


@contextlib.contextmanager
def quiet_door(directory: Path, *, apart: bool, stream_wait_ms: int) -> Iterator[Door]:
    """Likewise, and hold at the end that nothing is left running and no daemon complained.

    The drain would take a minute if anything were left.
    """
    with door_stack(
        directory, apart=apart, stream_wait_ms=stream_wait_ms, drain_ms=_DRAIN_MS
    ) as door:
        yield door
        wait_until(lambda: door.requests_under_way() == 0, "the end of all requests")
        begun = time.monotonic()
        for process in reversed(list(door.processes.values())):
            assert process.stop(signal.SIGTERM) == 0
        assert time.monotonic() - begun < _DRAIN_MS / 2_000
        for process in door.processes.values():
            quiet(process)


def quiet(process: Process) -> None:
    """Hold that a daemon complained of nothing that only a fault of ours would cause."""
    told = process.output.read_bytes()
    assert _COMPLAINT.search(told) is None, told.decode()
