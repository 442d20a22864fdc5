"""`Validator` over HTTP: another process runs the sessions.

A failed call is `connect` if the daemon certainly did not receive it, and `crashed` if it may have:
then the daemon itself writes the row, if any.
"""

from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec

from lakehouse.core.context import DEADLINE_HEADER, CallContext
from lakehouse.core.errors import InfraError
from lakehouse.core.limits import (
    CONNECT_GRACE_MS,
    CONNECT_TIMEOUT_MS_DEFAULT,
    DEADLINE_MS_DEFAULT,
    DEADLINE_MS_MAX,
    LOAD_BUDGET_MS_MAX,
    ROW_BYTES_MAX,
    VALIDATE_MS_MAX,
)
from lakehouse.core.ports import KindInfo, ValidateRequest
from lakehouse.core.session import IterateRequest, Judged, SessionReply, ValidateReply
from lakehouse.transport.answer import decode_answer
from lakehouse.transport.client import Arrived, HttpClient, HttpLimits, HttpReply, TransportFault
from lakehouse.transport.liveness import Silent, while_alive
from lakehouse.transport.reason import hint_for, words_of
from lakehouse.validatord.attempt_lines import LINES_TYPE, LineReader, whole_answer

_T = TypeVar("_T")

# Only the validator knows how long a session takes; the client checks that it is alive.
_SESSION_MS = DEADLINE_MS_MAX + LOAD_BUDGET_MS_MAX + 10_000
_CHECK_MS = VALIDATE_MS_MAX + 5_000  # for the routes that call no model
_CHECK_PATIENCE_MS = 3_000  # of those routes; then liveness is checked


class _Kinds(msgspec.Struct):
    kinds: tuple[KindInfo, ...]


class ValidatorClient:
    """Calls a `validatord` at a base URL such as `http://127.0.0.1:4112`.

    `deadline_ms` is for sessions whose request sets none. After a session's deadline the client
    waits on only while the daemon passes its liveness checks.
    """

    def __init__(
        self,
        http: HttpClient,
        url: str,
        *,
        api_key: str | None = None,
        deadline_ms: int = DEADLINE_MS_DEFAULT,
    ) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._deadline_ms = deadline_ms
        self._headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}

    async def iterate(
        self, request: IterateRequest, context: CallContext, *, judged: Judged | None = None
    ) -> SessionReply:
        """Forward a session; the port documents the guarantees.

        Raises:
            InfraError: `connect`: the daemon certainly did not receive the call. `crashed`: it may
            have.
        """
        headers = context.hop_headers()
        if request.deadline_ms is not None:
            headers[DEADLINE_HEADER] = str(request.deadline_ms)
        reader = None if judged is None else LineReader(judged)
        if reader is not None:
            headers["accept"] = LINES_TYPE
        reply = await self._post(
            "/v1/iterate",
            msgspec.json.encode(request),
            headers,
            total_ms=_SESSION_MS,
            patience_ms=request.deadline_ms or self._deadline_ms,
            arrived=None if reader is None else reader.arrived,
        )
        return _decoded(whole_answer(reply), SessionReply)

    async def validate(self, request: ValidateRequest) -> ValidateReply:
        reply = await self._post(
            "/v1/validate",
            msgspec.json.encode(request),
            {},
            total_ms=_CHECK_MS,
            patience_ms=_CHECK_PATIENCE_MS,
        )
        return _decoded(reply, ValidateReply)

    async def kinds(self) -> tuple[KindInfo, ...]:
        call = self._http.get(
            self._url + "/v1/kinds",
            headers=self._headers,
            limits=_limits(_CHECK_MS, _CHECK_PATIENCE_MS),
        )
        reply = await self._answer(call, _CHECK_PATIENCE_MS)
        return _decoded(reply, _Kinds).kinds

    async def _post(
        self,
        path: str,
        body: bytes,
        headers: dict[str, str],
        *,
        total_ms: int,
        patience_ms: int,
        arrived: Arrived | None = None,
    ) -> HttpReply:
        headers |= self._headers | {"content-type": "application/json"}
        call = self._http.post(
            self._url + path,
            headers=headers,
            body=body,
            limits=_limits(total_ms, patience_ms),
            arrived=arrived,
        )
        return await self._answer(call, patience_ms)

    async def _answer(self, call: Coroutine[Any, Any, HttpReply], patience_ms: int) -> HttpReply:
        try:
            return await while_alive(call, http=self._http, url=self._url, patience_ms=patience_ms)
        except TransportFault as fault:
            raise _unreached(fault) from fault


def _limits(total_ms: int, patience_ms: int) -> HttpLimits:
    return HttpLimits(
        connect_ms=min(CONNECT_TIMEOUT_MS_DEFAULT, patience_ms + CONNECT_GRACE_MS),
        first_byte_ms=total_ms,
        idle_ms=total_ms,
        total_ms=total_ms,
        body_bytes_max=8 * ROW_BYTES_MAX,  # the attempts as lines, and once more in the reply
    )


def _decoded(reply: HttpReply, kind: type[_T]) -> _T:
    return decode_answer(reply, kind, daemon="validatord", unreadable="crashed")


def _unreached(fault: TransportFault) -> InfraError:
    internal = f"validatord: {fault}"
    if isinstance(fault, Silent):
        return InfraError(
            "crashed",
            "The validator stopped answering.",
            hint="Check the validatord process: it is stopped or hangs. Find the row, if there is "
            "one, by the row_id.",
            internal=internal,
        )
    if fault.kind in {"connect", "timeout_connect"} and fault.unsent:
        return InfraError(
            "connect",
            f"The validator cannot be reached: {words_of(fault.reason, fault.detail)}.",
            hint=hint_for(fault.reason, server="validatord", setting="validatord.url"),
            internal=internal,
        )
    return InfraError(
        "crashed",
        "The validator closed the connection during the session.",
        hint="Check validatord's log for the reason. Find the row, if there is one, by the row_id.",
        internal=internal,
    )
