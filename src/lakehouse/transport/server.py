"""The server side of HTTP: ids on every response, limits before work, an error for everything.

Every route runs through the same few steps. Ids, body limit, keys and errors in the route's shape
are needed on 404s and 405s too, where framework middleware either does not run or costs more than
the rest of a session.
"""

import asyncio
import logging
import math
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from itertools import chain
from typing import Final
from urllib.parse import parse_qsl

import msgspec

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
from lakehouse.core.suggestion import did_you_mean
from lakehouse.transport.asgi import Receive, Scope, Send
from lakehouse.transport.error_shape import ErrorShape, FailedCall
from lakehouse.transport.host import check_host, parse_authority
from lakehouse.transport.origins import check_origin, cors_fields, preflight_fields
from lakehouse.transport.paths import NO_SEGMENTS, Paths, Place
from lakehouse.transport.problem import problem_response
from lakehouse.transport.request_body import Gone, Stalled, decode, read_body
from lakehouse.transport.response import Response
from lakehouse.transport.route import Authorize, Call, Route, Routes
from lakehouse.transport.stream import send_pieces

_LOG = logging.getLogger(__name__)
_MILLISECONDS_MAX: Final = 999_999_999
AUTHORITY_STATE: Final = "authority"  # in a scope's state: from a target in absolute form

Headers = Mapping[str, Sequence[str]]
Fields = tuple[tuple[bytes, bytes], ...]


class Calls:
    """The running requests of one daemon, so that a drain can wait for them and cancel the rest."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self) -> asyncio.Task[object]:
        """Add the request of the current task."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        return task

    def end(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)

    async def wait(self, patience_ms: int) -> None:
        """Wait for the running requests."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience_ms / 1000)

    async def drain(self, patience_ms: int) -> None:
        """Wait for the running requests, then cancel the rest; each is still answered."""
        await self.wait(patience_ms)
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


class _Request(msgspec.Struct):
    """What is known about a request before its body is read. `cors` is set for an allowed page."""

    scope: Scope
    headers: Headers
    context: CallContext
    place: Place
    segments: Mapping[str, str]
    started_s: float
    cors: Fields = ()


class Application:
    """The ASGI application of one daemon: everything between the socket and a handler."""

    def __init__(
        self,
        routes: Routes,
        *,
        calls: Calls,
        inner: bool = False,
        authorize: Authorize | None = None,
        observer: Observer | None = None,
        allowed_origins: frozenset[str] = frozenset(),
        elsewhere: Mapping[str, ErrorShape] = {},
    ) -> None:
        """Serve routes.

        Args:
            routes: The routes to serve.
            calls: Tracks the running requests.
            inner: Whether callers are our own daemons, whose row ids and deadlines are trusted.
            authorize: Raises a `Refusal` for callers without a key. If None, only requests to
                loopback names and addresses are served.
            observer: Called for every answered request of an observed route.
            allowed_origins: Origins of web pages that may call, besides the daemon's own.
            elsewhere: As for `Paths`.
        """
        self._paths = Paths(routes, elsewhere)
        self._calls = calls
        self._inner = inner
        self._authorize = authorize
        self._observer = observer
        self._allowed_origins = allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; the ASGI entry point."""
        if scope["type"] != "http":
            await _close_other(scope, receive, send)
            return
        started_at_ns, started_s = time.time_ns(), time.perf_counter()
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        context = _context(headers, inner=self._inner)
        current_session.set(context.session_id)
        place, segments = self._paths.literal.get(scope["path"]), NO_SEGMENTS
        if place is None:
            place, segments = self._paths.find(scope["path"])
        request = _Request(scope, headers, context, place, segments, started_s)
        task = self._calls.begin()
        try:
            response = await self._response(request, receive, task)
            if response is None:
                return
            status = response.status
            if not isinstance(response.body, bytes):
                await _send_head(send, response, request)
                if scope["method"] == "HEAD":  # nobody would take the pieces
                    await response.body.aclose()
                    await send({"type": "http.response.body", "body": b""})
                else:
                    status = await send_pieces(response.body, receive, send) or status
        finally:
            self._calls.end(task)
        if isinstance(response.body, bytes):
            await _send_head(send, response, request)
            await _send_body(send, response.body)
        if self._observer is not None and request.place.observed:
            duration_ms = (time.perf_counter() - started_s) * 1000
            method, path = scope["method"], request.place.path
            self._observer.request(
                RequestEnded(context, method, path, status, started_at_ns, duration_ms)
            )

    async def _response(
        self, request: _Request, receive: Receive, task: asyncio.Task[object]
    ) -> Response | None:
        """Return the answer in every case; None if the caller disconnected during its request."""
        try:
            return await self._handled(request, receive)
        except Gone:
            return None
        except asyncio.CancelledError:
            task.uncancel()
            return self._error(InfraError("shutdown", "The daemon is stopping."), request)
        except (Refusal, InfraError) as error:
            return self._error(error, request)
        except Exception:  # noqa: BLE001  the boundary: the caller gets an answer in every case
            # A bug in our code: the caller is told only that, the log has the details.
            _LOG.exception("request failed: %s %s", request.scope["method"], request.scope["path"])
            crash = InfraError("crashed", "The request failed inside Lakehouse.")
            return self._error(crash, request)

    async def _handled(self, request: _Request, receive: Receive) -> Response:
        scope, headers, place = request.scope, request.headers, request.place
        self._check_source(request)
        if request.cors and _is_preflight(request):
            return Response(204, b"", headers=preflight_fields(place.allowed, headers))
        caller = ""
        if self._authorize is not None and place.access == "key":
            caller = self._authorize(headers)
        route = place.routes.get(scope["method"]) or place.route(scope["method"], scope["path"])
        data, body = b"", None
        if route.request is not None:
            data = await read_body(headers, receive)
            if route.admit is not None:
                route.admit(headers)
            body = decode(data, route.request) if route.read is None else route.read(data)
        query: Mapping[str, str] = {}
        if scope["query_string"]:
            query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
            _check_names(query, route)
        call = Call(
            request.context,
            headers,
            request.segments,
            query,
            body,
            data,
            request.started_s,
            caller,
        )
        response = await route.handler(call)
        if not route.streams and not isinstance(response.body, bytes):
            raise TypeError(f"{route.path} does not declare that its body comes in pieces")
        return response

    def _check_source(self, request: _Request) -> None:
        """Refuse a request meant for another host, or sent for a page that is not allowed."""
        scope, headers = request.scope, request.headers
        if sum(map(len, chain.from_iterable(scope["headers"]))) > HEADER_BYTES_MAX:
            raise Refusal("too_large", f"The headers take more than {HEADER_BYTES_MAX} bytes.")
        target, hosts = scope["state"].get(AUTHORITY_STATE), headers.get("host", ())
        host = parse_authority(hosts[0]) if len(hosts) == 1 and target is None else None
        if host is None or (self._authorize is None and not host.is_loopback):
            host = check_host(
                headers,
                http_version=scope["http_version"],
                target_authority=target,
                loopback_only=self._authorize is None,
            )
        if "origin" in headers or "sec-fetch-site" in headers:
            page = check_origin(headers, host, self._allowed_origins)
            request.cors = () if page is None else cors_fields(page)

    def _error(self, error: Refusal | InfraError, request: _Request) -> Response:
        place = request.place
        if isinstance(error, InfraError):
            _LOG.warning("%s: %s", place.path, error.told)
        call = FailedCall(request.context.session_id, self._inner, request.started_s)
        response = place.errors.encode(error, call)
        return _with_fields(response, error, place.allowed if error.status == 405 else ())


def _is_preflight(request: _Request) -> bool:
    return (
        request.scope["method"] == "OPTIONS"
        and "access-control-request-method" in request.headers
        and bool(request.place.routes)
    )


def _check_names(query: Mapping[str, str], route: Route[object]) -> None:
    if route.query is None:
        return
    allowed = sorted(each.name for each in route.query)
    for name in query:
        if name not in allowed:
            raise Refusal(
                "invalid_request",
                f"Unknown parameter {name!r}{did_you_mean(name, allowed)}; "
                f"allowed are {', '.join(allowed)}.",
            )


def _context(headers: Headers, *, inner: bool) -> CallContext:
    ids = (
        headers.get(TRACE_ID_HEADER, ()),
        headers.get("traceparent", ()),
        headers.get("tracestate", ()),
    )
    if not inner:
        return call_context(*ids)
    row_ids = headers.get(ROW_ID_HEADER, ())
    return call_context(
        *ids,
        row_id=row_ids[0] if len(row_ids) == 1 and is_id(row_ids[0]) else None,
        trace_id_replaced=REPLACED_HEADER in headers,
        deadline_ms=_milliseconds(headers, DEADLINE_HEADER),
        load_budget_ms=_milliseconds(headers, LOAD_BUDGET_HEADER),
    )


def _milliseconds(headers: Headers, name: str) -> int | None:
    values = headers.get(name, ())
    return whole_number(values[0], _MILLISECONDS_MAX) if len(values) == 1 else None


def refusal_message(refusal: Refusal, date: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Encode the whole answer to an invalid request, after which the connection closes.

    It has new ids: if the head cannot be parsed, the caller's ids cannot be read either.
    """
    context = call_context((), ())
    call = FailedCall(context.session_id, inner=False, started_s=time.perf_counter())
    response = problem_response(refusal, call)
    response = _with_fields(response, refusal, ())
    body = response.body
    assert isinstance(body, bytes)
    fields = [*date, *_fields(response, context, len(body)), (b"connection", b"close")]
    status = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}\r\n".encode()
    lines = [b"%b: %b\r\n" % field for field in dict(fields).items()]
    return b"".join([status, *lines, b"\r\n", body])


def _with_fields(response: Response, error: Refusal | InfraError, allow: Sequence[str]) -> Response:
    """Add the header fields that an error needs, whatever its body's shape."""
    headers = [*response.headers]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % math.ceil(error.retry_after_s)))
    if error.status == 413 or isinstance(error, Stalled):
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    if allow:  # RFC 9110 requires the list of allowed methods
        headers.append((b"allow", ", ".join(allow).encode()))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return Response(response.status, response.body, response.content_type, tuple(headers))


def _fields(
    response: Response, context: CallContext, length: int | None
) -> list[tuple[bytes, bytes]]:
    context = response.context or context
    fields = [
        (b"x-lakehouse-trace-id", context.session_id.encode()),
        (b"traceparent", context.traceparent().encode()),
        *response.headers,
    ]
    if response.status == 204:
        return fields
    kind = (b"content-type", response.content_type.encode())
    return [kind, *(() if length is None else ((b"content-length", b"%d" % length),)), *fields]


async def _send_head(send: Send, response: Response, request: _Request) -> None:
    length = len(response.body) if isinstance(response.body, bytes) else None
    headers = [*_fields(response, request.context, length), *request.cors]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})


async def _send_body(send: Send, body: bytes) -> None:
    """Send a body, a large one in pieces: at most one piece is buffered."""
    start = 0
    if len(body) > ANSWER_PIECE_BYTES:
        whole = memoryview(body)
        while len(whole) - start > ANSWER_PIECE_BYTES:
            piece = whole[start : start + ANSWER_PIECE_BYTES]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            start += ANSWER_PIECE_BYTES
    await send({"type": "http.response.body", "body": body[start:]})


async def _close_other(scope: Scope, receive: Receive, send: Send) -> None:
    """Handle what is not a request: acknowledge the server's lifespan, refuse WebSockets."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1003})
        return
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
