"""`Validator` over HTTP: another process runs the sessions.

What happened is kept apart by what can be known: a daemon that surely never saw the call is
`connect`; one that may have seen it is `crashed`, and its row, if any, is its own.
"""

import msgspec

from lakehouse.core.context import DEADLINE_HEADER, CallContext
from lakehouse.core.errors import InfraError
from lakehouse.core.limits import (
    CONNECT_TIMEOUT_MS_DEFAULT,
    DEADLINE_MS_DEFAULT,
    LOAD_BUDGET_MS_DEFAULT,
    ROW_BYTES_MAX,
)
from lakehouse.core.ports import KindInfo, ValidateRequest
from lakehouse.core.session import IterateRequest, SessionReply, ValidateReply
from lakehouse.transport.answer import decode_answer
from lakehouse.transport.client import HttpClient, HttpLimits, HttpReply, TransportFault

_ANSWER_MARGIN_MS = 10_000  # beyond deadline and load budget: for the row, and a slow disk
_CHECK_MS = 30_000  # for the routes that ask no model


class _Kinds(msgspec.Struct):
    kinds: tuple[KindInfo, ...]


class ValidatorClient:
    """Speaks to a `validatord` at a base URL such as `http://127.0.0.1:4112`."""

    def __init__(self, http: HttpClient, url: str, *, api_key: str | None = None) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}

    async def iterate(self, request: IterateRequest, context: CallContext) -> SessionReply:
        """Send a session on; see the port for what holds.

        Raises:
            InfraError: `connect`: the daemon surely never saw the call. `crashed`: it may have.
        """
        deadline_ms = request.deadline_ms or DEADLINE_MS_DEFAULT
        headers = context.hop_headers()
        if request.deadline_ms is not None:
            headers[DEADLINE_HEADER] = str(request.deadline_ms)
        reply = await self._post(
            "/v1/iterate",
            msgspec.json.encode(request),
            headers,
            deadline_ms + LOAD_BUDGET_MS_DEFAULT + _ANSWER_MARGIN_MS,
        )
        return decode_answer(reply, SessionReply, daemon="validatord", unreadable="crashed")

    async def validate(self, request: ValidateRequest) -> ValidateReply:
        """Send a check on; see the port."""
        reply = await self._post("/v1/validate", msgspec.json.encode(request), {}, _CHECK_MS)
        return decode_answer(reply, ValidateReply, daemon="validatord", unreadable="crashed")

    async def kinds(self) -> tuple[KindInfo, ...]:
        """Ask for the kinds; see the port."""
        try:
            reply = await self._http.get(
                self._url + "/v1/kinds", headers=self._headers, limits=_limits(_CHECK_MS)
            )
        except TransportFault as fault:
            raise _unreached(fault) from fault
        return decode_answer(reply, _Kinds, daemon="validatord", unreadable="crashed").kinds

    async def _post(
        self, path: str, body: bytes, headers: dict[str, str], total_ms: int
    ) -> HttpReply:
        headers |= self._headers | {"content-type": "application/json"}
        try:
            return await self._http.post(
                self._url + path, headers=headers, body=body, limits=_limits(total_ms)
            )
        except TransportFault as fault:
            raise _unreached(fault) from fault


def _limits(total_ms: int) -> HttpLimits:
    return HttpLimits(
        connect_ms=CONNECT_TIMEOUT_MS_DEFAULT,
        first_byte_ms=total_ms,
        idle_ms=total_ms,
        total_ms=total_ms,
        body_bytes_max=4 * ROW_BYTES_MAX,
    )


def _unreached(fault: TransportFault) -> InfraError:
    if fault.kind in {"connect", "timeout_connect"} and fault.unsent:
        return InfraError(
            "connect", "The validator cannot be reached.", internal=f"validatord: {fault}"
        )
    return InfraError(
        "crashed",
        "The validator went away during the session.",
        internal=f"validatord: {fault}",
    )
