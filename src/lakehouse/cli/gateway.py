"""Calls from the command line to a running gateway, and errors when there is none.

Whatever answers at an address may be something else: a web page, a proxy, another daemon, nobody.
Each is one clear error, and "could not be run", never "not accepted".
"""

from collections.abc import Coroutine, Mapping
from typing import Any, Final, TypeVar

import msgspec

from lakehouse.core.chat import ModelName
from lakehouse.core.errors import InfraError, Refusal, SetupError
from lakehouse.core.limits import (
    CONNECT_TIMEOUT_MS_DEFAULT,
    DEADLINE_MS_DEFAULT,
    DEADLINE_MS_MAX,
    LOAD_BUDGET_MS_MAX,
    ROW_BYTES_MAX,
)
from lakehouse.core.session import IterateRequest, SessionReply
from lakehouse.engine.task import find_kind, find_model
from lakehouse.transport.client import (
    HttpClient,
    HttpLimits,
    HttpReply,
    TransportFault,
    check_header,
    check_url,
)
from lakehouse.transport.liveness import while_alive
from lakehouse.transport.problem import PROBLEM_TYPE, error_of
from lakehouse.transport.reason import hint_for, words_of

_GREETING_MS: Final = 5_000  # for /livez, which any gateway answers at once
_ASK_MS: Final = 30_000  # for what needs no model
_SESSION_MS: Final = DEADLINE_MS_MAX + LOAD_BUDGET_MS_MAX
_NOT_HERE: Final = frozenset({"not_found", "method_not_allowed"})

_T = TypeVar("_T")


class _Alive(msgspec.Struct):
    alive: bool


class _Named(msgspec.Struct):
    name: str
    model: str = ""
    digest: str = ""


class _Kinds(msgspec.Struct):
    kinds: tuple[_Named, ...]


class _JudgedBy(msgspec.Struct):
    tables: dict[str, str]


class _Rows(msgspec.Struct):
    rows: tuple[_JudgedBy, ...]


class _Models(msgspec.Struct):
    models: tuple[ModelName, ...]


class GatewayCaller:
    """Speaks to one gateway, with the key that a variable of the environment holds.

    Before the first call it sees that a gateway is there.

    Raises:
        SetupError: The URL or the key cannot be used as they stand.
    """

    def __init__(self, url: str, api_key_env: str | None, environment: Mapping[str, str]) -> None:
        self._url = url.rstrip("/")
        self._http = HttpClient()
        self._headers = {"content-type": "application/json"}
        self._greeted = False
        try:
            check_url(self._url)
        except ValueError as error:
            raise SetupError(
                f"The gateway's URL is invalid: {error}.", hint="Such as http://127.0.0.1:4110."
            ) from error
        if api_key_env is not None:
            key = environment.get(api_key_env)
            if not key:
                raise SetupError(f"${api_key_env} is named by --api-key-env, but is not set.")
            self._headers["authorization"] = f"Bearer {key}"
            try:
                check_header("authorization", self._headers["authorization"])
            except ValueError as error:
                raise SetupError(
                    f"${api_key_env} contains a character that is not allowed in a key, such as "
                    f"a line break."
                ) from error

    async def iterate(self, request: IterateRequest) -> SessionReply:
        """Run one session.

        Raises:
            Refusal: The gateway did not take it on.
            InfraError: `connect`: no gateway answers there.
        """
        return (await self.post(request))[0]

    async def post(self, request: IterateRequest) -> tuple[SessionReply, bytes]:
        """Run one session, and give the reply's own bytes too; raises as `iterate` does."""
        await self._greet()
        call = self._http.post(
            self._url + "/v1/iterate",
            headers=self._headers,
            body=msgspec.json.encode(request),
            limits=_limits(_SESSION_MS),
        )
        patience_ms = request.deadline_ms or DEADLINE_MS_DEFAULT
        reply = await self._reply(
            while_alive(call, http=self._http, url=self._url, patience_ms=patience_ms)
        )
        return self._decoded(reply, SessionReply), reply.body

    async def facts(self, request: IterateRequest) -> tuple[str, str]:
        """Return the digest of the request's kind and the provider's model name, from the gateway.

        Raises as `iterate` does, and where the gateway does not know the kind or the model.
        """
        kinds = (await self._get("/v1/kinds", _Kinds)).kinds
        kind = find_kind(request.kind or "", {kind.name: kind for kind in kinds})
        models = (await self._get("/v1/models", _Models)).models
        alias = request.model or kind.model
        return kind.digest, find_model(alias, {model.name: model for model in models}).model

    async def tables(self, row_id: str) -> dict[str, str] | None:
        """Return the digests of a session's tables; None if its row is missing."""
        await self._greet()
        url = f"{self._url}/v1/sessions/{row_id}"
        reply = await self._reply(
            self._http.get(url, headers=self._headers, limits=_limits(_ASK_MS)), may_miss=True
        )
        if reply.status == 404:
            return None
        rows = self._decoded(reply, _Rows).rows
        return rows[0].tables if rows else None

    async def close(self) -> None:
        await self._http.close()

    async def _greet(self) -> None:
        if self._greeted:
            return
        call = self._http.get(self._url + "/livez", headers={}, limits=_limits(_GREETING_MS))
        if not self._decoded(await self._reply(call), _Alive).alive:
            raise self._no_gateway("it reports that it is not alive")
        self._greeted = True

    async def _get(self, path: str, kind: type[_T]) -> _T:
        await self._greet()
        call = self._http.get(self._url + path, headers=self._headers, limits=_limits(_ASK_MS))
        return self._decoded(await self._reply(call), kind)

    async def _reply(
        self, call: Coroutine[Any, Any, HttpReply], *, may_miss: bool = False
    ) -> HttpReply:
        """Wait for an answer, and raise what it stands for where it is a problem of ours."""
        try:
            reply = await call
        except TransportFault as fault:
            raise self._unreached(fault) from fault
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
                hint="Set --api-key-env to the name of the environment variable that contains it.",
            )
        raise error

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
            hint="Set --url to the gateway's root, such as http://127.0.0.1:4110; "
            "`lakehouse up` starts one.",
        )

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
            hint=hint_for(fault.reason, server="a gateway (`lakehouse up`)", setting="--url"),
            internal=str(fault),
        )


def _limits(total_ms: int) -> HttpLimits:
    connect_ms = min(CONNECT_TIMEOUT_MS_DEFAULT, total_ms)
    return HttpLimits(connect_ms, total_ms, total_ms, total_ms, 4 * ROW_BYTES_MAX)
