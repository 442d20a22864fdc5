"""`ChatModel` over HTTP: another process owns the models, and the only retry loop."""

import msgspec

from lakehouse.core.chat import (
    CallLimits,
    ChatReply,
    ChatRequest,
    ModelName,
    ModelStatus,
    OfferMode,
)
from lakehouse.core.context import DEADLINE_HEADER, LOAD_BUDGET_HEADER, CallContext
from lakehouse.core.conversation import offered_turns
from lakehouse.core.errors import InfraError
from lakehouse.core.ids import new_id, new_span_id
from lakehouse.core.limits import (
    BODY_BYTES_MAX,
    CHAT_ALIVE_MS,
    CONNECT_GRACE_MS,
    CONNECT_TIMEOUT_MS_DEFAULT,
    OFFER_HINT_BYTES_MAX,
    OFFER_SCHEMA_BYTES_MAX,
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
        body, hinted = _encoded(request)
        call = self._http.post(
            self._url + "/v1/chat",
            headers=headers,
            body=body,
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
        found = decode_answer(reply, ChatReply, daemon="chatd", unreadable="upstream_malformed")
        return found if hinted is None else msgspec.structs.replace(found, offered=hinted)

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


def _encoded(request: ChatRequest) -> tuple[bytes, OfferMode | None]:
    """Encode a call; an offer that the daemon would refuse for its size goes into the prompt.

    Returns the body, and `hint` where that is done. A prompt without room for it gets no values.
    """
    body, offer = msgspec.json.encode(request), request.offer
    if offer is None:
        return body, None
    short = len(offer.text("hint").encode()) <= OFFER_HINT_BYTES_MAX
    small = short and len(bytes(offer.schema)) <= OFFER_SCHEMA_BYTES_MAX
    if small and len(body) <= BODY_BYTES_MAX:
        return body, None
    if offer.text("hint") and short:
        messages = offered_turns(request, "hint")
        body = msgspec.json.encode(msgspec.structs.replace(request, messages=messages, offer=None))
        if len(body) <= BODY_BYTES_MAX:
            return body, "hint"
    return msgspec.json.encode(msgspec.structs.replace(request, offer=None)), None


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
