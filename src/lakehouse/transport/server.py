"""The server side of HTTP: ids on every response, limits before work, problems for everything.

Starlette finds the route; around it stands one small ASGI endpoint per path, because what every
request needs here (ids, body limit, keys, problem bodies) is needed on 404s and 405s too, where
framework middleware does not reach or costs more than the whole rest of a session.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
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
    current_session,
)
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.ids import is_id
from lakehouse.core.integers import whole_number
from lakehouse.core.limits import ANSWER_PIECE_BYTES, HEADER_BYTES_MAX
from lakehouse.core.observation import Observer, RequestEnded
from lakehouse.transport.host import check_host
from lakehouse.transport.origins import check_origin, cors_fields, is_from_page, preflight_fields
from lakehouse.transport.problem import PROBLEM_TYPE, problem_of
from lakehouse.transport.request_body import Gone, Stalled, check_media_type, read_body

_LOG = logging.getLogger(__name__)
_MILLISECONDS_MAX: Final = 999_999_999
AUTHORITY_STATE: Final = "authority"  # in a scope's state: that of a target in absolute form


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
    allowed_origins: frozenset[str] = frozenset(),
) -> ASGIApp:
    """Make the ASGI application of one daemon.

    Args:
        routes: Path → method → handler, in the path syntax of Starlette.
        calls: Counts the requests under way.
        inner: Whether callers are our own daemons, whose row ids and deadlines are believed.
        authorize: Raises a `Refusal` for callers without a key; not asked on `OPEN_PATHS`. Without
            it, only requests to loopback names and addresses are served.
        observer: Hears of every answered request but those of `UNOBSERVED_PATHS`.
        allowed_origins: Of web pages that may ask, beside the daemon's own.
    """

    def endpoint(path: str, methods: Mapping[str, Handler]) -> _Endpoint:
        return _Endpoint(
            path,
            methods,
            calls=calls,
            inner=inner,
            authorize=authorize,
            observer=observer,
            allowed_origins=allowed_origins,
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
        allowed_origins: frozenset[str],
    ) -> None:
        self._path = path
        self._methods = methods
        self._calls = calls
        self._inner = inner
        self._loopback_only = authorize is None
        self._allowed_origins = allowed_origins
        self._authorize = None if path in OPEN_PATHS else authorize
        self._observer = None if path in UNOBSERVED_PATHS else observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _close_other(scope, receive, send)
            return
        started_at_ns, started_s = time.time_ns(), time.perf_counter()
        headers = _headers(scope)
        context = _context(headers, inner=self._inner)
        current_session.set(context.session_id)
        task = self._calls.begin()
        page: str | None = None
        try:
            page = self._check_source(scope, headers)
            response = await self._respond(scope, receive, headers, context, page)
        except Gone:
            return
        except asyncio.CancelledError:
            task.uncancel()
            response = self._problem(InfraError("shutdown", "The daemon is stopping."), context)
        except (Refusal, InfraError) as error:
            response = self._problem(error, context)
        except Exception:  # noqa: BLE001  the boundary: whatever it was, the caller gets an answer
            # A bug of ours: the caller learns that and nothing more, our log learns everything.
            _LOG.exception("request failed: %s %s", scope["method"], scope["path"])
            response = self._problem(
                InfraError("crashed", "The request failed inside Lakehouse."), context
            )
        finally:
            self._calls.end(task)
        await _send(send, response, context, () if page is None else cors_fields(page))
        if self._observer is not None:
            duration_ms = (time.perf_counter() - started_s) * 1000
            method, status = scope["method"], response.status
            self._observer.request(
                RequestEnded(context, method, self._path, status, started_at_ns, duration_ms)
            )

    def _check_source(self, scope: Scope, headers: Mapping[str, Sequence[str]]) -> str | None:
        """Refuse what was sent to somebody else, or for a page; give an allowed page's origin."""
        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADER_BYTES_MAX:
            raise Refusal("too_large", f"The headers take more than {HEADER_BYTES_MAX} bytes.")
        host = check_host(
            headers,
            http_version=scope["http_version"],
            target_authority=scope["state"].get(AUTHORITY_STATE),
            loopback_only=self._loopback_only,
        )
        if not is_from_page(headers):
            return None
        return check_origin(headers, host, self._allowed_origins)

    def _problem(self, error: Refusal | InfraError, context: CallContext) -> Response:
        if isinstance(error, InfraError):
            _LOG.warning("%s: %s", self._path, error.told)
        return _problem(error, context, inner=self._inner)

    async def _respond(
        self,
        scope: Scope,
        receive: Receive,
        headers: Mapping[str, Sequence[str]],
        context: CallContext,
        page: str | None,
    ) -> Response:
        if (
            page is not None
            and scope["method"] == "OPTIONS"
            and "access-control-request-method" in headers
            and self._methods
        ):
            return Response(204, b"", headers=preflight_fields(_allowed(self._methods)))
        if self._authorize is not None:
            self._authorize(headers)
        handler = self._handler(scope)
        body = b""
        if scope["method"] == "POST":
            check_media_type(headers)
            body = await read_body(headers, receive)
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
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        handler = self._methods.get(method)
        if handler is None:
            raise _OtherMethod(scope, self._methods)
        return handler


class _OtherMethod(Refusal):
    """A route asked with a method that it does not have; RFC 9110 wants those it has told."""

    def __init__(self, scope: Scope, methods: Iterable[str]) -> None:
        self.allowed = ", ".join(sorted(_allowed(methods)))
        super().__init__(
            "method_not_allowed",
            f"{scope['method']} is not allowed at {scope['path']!r}; allowed: {self.allowed}.",
        )


def _allowed(methods: Iterable[str]) -> set[str]:
    return {*methods, "HEAD"} if "GET" in methods else {*methods}


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
    return whole_number(values[0], _MILLISECONDS_MAX) if len(values) == 1 else None


def refusal_message(refusal: Refusal, date: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write the whole answer to what was no request, with which its connection ends.

    It has ids of its own, as every answer has: where the head cannot be read, neither can its ids.
    """
    context = call_context((), ())
    response = _problem(refusal, context, inner=False)
    fields = [*date, *_fields(response, context), (b"connection", b"close")]
    status = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}\r\n".encode()
    lines = [b"%b: %b\r\n" % field for field in dict(fields).items()]
    return b"".join([status, *lines, b"\r\n", response.body])


def _problem(error: Refusal | InfraError, context: CallContext, *, inner: bool) -> Response:
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if error.retry_after_s is not None:
        headers = ((b"retry-after", b"%d" % math.ceil(error.retry_after_s)),)
    if error.status == 413 or isinstance(error, Stalled):
        headers = (*headers, (b"connection", b"close"))  # the rest of the body is not read
    if isinstance(error, _OtherMethod):
        headers = (*headers, (b"allow", error.allowed.encode()))
    if error.status == 401:
        headers = (*headers, (b"www-authenticate", b"Bearer"))
    body = msgspec.json.encode(problem_of(error, context.session_id, inner=inner))
    return Response(error.status, body, PROBLEM_TYPE, headers)


def _fields(response: Response, context: CallContext) -> list[tuple[bytes, bytes]]:
    fields = [
        (b"content-type", response.content_type.encode()),
        (b"content-length", str(len(response.body)).encode()),
    ]
    return [
        *(() if response.status == 204 else fields),
        (b"x-lakehouse-trace-id", context.session_id.encode()),
        (b"traceparent", context.traceparent().encode()),
        *response.headers,
    ]


async def _send(
    send: Send, response: Response, context: CallContext, cors: Sequence[tuple[bytes, bytes]]
) -> None:
    """Send a response, a large one piece by piece: no more of it waits than one piece."""
    headers = [*_fields(response, context), *cors]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    start = 0
    if len(response.body) > ANSWER_PIECE_BYTES:
        whole = memoryview(response.body)
        while len(whole) - start > ANSWER_PIECE_BYTES:
            piece = whole[start : start + ANSWER_PIECE_BYTES]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            start += ANSWER_PIECE_BYTES
    await send({"type": "http.response.body", "body": response.body[start:]})


async def _close_other(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what is not a request: the start and end of the server, and WebSockets with no."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1003})
        return
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
