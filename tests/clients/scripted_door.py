"""A server that plays the door: it answers by the model's name, and counts what arrives.

It stands in where no stack runs: it judges nothing. It does refuse what the door refuses for its
shape, so that a client that asks for nothing in particular is seen.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Self

from clients import answers
from clients.situations import Situation
from support.raw_server import Exchange, RawServer


class _Refusal(NamedTuple):
    """An error that stands before the stream, or in it."""

    status: int
    code: str
    message: str
    kind: str
    retryable: bool
    retry_after_s: int | None = None
    late: bool = False  # after the 200, where the client streams


_EXHAUSTED = _Refusal(
    400,
    "max_iter_exhausted",
    "No answer of 3 passed every check: /city is not in cities.name.",
    "invalid_request_error",
    retryable=False,
)
_DOWN = _Refusal(
    502, "connect", "The model's endpoint refuses connections.", "server_error", retryable=True
)
REFUSALS = {
    "exhausted": _EXHAUSTED,
    "exhausted-late": _EXHAUSTED._replace(late=True),
    "down": _DOWN,
    "down-late": _DOWN._replace(late=True),
    "loading": _Refusal(
        504, "model_loading", "The model is still loading.", "server_error", True, retry_after_s=1
    ),
    "timeout": _Refusal(504, "timeout", "The deadline is over.", "server_error", retryable=False),
    "over-limit": _Refusal(
        429,
        "rate_limited",
        "16 sessions run already.",
        "rate_limit_error",
        retryable=True,
        retry_after_s=1,
    ),
}
ITERATIONS = {"accepted": 1, "second-try": 2}
_WRONG_KEY = _Refusal(
    401, "invalid_api_key", "This key is not known.", "authentication_error", retryable=False
)
_NO_CONTRACT = _Refusal(
    400,
    "no_contract",
    "The request asks for nothing that can be checked.",
    "invalid_request_error",
    retryable=False,
)
_NOT_FOUND = _Refusal(
    404, "not_found", "There is no such path.", "invalid_request_error", retryable=False
)


class ScriptedDoor:
    """One running server; it is the door of every situation."""

    key = "sk-right"

    async def __aenter__(self) -> Self:
        self._faults: list[Exception] = []
        self._server = await RawServer(self._guarded).__aenter__()
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self._server.__aexit__(*problem)
        if self._faults:
            raise ExceptionGroup("the scripted door failed", self._faults)

    async def _guarded(self, exchange: Exchange) -> None:
        """Keep a fault of ours: the client would only see a broken connection."""
        try:
            await _answer(exchange)
        except OSError:
            raise  # the client went away
        except Exception as fault:
            self._faults.append(fault)
            raise

    def base_url(self, situation: Situation) -> str:
        """Give what a client is told as its base URL."""
        assert situation.model in {*REFUSALS, *ITERATIONS}
        return f"{self._server.url}/v1"

    def rows(self, mark: str) -> int:
        """Count the sessions of a prompt: requests, those of one `Idempotency-Key` once."""
        keys = [
            request.header("idempotency-key") or f"request {number}"
            for number, request in enumerate(self._server.requests)
            if mark.encode() in request.body
        ]
        return len(set(keys))


async def _answer(exchange: Exchange) -> None:
    asked: dict[str, Any] = exchange.request.json() if exchange.request.body else {}
    path = exchange.request.path.partition("?")[0]
    if path not in {"/v1/chat/completions", "/v1/responses"}:
        await _refuse(exchange, _NOT_FOUND)
        return
    refusal = REFUSALS.get(asked["model"])
    if exchange.request.header("authorization") != f"Bearer {ScriptedDoor.key}":
        refusal = _WRONG_KEY
    elif not _has_contract(asked):
        refusal = _NO_CONTRACT
    if refusal is not None and not (refusal.late and asked.get("stream")):
        await _refuse(exchange, refusal)
    elif asked.get("stream"):
        await _stream(exchange, _events(path, asked, refusal), whole=refusal is None)
    else:
        iterations = ITERATIONS[asked["model"]]
        await exchange.reply(_body(path, asked, iterations), headers=_headers(iterations))


def _has_contract(asked: dict[str, Any]) -> bool:
    form = asked.get("response_format") or (asked.get("text") or {}).get("format") or {}
    return form.get("type") in {"json_object", "json_schema"} or bool(asked.get("tools"))


def _tool(asked: dict[str, Any]) -> str | None:
    """Name the function to call, where one is asked for."""
    if not asked.get("tools"):
        return None
    [tool] = asked["tools"]
    name: str = tool["function"]["name"] if "function" in tool else tool["name"]
    return name


def _body(path: str, asked: dict[str, Any], iterations: int) -> dict[str, Any]:
    if path.endswith("/responses"):
        return answers.response(asked["model"], _tool(asked), iterations, asked)
    return answers.chat(asked["model"], _tool(asked), iterations)


def _events(path: str, asked: dict[str, Any], refusal: _Refusal | None) -> Iterator[bytes]:
    model = asked["model"]
    responses = path.endswith("/responses")
    if refusal is not None:
        body = _error(refusal)
        if responses:
            return answers.response_failure(model, body, asked)
        return answers.chat_failure(model, body)
    if responses:
        return answers.response_stream(model, _tool(asked), ITERATIONS[model], asked)
    usage = bool((asked.get("stream_options") or {}).get("include_usage"))
    return answers.chat_stream(model, _tool(asked), ITERATIONS[model], usage=usage)


async def _stream(exchange: Exchange, events: Iterator[bytes], *, whole: bool) -> None:
    lines = ["HTTP/1.1 200 OK", "content-type: text/event-stream", "cache-control: no-cache"]
    lines += ["transfer-encoding: chunked", f"x-request-id: {answers.SESSION}", "", ""]
    await exchange.send("\r\n".join(lines).encode())
    for event in events:
        await exchange.send(b"%x\r\n%b\r\n" % (len(event), event))
    if whole:
        await exchange.send(b"0\r\n\r\n")
    else:
        exchange.writer.close()  # no last chunk: nobody may take this for an end


def _error(refusal: _Refusal) -> dict[str, Any]:
    return answers.error(refusal.code, refusal.message, refusal.kind, retryable=refusal.retryable)


def _headers(iterations: int) -> list[tuple[str, str]]:
    told = {"x-request-id": answers.SESSION, "x-lakehouse-iterations": str(iterations)}
    return list(told.items())


async def _refuse(exchange: Exchange, refusal: _Refusal) -> None:
    headers = [*_headers(0), ("x-should-retry", str(refusal.retryable).lower())]
    if refusal.retry_after_s is not None:
        headers += [
            ("retry-after", str(refusal.retry_after_s)),
            ("retry-after-ms", str(refusal.retry_after_s * 1000)),
        ]
    await exchange.reply(_error(refusal), refusal.status, headers)
