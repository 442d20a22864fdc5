"""The application of the pages: addresses, access, errors, and headers that keep pages safe."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from lakehouse.core.errors import InfraError, LakehouseError, Refusal
from lakehouse.transport.asgi import HALF_CLOSED_STATE, App, Message, Receive, Scope, Send
from lakehouse.transport.route import Authorize
from lakehouse.ui import access
from lakehouse.ui.address import BASE, Address, is_of_form, read_address
from lakehouse.ui.faults import fault_headers, fault_of
from lakehouse.ui.filters import log_filter
from lakehouse.ui.form_fields import FORM_BYTES_MAX, form_fields
from lakehouse.ui.live import LiveFeed
from lakehouse.ui.offered_names import OfferedNames, Offers
from lakehouse.ui.page import (
    WAIT,
    Download,
    Form,
    FormRequest,
    Page,
    PageRequest,
    Shown,
)
from lakehouse.ui.queries import Queries
from lakehouse.ui.rendering import STATIC, Site, is_current, render
from lakehouse.ui.replay_reading import ReplayReadings
from lakehouse.ui.sections import sections
from lakehouse.ui.sign_in import SignIn, safe_next
from lakehouse.ui.sources import PageSources

_LOG = logging.getLogger(__name__)
_ID: Final = re.compile(r"[0-9a-f]{32}")
_DASHED: Final = re.compile(
    r"([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})"
)
_HTML: Final = "text/html; charset=utf-8"
_DATA: Final = (".csv", ".json", ".jsonl", ".parquet", ".sql")
_LATE_S: Final = 31_536_000

Endpoint = Callable[[Request], Awaitable[Response]]


class OpeningPage(msgspec.Struct, frozen=True):
    """A page that a browser leaves at once for `url`, now as a page of ours."""

    url: str


class Pages:
    """The pages over one log, as an ASGI application. Serves everything below `BASE`."""

    def __init__(self, sources: PageSources, *, authorize: Authorize | None = None) -> None:
        """Serve pages; `authorize` raises a `Refusal` for a caller without a key."""
        self._sources = sources
        self._authorize = authorize
        self._live = LiveFeed(sources)
        self._names = OfferedNames(sources.readings)
        self._queries = Queries(sources.log)
        self._replays = ReplayReadings(sources.log)
        self._sections = sections(sources, self._live, self._queries, self._replays)
        self._starlette = Starlette(
            routes=self._routes(),
            middleware=[Middleware(_SafeHeaders)],
            exception_handlers={HTTPException: self._missing, LakehouseError: self._failed},
            max_body_size=FORM_BYTES_MAX,
        )
        self._starlette.router.redirect_slashes = False  # by an address with a scheme, maybe wrong
        self.app: App = self._starlette

    @property
    def all(self) -> tuple[Page, ...]:
        """All pages, in the order of the navigation."""
        return tuple(page for section in self._sections for page in section.pages)

    def stop(self) -> None:
        """End the live views and all questions, so that their connections can be closed.

        Does not wait; pages that wait get `shutdown`.
        """
        self._live.stop()
        self._sources.readings.stop()
        self._replays.stop()
        self._queries.stop()

    def close(self) -> None:
        """Stop, and end the processes that read the log."""
        self.stop()
        self._replays.close()
        self._sources.readings.close()

    def _routes(self) -> list[BaseRoute]:
        routes: list[BaseRoute] = [
            Mount(f"{BASE}/static", StaticFiles(directory=str(STATIC))),
            *SignIn(self._authorize, self._sign_in_page).routes(),
            Route(f"{BASE}/find", self._guarded(self._find), methods=["GET"]),
            Route(f"{BASE}/live", self._guarded(self._watch), methods=["GET"]),
            Route(f"{BASE}/", self._start, methods=["GET"]),
        ]
        for section in self._sections:
            for download in section.downloads:
                give = self._guarded(self._download(download))
                routes.append(Route(BASE + download.path, give, methods=["GET"]))
            for page in section.pages:
                data = self._guarded(self._data(page))
                show = self._guarded(self._page(page), waits=WAIT in page.own)
                routes.append(Route(f"{BASE}{page.path}.json", data, methods=["GET"]))
                routes.append(Route(BASE + page.path, show, methods=["GET"]))
            for form in section.forms:
                take = self._guarded(self._form(form))
                routes.append(Route(BASE + form.path, take, methods=["POST"]))
        return routes

    def _guarded(self, endpoint: Endpoint, *, waits: bool = False) -> Endpoint:
        """Let only callers with a key through; a browser without one is asked for it."""

        async def guarded(request: Request) -> Response:
            try:
                request.state.caller = access.caller_of(request, self._authorize)
            except Refusal:
                from_elsewhere = request.headers.get("sec-fetch-site") == "cross-site"
                if not _wants_page(request) or (from_elsewhere and _is_data(request.url.path)):
                    raise
                if from_elsewhere:
                    # A link from elsewhere: the browser did not send our cookie. It does so as
                    # soon as a page of ours goes there.
                    opening = OpeningPage(_own_url(request, f"{WAIT}=true" if waits else ""))
                    return self._shown(request, "opening.html", opening, "Opening")
                where = f"{BASE}/login?next={quote(_own_url(request), safe='')}"
                return RedirectResponse(where, status_code=303)
            try:
                return await endpoint(request)
            except (LakehouseError, HTTPException):
                raise
            except Exception as error:  # the reader gets a page in every case
                # A bug in our code: the reader is told only that, the log has the details.
                _LOG.exception("a page failed: %s", request.url.path)
                raise InfraError("crashed", "The page failed inside Lakehouse.") from error

        return guarded

    def _page(self, page: Page) -> Endpoint:
        async def show(request: Request) -> Response:
            if is_of_form(request.scope["query_string"]):
                return RedirectResponse(self._asked(request, page).address.here(), status_code=303)
            asked = self._asked(request, page)
            done = _with_status(await page.model(asked))
            offers = await self._names.offers() if page.filters else {}
            # In a thread: a page of two megabytes takes a second, and sessions go on meanwhile.
            return await asyncio.to_thread(
                self._shown,
                *(request, page.template, done.page, page.title),
                here=asked.address,
                page=page,
                status=done.status,
                offers=offers,
            )

        return show

    def _data(self, page: Page) -> Endpoint:
        async def give(request: Request) -> Response:
            done = _with_status(await page.model(self._asked(request, page)))
            data = await asyncio.to_thread(msgspec.json.encode, done.page)
            return Response(data, done.status, media_type="application/json")

        return give

    def _download(self, download: Download) -> Endpoint:
        async def give(request: Request) -> Response:
            asked = self._asked(request, download)
            headers = {"content-disposition": f'attachment; filename="{download.file_name}"'}
            if request.method == "HEAD":  # nobody would take the file: it is not made
                return Response(media_type=download.media_type, headers=headers)
            pieces = download.pieces(asked)
            first = await anext(pieces, b"")  # what fails, fails here: as a page that says so
            return StreamingResponse(
                _joined(first, pieces), media_type=download.media_type, headers=headers
            )

        return give

    def _form(self, form: Form) -> Endpoint:
        async def take(request: Request) -> Response:
            fields = await form_fields(request)
            access.check_form(request, fields)
            asked = self._asked(request, form)
            sent = FormRequest(
                **msgspec.structs.asdict(asked), fields=fields, caller=request.state.caller
            )
            done = await form.take(sent)
            if isinstance(done, str):
                return RedirectResponse(done, status_code=303)
            return await asyncio.to_thread(
                self._shown,
                *(request, form.template, done.page, form.title),
                here=asked.address,
                entry=form.entry,
                status=done.status,
            )

        return take

    def _asked(self, request: Request, page: Page | Download | Form) -> PageRequest:
        filters = page.filters if isinstance(page, Page) else True
        path = page.path
        for name, value in request.path_params.items():
            path = path.replace("{" + name + "}", value)
        query = request.scope["query_string"]
        address = read_address(path, query, page.own, filters=filters)
        where = log_filter(address.criteria, datetime.now(UTC))
        asked_here = request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
        return PageRequest(address, where, request.path_params, asked_here, partial(_gone, request))

    def _shown(
        self,
        request: Request,
        template: str,
        model: msgspec.Struct,
        title: str,
        *,
        here: Address | None = None,
        page: Page | None = None,
        entry: str = "",
        status: int = 200,
        offers: Offers | None = None,
    ) -> Response:
        token = access.form_token(request)
        site = Site(
            entry=page.entry if page is not None else entry,
            title=title,
            with_stack=self._sources.stack is not None,
            with_keys=self._authorize is not None,
            caller=getattr(request.state, "caller", ""),
            form_token=token,
            filters=page is not None and page.filters,
            offers=offers or {},
        )
        text = render(template, model, here or Address(""), site)
        response = Response(text, status_code=status, media_type=_HTML)
        access.keep_form_token(response, request, token)
        return response

    def _sign_in_page(
        self, request: Request, template: str, model: msgspec.Struct, title: str, status: int
    ) -> Response:
        return self._shown(request, template, model, title, status=status)

    async def _start(self, _: Request) -> Response:
        return RedirectResponse(BASE, status_code=308)

    async def _find(self, request: Request) -> Response:
        """Go to the session whose id is in the text, or to the sessions that have the text."""
        wanted = request.query_params.get("q", "").strip()
        found = _ID.search(_DASHED.sub(r"\1\2\3\4\5", wanted.lower()))
        here = Address("")
        url = here.plain(f"/sessions/{found[0]}") if found else here.plain("/sessions", text=wanted)
        return RedirectResponse(url if wanted else here.plain("/sessions"), status_code=303)

    async def _watch(self, request: Request) -> Response:
        self._live.admit()
        if request.method == "HEAD":  # nobody would take the stream
            return Response(media_type="text/event-stream")
        return StreamingResponse(
            self._live.events(request.scope["state"]),
            media_type="text/event-stream",
            headers={"x-accel-buffering": "no", "cache-control": "no-store"},
        )

    async def _missing(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            refusal = Refusal("method_not_allowed", f"{request.method} is not allowed here.")
        elif error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            refusal = Refusal("too_large", f"A form may take {FORM_BYTES_MAX} bytes.")
        else:
            refusal = Refusal(
                "not_found",
                f"There is no page at {request.url.path!r}.",
                hint=f"The pages begin at {BASE}.",
            )
        return self._fault(request, refusal, error.headers or {})

    async def _failed(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, LakehouseError)
        if not isinstance(error, Refusal):
            _LOG.warning("%s: %s", request.url.path, error.internal)
        return self._fault(request, error, {})

    def _fault(
        self, request: Request, error: LakehouseError, headers: Mapping[str, str]
    ) -> Response:
        fault = fault_of(error)
        if _wants_page(request):
            page = self._shown(request, "error.html", fault, fault.title, status=fault.status)
        else:
            data = msgspec.json.encode(fault)
            page = Response(data, fault.status, media_type="application/problem+json")
        page.headers.update({**headers, **fault_headers(error)})
        return page


class _SafeHeaders:
    """Adds to every answer what keeps a page safe in a browser."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                name = scope["path"].removeprefix(f"{BASE}/static/")
                query = scope["query_string"].decode("latin-1")
                if message["status"] == HTTPStatus.OK and is_current(name, query):
                    headers["cache-control"] = f"public, max-age={_LATE_S}, immutable"
                access.add_safety_headers(headers)
            await send(message)

        await self._app(scope, receive, safe)


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _is_data(path: str) -> bool:
    """Whether programs take what is at this path. An id may have dots, too."""
    return path == f"{BASE}/live" or path.endswith(_DATA)


def _wants_page(request: Request) -> bool:
    """Whether a person waits for the answer, and not a program; a browser may go to a file, too."""
    goes_there = request.headers.get("sec-fetch-mode", "navigate") == "navigate"
    by_browser = goes_there and "text/html" in request.headers.get("accept", "")
    return by_browser or not _is_data(request.url.path)


async def _gone(request: Request) -> bool:
    """Whether nobody waits any more; a browser that goes first closes only its side."""
    return HALF_CLOSED_STATE in request.scope["state"] or await request.is_disconnected()


def _with_status(model: msgspec.Struct) -> Shown:
    return model if isinstance(model, Shown) else Shown(model)


def _own_url(request: Request, more: str = "") -> str:
    query = "&".join(filter(None, (request.url.query, more)))
    return safe_next(request.url.path + (f"?{query}" if query else ""))
