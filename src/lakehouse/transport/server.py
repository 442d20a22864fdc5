"""The server side of HTTP: ids on every response, limits before work, problems for everything.

Starlette finds the route; around it stands one small ASGI endpoint per path, because what every
request needs here (ids, body limit, keys, problem bodies) is needed on 404s and 405s too, where
framework middleware does not reach or costs more than the whole rest of a session.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from lakehouse.core.context import (
    DEADLINE_HEADER,
    LOAD_BUDGET_HEADER,
    REPLACED_HEADER,
    ROW_ID_HEADER,
    TRACE_ID_HEADER,
    CallContext,
    call_context,
)
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.ids import is_id
from lakehouse.core.limits import BODY_BYTES_MAX, BODY_IDLE_MS_MAX, HEADER_BYTES_MAX
from lakehouse.core.observation import Observer, RequestEnded
from lakehouse.transport.problem import PROBLEM_TYPE, problem_of

_LOG = logging.getLogger(__name__)
_MILLISECONDS_DIGITS_MAX: Final = 9
_DISCARD_BYTES_MAX: Final = 8 << 20  # of a body that is refused for its size
_DISCARD_S_MAX: Final = 2.0


class Call(msgspec.Struct, frozen=True):
    """One request, read whole. `headers` are lowercase name → values in order, Latin-1."""

    context: CallContext
    headers: Mapping[str, Sequence[str]]
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


class Response(msgspec.Struct, frozen=True):
    """One response; ids and length are added when it is sent."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


Handler = Callable[[Call], Awaitable[Response]]
Authorize = Callable[[Mapping[str, Sequence[str]]], None]
Routes = Mapping[str, Mapping[str, Handler]]

OPEN_PATHS: Final = frozenset({"/livez", "/readyz"})  # probes carry no keys
UNOBSERVED_PATHS: Final = OPEN_PATHS | {"/metrics"}  # what watches the daemon is not its work


class Calls:
    """The requests under way in one daemon, so that a drain can wait for them and end the rest."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    def __len__(self) -> int:
        """Count the requests under way."""
        return len(self._tasks)

    def begin(self) -> asyncio.Task[object]:
        """Count the request of the current task."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        return task

    def end(self, task: asyncio.Task[object]) -> None:
        """Count it no more."""
        self._tasks.discard(task)

    async def drain(self, patience_ms: int) -> None:
        """Wait for the requests under way, then cancel what is left; each is still answered."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience_ms / 1000)
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


class _Gone(Exception):
    """The caller went away while its request was read."""


class _Stalled(Refusal):
    """The caller stopped amid its body; what may still come of it is no next request."""

    def __init__(self) -> None:
        super().__init__(
            "invalid_request",
            f"The body is not whole, and nothing more of it came for {BODY_IDLE_MS_MAX} ms.",
            hint="Send as many bytes as Content-Length says, without a pause.",
        )


def json_response(value: object, status: int = 200) -> Response:
    """Encode a value of ours."""
    return Response(status, msgspec.json.encode(value))


def build_app(
    routes: Routes,
    *,
    calls: Calls,
    inner: bool = False,
    authorize: Authorize | None = None,
    observer: Observer | None = None,
) -> ASGIApp:
    """Make the ASGI application of one daemon.

    Args:
        routes: Path → method → handler, in the path syntax of Starlette.
        calls: Counts the requests under way.
        inner: Whether callers are our own daemons, whose row ids and deadlines are believed.
        authorize: Raises a `Refusal` for callers without a key; not asked on `OPEN_PATHS`.
        observer: Hears of every answered request but those of `UNOBSERVED_PATHS`.
    """

    def endpoint(path: str, methods: Mapping[str, Handler]) -> _Endpoint:
        return _Endpoint(
            path, methods, calls=calls, inner=inner, authorize=authorize, observer=observer
        )

    return Router(
        [Route(path, endpoint(path, methods)) for path, methods in routes.items()],
        default=endpoint("", {}),
        redirect_slashes=False,
    )


class _Endpoint:
    """One path: everything between the socket and a handler."""

    def __init__(
        self,
        path: str,
        methods: Mapping[str, Handler],
        *,
        calls: Calls,
        inner: bool,
        authorize: Authorize | None,
        observer: Observer | None,
    ) -> None:
        self._path = path
        self._methods = methods
        self._calls = calls
        self._inner = inner
        self._authorize = None if path in OPEN_PATHS else authorize
        self._observer = None if path in UNOBSERVED_PATHS else observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _close_other(scope, receive, send)
            return
        started_at_ns, started_s = time.time_ns(), time.perf_counter()
        headers = _headers(scope)
        context = _context(headers, inner=self._inner)
        task = self._calls.begin()
        try:
            response = await self._respond(scope, receive, headers, context)
        except _Gone:
            return
        except asyncio.CancelledError:
            task.uncancel()
            response = _problem(InfraError("shutdown", "The daemon is stopping."), context)
        except (Refusal, InfraError) as error:
            response = _problem(error, context)
        except Exception:  # noqa: BLE001  the boundary: whatever it was, the caller gets an answer
            # A bug of ours: the caller learns that and nothing more, our log learns everything.
            _LOG.exception("request failed: %s %s", scope["method"], scope["path"])
            response = _problem(
                InfraError("crashed", "The request failed inside Lakehouse."), context
            )
        finally:
            self._calls.end(task)
        await _send(send, response, context)
        if self._observer is not None:
            duration_ms = (time.perf_counter() - started_s) * 1000
            method, status = scope["method"], response.status
            self._observer.request(
                RequestEnded(context, method, self._path, status, started_at_ns, duration_ms)
            )

    async def _respond(
        self,
        scope: Scope,
        receive: Receive,
        headers: Mapping[str, Sequence[str]],
        context: CallContext,
    ) -> Response:
        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADER_BYTES_MAX:
            raise Refusal("too_large", f"The headers take more than {HEADER_BYTES_MAX} bytes.")
        if self._authorize is not None:
            self._authorize(headers)
        handler = self._handler(scope)
        body = b""
        if scope["method"] == "POST":
            _check_media_type(headers)
            body = await _read_body(headers, receive)
        query = {}
        if scope["query_string"]:
            query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        return await handler(Call(context, headers, scope.get("path_params", {}), query, body))

    def _handler(self, scope: Scope) -> Handler:
        if not self._methods:
            raise Refusal(
                "not_found",
                f"There is nothing at {scope['path']!r}.",
                hint="GET /openapi.json lists the routes.",
            )
        handler = self._methods.get(scope["method"])
        if handler is None:
            raise _OtherMethod(scope, self._methods)
        return handler


class _OtherMethod(Refusal):
    """A route asked with a method that it does not have; RFC 9110 wants those it has told."""

    def __init__(self, scope: Scope, methods: Iterable[str]) -> None:
        self.allowed = ", ".join(sorted(methods))
        super().__init__(
            "method_not_allowed",
            f"{scope['method']} is not allowed at {scope['path']!r}; allowed: {self.allowed}.",
        )


def _headers(scope: Scope) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return headers


def _context(headers: Mapping[str, Sequence[str]], *, inner: bool) -> CallContext:
    row_ids = headers.get(ROW_ID_HEADER, ()) if inner else ()
    return call_context(
        headers.get(TRACE_ID_HEADER, ()),
        headers.get("traceparent", ()),
        headers.get("tracestate", ()),
        row_id=row_ids[0] if len(row_ids) == 1 and is_id(row_ids[0]) else None,
        trace_id_replaced=inner and REPLACED_HEADER in headers,
        deadline_ms=_milliseconds(headers, DEADLINE_HEADER) if inner else None,
        load_budget_ms=_milliseconds(headers, LOAD_BUDGET_HEADER) if inner else None,
    )


def _milliseconds(headers: Mapping[str, Sequence[str]], name: str) -> int | None:
    values = headers.get(name, ())
    if len(values) != 1 or not (values[0].isascii() and values[0].isdigit()):
        return None
    return int(values[0]) if len(values[0]) <= _MILLISECONDS_DIGITS_MAX else None


def _check_media_type(headers: Mapping[str, Sequence[str]]) -> None:
    for value in headers.get("content-type", ()):
        media_type = value.partition(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise Refusal(
                "unsupported_media_type",
                f"Content-Type is {media_type!r}; allowed is application/json.",
                hint="With curl: -H 'Content-Type: application/json', or --json.",
            )
    for value in headers.get("content-encoding", ()):
        if value.strip().lower() != "identity":
            raise Refusal("unsupported_media_type", f"Content-Encoding {value!r} is not supported.")


async def _read_body(headers: Mapping[str, Sequence[str]], receive: Receive) -> bytes:
    length = headers.get("content-length", ("0",))[0]
    if length.isdigit() and int(length) > BODY_BYTES_MAX:
        await _discard(receive)
        raise _body_too_large()
    chunks: list[bytes] = []
    size = 0
    while True:
        try:
            async with asyncio.timeout(BODY_IDLE_MS_MAX / 1000):
                message = await receive()
        except TimeoutError:
            raise _Stalled from None
        if message["type"] == "http.disconnect":
            raise _Gone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            await _discard(receive)
            raise _body_too_large()
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _discard(receive: Receive) -> None:
    """Read on for a little while: a caller still sending would meet a reset, not our answer."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_S_MAX):
            while size <= _DISCARD_BYTES_MAX:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                size += len(message.get("body", b""))


def _body_too_large() -> Refusal:
    return Refusal("too_large", f"The body is over {BODY_BYTES_MAX} bytes.")


def _problem(error: Refusal | InfraError, context: CallContext) -> Response:
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if error.retry_after_s is not None:
        headers = ((b"retry-after", b"%d" % math.ceil(error.retry_after_s)),)
    if error.status == 413 or isinstance(error, _Stalled):
        headers = (*headers, (b"connection", b"close"))  # the rest of the body is not read
    if isinstance(error, _OtherMethod):
        headers = (*headers, (b"allow", error.allowed.encode()))
    if error.status == 401:
        headers = (*headers, (b"www-authenticate", b"Bearer"))
    body = msgspec.json.encode(problem_of(error, context.session_id))
    return Response(error.status, body, PROBLEM_TYPE, headers)


async def _send(send: Send, response: Response, context: CallContext) -> None:
    headers = [
        (b"content-type", response.content_type.encode()),
        (b"content-length", str(len(response.body)).encode()),
        (b"x-lakehouse-trace-id", context.session_id.encode()),
        (b"traceparent", context.traceparent().encode()),
        *response.headers,
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


async def _close_other(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what is not a request: the start and end of the server, and WebSockets with no."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1003})
        return
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
