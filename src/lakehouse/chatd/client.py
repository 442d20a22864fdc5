"""`ChatModel` over HTTP: another process owns the models, and the only retry loop."""

import msgspec

from lakehouse.core.chat import CallLimits, ChatReply, ChatRequest, ModelName, ModelStatus
from lakehouse.core.context import DEADLINE_HEADER, LOAD_BUDGET_HEADER, CallContext
from lakehouse.core.errors import InfraError
from lakehouse.core.ids import new_id, new_span_id
from lakehouse.core.limits import (
    CHAT_ALIVE_MS,
    CONNECT_GRACE_MS,
    CONNECT_TIMEOUT_MS_DEFAULT,
    UPSTREAM_BODY_BYTES_MAX,
)
from lakehouse.transport.answer import decode_answer
from lakehouse.transport.client import HttpClient, HttpLimits, TransportFault
from lakehouse.transport.liveness import Silent, while_alive
from lakehouse.transport.reason import hint_for, words_of

_MARGIN_MS = (
    1_000  # the daemon ends a call within its limits plus 250 ms; the rest is for the network
)
_MODELS_MS = 3_000  # the daemon asks all backends within 2 s


class _Models(msgspec.Struct):
    models: tuple[ModelStatus, ...]


class ChatClient:
    """Calls a `chatd` at a base URL such as `http://127.0.0.1:4111`.

    `names` are the configured models, reported as unreachable if the daemon is.
    """

    def __init__(
        self,
        http: HttpClient,
        url: str,
        *,
        names: tuple[ModelName, ...] = (),
        api_key: str | None = None,
    ) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._names = names
        self._headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}

    async def chat(
        self, request: ChatRequest, *, context: CallContext, limits: CallLimits
    ) -> ChatReply:
        """Forward a call; the port documents the guarantees."""
        headers = context.hop_headers() | self._headers
        headers[DEADLINE_HEADER] = str(limits.deadline_ms)
        headers[LOAD_BUDGET_HEADER] = str(limits.load_budget_ms)
        headers["content-type"] = "application/json"
        call = self._http.post(
            self._url + "/v1/chat",
            headers=headers,
            body=msgspec.json.encode(request),
            limits=_limits(
                limits.deadline_ms + limits.load_budget_ms + _MARGIN_MS,
                limits.deadline_ms + CONNECT_GRACE_MS,
            ),
        )
        try:
            reply = await while_alive(
                call,
                http=self._http,
                url=self._url,
                patience_ms=limits.deadline_ms,
                alive_ms=CHAT_ALIVE_MS,
            )
        except TransportFault as fault:
            raise _unreached(fault) from fault
        return decode_answer(reply, ChatReply, daemon="chatd", unreadable="upstream_malformed")

    async def models(self) -> tuple[ModelStatus, ...]:
        """Return the states; if the daemon is unreachable, every model is `unreachable`."""
        # Probes call this every few seconds: marked as not sampled, it creates no traces.
        unsampled = f"00-{new_id()}-{new_span_id()}-00"
        headers = {**self._headers, "traceparent": unsampled}
        try:
            reply = await self._http.get(
                self._url + "/v1/models", headers=headers, limits=_limits(_MODELS_MS, _MODELS_MS)
            )
            return decode_answer(
                reply, _Models, daemon="chatd", unreadable="upstream_malformed"
            ).models
        except (TransportFault, InfraError) as error:
            why = _unreached(error) if isinstance(error, TransportFault) else error
            return tuple(
                ModelStatus(name.name, name.model, name.provider, "unreachable", why.public)
                for name in self._names
            )


def _unreached(fault: TransportFault) -> InfraError:
    internal = f"chatd: {fault}"
    if isinstance(fault, Silent):
        return InfraError(
            "crashed",
            "The chat daemon stopped answering.",
            hint="Check the chatd process: it is stopped or hangs.",
            internal=internal,
        )
    if fault.kind == "timeout_connect" or (fault.kind == "connect" and fault.unsent):
        return InfraError(
            "connect",
            f"The chat daemon cannot be reached: {words_of(fault.reason, fault.detail)}.",
            hint=hint_for(fault.reason, server="chatd", setting="chatd.url"),
            internal=internal,
        )
    if fault.kind.startswith("timeout"):
        return InfraError(
            "timeout", "The chat daemon did not answer within the deadline.", internal=internal
        )
    return InfraError(
        "connect",
        "The chat daemon closed the connection during the call.",
        hint="Check chatd's log for the reason.",
        internal=internal,
    )


def _limits(total_ms: int, connect_ms: int) -> HttpLimits:
    return HttpLimits(
        connect_ms=min(CONNECT_TIMEOUT_MS_DEFAULT, connect_ms),
        first_byte_ms=total_ms,
        idle_ms=total_ms,
        total_ms=total_ms,
        body_bytes_max=2 * UPSTREAM_BODY_BYTES_MAX,
    )
