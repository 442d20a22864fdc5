"""The server side of HTTP: ids on every response, limits before work, an error for everything.

Every route runs through the same few steps. Ids, body limit, keys and errors in the route's shape
are needed on 404s and 405s too, where framework middleware either does not run or costs more than
the rest of a session.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
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
from lakehouse.core.limits import HEADER_BYTES_MAX
from lakehouse.core.observation import Observer, RequestEnded
from lakehouse.core.suggestion import did_you_mean
from lakehouse.transport.answer_fields import answer_fields, id_fields, with_error_fields
from lakehouse.transport.asgi import App
from lakehouse.transport.error_shape import ErrorShape, FailedCall
from lakehouse.transport.exchange import Exchange
from lakehouse.transport.head import Fields
from lakehouse.transport.host import check_host, parse_authority
from lakehouse.transport.mounted import pass_on
from lakehouse.transport.origins import check_origin, cors_fields, is_link, preflight_fields
from lakehouse.transport.paths import NO_SEGMENTS, Paths, Place
from lakehouse.transport.request_body import Gone, decode, read_body
from lakehouse.transport.response import Response
from lakehouse.transport.route import Authorize, Call, Route, Routes
from lakehouse.transport.stream import send_pieces

_LOG = logging.getLogger(__name__)
_MILLISECONDS_MAX: Final = 999_999_999

Headers = Mapping[str, Sequence[str]]


class Calls:
    """The running requests of one daemon, so that a drain can wait for them and cancel the rest."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, task: asyncio.Task[None]) -> None:
        """Add a request by its task."""
        self._tasks.add(task)

    def end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)

    def running(self) -> frozenset[asyncio.Task[None]]:
        """Return the requests that run now."""
        return frozenset(self._tasks)

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

    exchange: Exchange
    context: CallContext
    place: Place
    segments: Mapping[str, str]
    started_s: float
    cors: Fields = ()


class Application:
    """What one daemon serves: everything between a connection and a handler."""

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
        mounted: Mapping[str, App] = {},
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
            mounted: Applications by the first part of their paths, such as `/ui`. Hosts and
                origins are checked before them, and nothing else; a drain does not wait for them.
        """
        self._paths = Paths(routes, elsewhere)
        self._calls = calls
        self._inner = inner
        self._authorize = authorize
        self._observer = observer
        self._allowed_origins = allowed_origins
        self._mounted = mounted

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request, whatever happens."""
        started_at_ns, started_s = time.time_ns(), time.perf_counter()
        context = _context(exchange.headers, inner=self._inner)
        current_session.set(context.session_id)
        path = exchange.path
        place, segments, mounted = self._paths.literal.get(path), NO_SEGMENTS, None
        if place is None:
            mounted = self._mounted.get("/" + path[1:].partition("/")[0].partition(".")[0])
            place, segments = self._paths.find(path)
        request = _Request(exchange, context, place, segments, started_s)
        if mounted is not None:
            await self._pass_on(mounted, request)
            return
        task = exchange.task
        assert task is not None, "it answers"
        self._calls.begin(task)
        try:
            response = await self._response(request, task)
            if response is None:
                return
            status, body = response.status, response.body
            fields = answer_fields(response, context, request.cors)
            if not isinstance(body, bytes):
                await exchange.begin(status, fields)
                if exchange.method == "HEAD":  # nobody would take the pieces
                    await body.aclose()
                    await exchange.end()
                else:
                    status = await send_pieces(body, exchange) or status
        finally:
            self._calls.end(task)
        if isinstance(body, bytes):
            await exchange.answer(status, fields, body)
        if self._observer is not None and request.place.observed:
            duration_ms = (time.perf_counter() - started_s) * 1000
            method, path = exchange.method, request.place.path
            self._observer.request(
                RequestEnded(context, method, path, status, started_at_ns, duration_ms)
            )

    async def _pass_on(self, app: App, request: _Request) -> None:
        """Let a mounted application answer, with the ids that every answer has."""
        exchange = request.exchange
        try:
            self._check_source(request, links=True)
            if await pass_on(app, exchange, id_fields(request.context)):
                return
            error: Refusal | InfraError = InfraError("shutdown", "The daemon is stopping.")
        except Refusal as refusal:
            error = refusal
        except Exception:  # noqa: BLE001  the boundary: the caller gets an answer in every case
            error = _crash(exchange)
            if exchange.begun:
                return  # its connection is closed amid the answer
        response = self._error(error, request)
        assert isinstance(response.body, bytes)
        fields = answer_fields(response, request.context, request.cors)
        await exchange.answer(response.status, fields, response.body)

    async def _response(self, request: _Request, task: asyncio.Task[None]) -> Response | None:
        """Return the answer in every case; None if the caller disconnected during its request."""
        try:
            return await self._handled(request)
        except Gone:
            return None
        except asyncio.CancelledError:
            task.uncancel()
            return self._error(InfraError("shutdown", "The daemon is stopping."), request)
        except (Refusal, InfraError) as error:
            return self._error(error, request)
        except Exception:  # noqa: BLE001  the boundary: the caller gets an answer in every case
            return self._error(_crash(request.exchange), request)

    async def _handled(self, request: _Request) -> Response:
        exchange, place = request.exchange, request.place
        method, headers = exchange.method, exchange.headers
        self._check_source(request)
        if request.cors and _is_preflight(request):
            return Response(204, b"", headers=preflight_fields(place.allowed, headers))
        caller = ""
        if self._authorize is not None and place.access == "key":
            caller = self._authorize(headers)
        route = place.routes.get(method) or place.route(method, exchange.path)
        data, body = b"", None
        if route.request is not None:
            data = await read_body(exchange)
            if route.admit is not None:
                route.admit(headers)
            body = decode(data, route.request) if route.read is None else route.read(data)
        query: Mapping[str, str] = {}
        if exchange.query:
            query = dict(parse_qsl(exchange.query, keep_blank_values=True))
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

    def _check_source(self, request: _Request, *, links: bool = False) -> None:
        """Refuse a request for another host, or of another's page, which may link if `links`."""
        exchange, headers = request.exchange, request.exchange.headers
        if exchange.header_bytes > HEADER_BYTES_MAX:
            raise Refusal("too_large", f"The headers take more than {HEADER_BYTES_MAX} bytes.")
        target, hosts = exchange.authority, headers.get("host", ())
        host = parse_authority(hosts[0]) if len(hosts) == 1 and target is None else None
        if host is None or (self._authorize is None and not host.is_loopback):
            host = check_host(
                headers,
                http_version=exchange.version,
                target_authority=target,
                loopback_only=self._authorize is None,
            )
        if links and exchange.method in ("GET", "HEAD") and is_link(headers):
            return
        if "origin" in headers or "sec-fetch-site" in headers:
            page = check_origin(headers, host, self._allowed_origins)
            request.cors = () if page is None else cors_fields(page)

    def _error(self, error: Refusal | InfraError, request: _Request) -> Response:
        place = request.place
        if isinstance(error, InfraError):
            _LOG.warning("%s: %s", place.path, error.told)
        call = FailedCall(request.context.session_id, self._inner, request.started_s)
        response = place.errors.encode(error, call)
        return with_error_fields(response, error, place.allowed if error.status == 405 else ())


def _crash(exchange: Exchange) -> InfraError:
    """Log the error that is handled now: a bug of ours, of which the caller is told only that."""
    _LOG.exception("request failed: %s %s", exchange.method, exchange.path)
    return InfraError("crashed", "The request failed inside Lakehouse.")


def _is_preflight(request: _Request) -> bool:
    return (
        request.exchange.method == "OPTIONS"
        and "access-control-request-method" in request.exchange.headers
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
