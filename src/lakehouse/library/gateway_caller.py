"""Calls to a running gateway's public API, and errors when there is none.

Whatever answers at an address may be something else: a web page, a proxy, another daemon, nobody.
Each is one clear error, and "could not be run", never "not accepted".
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from lakehouse.core.chat import ModelStatus
from lakehouse.core.config_state import ConfigState
from lakehouse.core.context import TRACE_ID_HEADER, CallContext
from lakehouse.core.errors import InfraError, Refusal, SetupError
from lakehouse.core.limits import (
    CONNECT_TIMEOUT_MS_DEFAULT,
    DEADLINE_MS_DEFAULT,
    DEADLINE_MS_MAX,
    LOAD_BUDGET_MS_MAX,
    ROW_BYTES_MAX,
)
from lakehouse.core.ports import KindInfo
from lakehouse.core.session import Attempt, IterateRequest, Judged, SessionReply
from lakehouse.engine.run import logged_reply
from lakehouse.engine.task import find_kind, find_model
from lakehouse.library.row_search import RowSearch
from lakehouse.transport.client import (
    HttpClient,
    HttpLimits,
    HttpReply,
    TransportFault,
    check_header,
    check_url,
)
from lakehouse.transport.liveness import Silent, while_alive
from lakehouse.transport.problem import PROBLEM_TYPE, error_of
from lakehouse.transport.reason import hint_for, words_of
from lakehouse.validatord.attempt_lines import LINES_TYPE, LineReader, whole_answer

_GREETING_MS: Final = 5_000  # for /livez, which any gateway answers at once
_ASK_MS: Final = 30_000  # for what needs no model
_RELOAD_MS: Final = 300_000  # many kinds are compiled, and each rule is tried
_SESSION_MS: Final = DEADLINE_MS_MAX + LOAD_BUDGET_MS_MAX
_NOT_HERE: Final = frozenset({"not_found", "method_not_allowed"})
_OF_PROXIES: Final = frozenset({502, 503, 504})
_LOOKS_AT_ONCE: Final = 4  # of one client: each reads the log, and a restart loses many sessions

_T = TypeVar("_T")


class CallerWords(msgspec.Struct, frozen=True):
    """What errors call the settings of a caller. `needs_key`: how a key is given."""

    url: str
    needs_key: str


class _Alive(msgspec.Struct):
    alive: bool


class _Kinds(msgspec.Struct):
    kinds: tuple[KindInfo, ...]


class _JudgedBy(msgspec.Struct):
    tables: dict[str, str]


class _Rows(msgspec.Struct, Generic[_T]):
    rows: tuple[_T, ...]


class _Models(msgspec.Struct):
    models: tuple[ModelStatus, ...]


class _Lost(Exception):
    """No answer arrived to a call whose session may run, or have run."""

    def __init__(self, error: InfraError) -> None:
        super().__init__(error.public)
        self.error = error


class GatewayCaller:
    """Speaks to one gateway, in one event loop.

    Before the first call it sees that a gateway is there.
    """

    def __init__(
        self, url: str, api_key: str | None, words: CallerWords, *, key_name: str = "The API key"
    ) -> None:
        """Prepare calls to a gateway's root; a `/` or `/v1` at the end of it is ignored.

        Raises:
            SetupError: The URL or the key cannot be used as they stand.
        """
        self._url = url.rstrip("/").removesuffix("/v1").rstrip("/")
        self._words = words
        self._headers = {"content-type": "application/json"}
        self._greeted = False
        try:
            check_url(self._url)
        except ValueError as error:
            raise SetupError(
                f"The gateway's URL is invalid: {error}.", hint="Such as http://127.0.0.1:4110."
            ) from error
        if api_key == "":
            raise SetupError(f"{key_name} is empty.", hint=words.needs_key)
        if api_key is not None:
            self._headers["authorization"] = f"Bearer {api_key}"
            try:
                check_header("authorization", self._headers["authorization"])
            except ValueError as error:
                raise SetupError(
                    f"{key_name} contains a character that is not allowed in a key, such as "
                    f"a line break."
                ) from error
        self._http = HttpClient()
        self._closed = asyncio.Event()
        self._looks = asyncio.Semaphore(_LOOKS_AT_ONCE)

    async def iterate(
        self, request: IterateRequest, context: CallContext, *, judged: Judged | None = None
    ) -> SessionReply:
        """Run one session, under the session id of `context`.

        `judged` gets each attempt once, in order. If the connection is lost when the session may
        have begun, the reply is made from the session's row, which is waited for until its time is
        over: the deadline, 180 s for a model that loads, and a grace. Nothing is sent twice.

        Raises:
            Refusal: The gateway did not take it on.
            InfraError: `connect`: no gateway answers there. `crashed`: the connection was lost, and
                no row was found, or several that may be this session's.
        """
        search = RowSearch(request, context)
        once = None if judged is None else _Once(judged)
        try:
            reply, _ = await self._session(search.request, context.session_id, once)
        except _Lost as lost:
            row = await search.row(self._logged, self._closed)
            if row is None:
                raise lost.error from lost.__cause__
            reply = logged_reply(row)
        if once is not None:
            for attempt in reply.attempts:
                once(attempt)
        return reply

    async def post(self, request: IterateRequest) -> tuple[SessionReply, bytes]:
        """Run one session under an id of the gateway's; give the reply's own bytes too.

        Raises as `iterate` does. A lost connection is `connect`: nobody knows the session's id.
        """
        return await self._session(request, None, None)

    async def kinds(self) -> tuple[KindInfo, ...]:
        """Return the gateway's kinds; raises as `iterate` does."""
        return (await self._get("/v1/kinds", _Kinds)).kinds

    async def models(self) -> tuple[ModelStatus, ...]:
        """Return the gateway's models; raises as `iterate` does."""
        return (await self._get("/v1/models", _Models)).models

    async def reload(self) -> ConfigState:
        """Have the gateway read its configuration anew; raises as `iterate` does.

        Raises:
            Refusal: `invalid_config`: what was served before still is. Or `unauthorized`.
        """
        await self._greet()
        call = self._http.post(
            self._url + "/v1/reload", headers=self._headers, body=b"", limits=_limits(_RELOAD_MS)
        )
        return self._decoded(self._checked(await self._reply(call)), ConfigState)

    async def facts(self, request: IterateRequest) -> tuple[str, str]:
        """Return the digest of the request's kind and the provider's model name, from the gateway.

        Raises as `iterate` does, and where the gateway does not know the kind or the model.
        """
        kind = find_kind(request.kind or "", {kind.name: kind for kind in await self.kinds()})
        models = {model.name: model for model in await self.models()}
        return kind.digest, find_model(request.model or kind.model, models).model

    async def tables(self, row_id: str) -> dict[str, str] | None:
        """Return the digests of a session's tables; None if its row is missing."""
        rows = await self._rows(row_id, _Rows[_JudgedBy])
        return rows[0].tables if rows else None

    async def close(self) -> None:
        """Close the connections; calls that still run fail."""
        self._closed.set()
        await self._http.close()

    async def _session(
        self, request: IterateRequest, session_id: str | None, judged: Judged | None
    ) -> tuple[SessionReply, bytes]:
        """Run one session; `judged` gets the attempts that arrive before the reply does.

        Raises:
            _Lost: With a session id: the session may run, or have run.
        """
        await self._greet()
        headers = dict(self._headers)
        if session_id is not None:
            headers[TRACE_ID_HEADER] = session_id
        if judged is not None:
            headers["accept"] = LINES_TYPE
        call = self._http.post(
            self._url + "/v1/iterate",
            headers=headers,
            body=msgspec.json.encode(request),
            limits=_limits(_SESSION_MS),
            arrived=None if judged is None else LineReader(judged).arrived,
        )
        patience_ms = request.deadline_ms or DEADLINE_MS_DEFAULT
        waited = while_alive(call, http=self._http, url=self._url, patience_ms=patience_ms)
        reply = self._checked(whole_answer(await self._reply(waited, session_id=session_id)))
        return self._whole(reply, session_id), reply.body

    async def _logged(self, session_id: str) -> Sequence[msgspec.Raw]:
        async with self._looks:
            return await self._rows(session_id, _Rows[msgspec.Raw])

    async def _rows(self, identity: str, kind: type[_Rows[_T]]) -> Sequence[_T]:
        """Return the newest rows of a session, or the row of a row id; none if there is none."""
        await self._greet()
        url = f"{self._url}/v1/sessions/{identity}"
        call = self._http.get(url, headers=self._headers, limits=_limits(_ASK_MS))
        reply = self._checked(await self._reply(call), may_miss=True)
        return () if reply.status == 404 else self._decoded(reply, kind).rows

    async def _greet(self) -> None:
        if self._greeted:
            return
        call = self._http.get(self._url + "/livez", headers={}, limits=_limits(_GREETING_MS))
        if not self._decoded(self._checked(await self._reply(call)), _Alive).alive:
            raise self._no_gateway("it reports that it is not alive")
        self._greeted = True

    async def _get(self, path: str, kind: type[_T]) -> _T:
        await self._greet()
        call = self._http.get(self._url + path, headers=self._headers, limits=_limits(_ASK_MS))
        return self._decoded(self._checked(await self._reply(call)), kind)

    async def _reply(
        self, call: Coroutine[Any, Any, HttpReply], *, session_id: str | None = None
    ) -> HttpReply:
        """Wait for an answer; `session_id` is of the session that the call asks for."""
        try:
            return await call
        except TransportFault as fault:
            if session_id is None or fault.unsent:
                raise self._unreached(fault) from fault
            silent = isinstance(fault, Silent)
            why = "it stopped answering" if silent else fault.detail.rpartition(": ")[2]
            raise self._lost(why, session_id, internal=str(fault)) from fault

    def _checked(self, reply: HttpReply, *, may_miss: bool = False) -> HttpReply:
        """Raise what an answer stands for where it is a problem of ours, or not of a gateway."""
        if 300 <= reply.status < 400:
            place = reply.headers.get("location", "nowhere")[:200]
            raise self._no_gateway(f"it redirects to {place!r}")
        if not reply.headers.get("content-type", "").startswith(PROBLEM_TYPE):
            return reply
        error = error_of(reply.body, reply.headers.get("retry-after", ""))
        if error is None or (error.code in _NOT_HERE and not may_miss):
            raise self._no_gateway(f"{reply.status}: {'' if error is None else error.public}")
        if may_miss and error.code == "not_found":
            return reply
        if error.code == "unauthorized":
            raise Refusal(
                "unauthorized",
                f"The gateway at {self._url} requires an API key: {error.public}",
                hint=self._words.needs_key,
            )
        raise error

    def _whole(self, reply: HttpReply, session_id: str | None) -> SessionReply:
        try:
            return self._decoded(reply, SessionReply)
        except InfraError as error:
            cut = reply.headers.get("content-type") == LINES_TYPE  # by a proxy of HTTP/1.0
            if session_id is None or not (cut or reply.status in _OF_PROXIES):
                raise
            why = f"a proxy before it answered with status {reply.status}"
            if cut:
                why = "the answer was cut"
            raise self._lost(why, session_id, internal=error.public) from error

    def _decoded(self, reply: HttpReply, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(reply.body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            media_type = reply.headers.get("content-type", "")[:80]
            what = "nothing" if not reply.body.strip() else repr(media_type)
            raise self._no_gateway(f"status {reply.status} with {what}: {error}") from error

    def _no_gateway(self, what: str) -> InfraError:
        return InfraError(
            "connect",
            f"The server at {self._url} is not a Lakehouse gateway: {what.rstrip(' .:')}.",
            hint=f"Set {self._words.url} to the gateway's root, such as http://127.0.0.1:4110; "
            "`lakehouse up` starts one.",
        )

    def _lost(self, why: str, session_id: str, *, internal: str) -> _Lost:
        error = InfraError(
            "crashed",
            f"The gateway at {self._url} was lost during the session: {why}.",
            hint="The session may go on there. Its row, if there is one, has the session id "
            f"{session_id}: GET /v1/sessions/{session_id}.",
            internal=internal,
        )
        error.session_id = session_id
        return _Lost(error)

    def _unreached(self, fault: TransportFault) -> InfraError:
        if fault.kind == "connect":
            why = words_of(fault.reason, fault.detail)
        elif fault.kind == "malformed":
            return self._no_gateway(f"it does not speak HTTP: {fault.detail}")
        else:
            why = fault.detail.rpartition(": ")[2]
        return InfraError(
            "connect",
            f"No gateway answers at {self._url}: {why}.",
            hint=hint_for(
                fault.reason, server="a gateway (`lakehouse up`)", setting=self._words.url
            ),
            internal=str(fault),
        )


def _limits(total_ms: int) -> HttpLimits:
    connect_ms = min(CONNECT_TIMEOUT_MS_DEFAULT, total_ms)
    return HttpLimits(connect_ms, total_ms, total_ms, total_ms, 8 * ROW_BYTES_MAX)


class _Once:
    """Tells each attempt of a session once, in order, however often it arrives."""

    def __init__(self, judged: Judged) -> None:
        self._judged = judged
        self._told = 0

    def __call__(self, attempt: Attempt) -> None:
        if attempt.iteration == self._told:
            self._told += 1
            self._judged(attempt)
