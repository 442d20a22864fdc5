"""One request of an OpenAI client, read: the same value from both routes."""

from collections.abc import Sequence
from typing import Final

import msgspec

from lakehouse.core.chat import Message
from lakehouse.core.json_text import NULL, Int64, null, parse
from lakehouse.core.limits import (
    DEADLINE_MS_MAX,
    ITERATIONS_MAX,
    METADATA_ENTRIES_MAX,
    SEED_MAX,
    STOPS_MAX,
    TEMPERATURE_MAX,
    TOKENS_MAX,
    TOP_P_MAX,
)
from lakehouse.core.session import Constrain
from lakehouse.core.wording import range_fault, shown
from lakehouse.openai_api.contract import ClientContract
from lakehouse.openai_api.conversation import Conversation
from lakehouse.openai_api.fault import RequestFault
from lakehouse.openai_api.parameters import ApiRoute


class AskedModel(msgspec.Struct, frozen=True):
    """`model` as sent: a kind or a model's alias, and the alias after `@`. Not looked up here."""

    text: str
    name: str
    alias: str | None

    @classmethod
    def of(cls, text: str) -> "AskedModel":
        name, at, alias = text.partition("@")
        return cls(text, name, alias if at else None)


class LakehouseOptions(msgspec.Struct, frozen=True):
    """The member `lakehouse` of a body: what only Lakehouse has."""

    max_iterations: Int64 | None = None
    constrain: Constrain | None = None
    deadline_ms: Int64 | None = None
    conversation_id: str | None = None


class OpenAiRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for.

    `temperature` is raw JSON as it was sent, or raw `null`. `row_ids` are the rows of our answers
    that the conversation goes on, oldest first. `ignored` are the parameters that have no effect.
    A frame is a request without a conversation.
    """

    route: ApiRoute
    model: AskedModel
    contract: ClientContract
    system: str | None = None
    messages: tuple[Message, ...] = ()
    row_ids: tuple[str, ...] = ()
    temperature: msgspec.Raw = msgspec.field(default_factory=null)
    top_p: float | None = None
    max_tokens: Int64 | None = None
    seed: Int64 | None = None
    stop: tuple[str, ...] | None = None
    stream: bool = False
    include_usage: bool = False
    metadata: dict[str, str] = {}
    user: str | None = None
    options: LakehouseOptions = LakehouseOptions()
    ignored: tuple[str, ...] = ()


_RANGES: Final = (
    ("max_iterations", 1, ITERATIONS_MAX),
    ("deadline_ms", 1, DEADLINE_MS_MAX),
)


class VariedMembers(msgspec.Struct, frozen=True, kw_only=True):
    """What changes from call to call on both routes, besides the conversation."""

    metadata: dict[str, str] | None = None
    user: str | None = None
    lakehouse: LakehouseOptions | None = None


VARIED: Final = VariedMembers.__struct_fields__


def request_of(
    frame: OpenAiRequest,
    varied: VariedMembers,
    conversation: Conversation,
    ignored: tuple[str, ...],
) -> OpenAiRequest:
    """Return the request of a frame and what varies.

    Raises:
        RequestFault: A number or a list is not within its limits.
    """
    options, metadata = varied.lakehouse, varied.metadata or {}
    if options is not None:
        for name, low, high in _RANGES:
            _check_range(f"lakehouse.{name}", getattr(options, name), low, high)
    if len(metadata) > METADATA_ENTRIES_MAX:
        raise _out("metadata", f"has {len(metadata)} members; at most {METADATA_ENTRIES_MAX}")
    return msgspec.structs.replace(
        frame,
        system=conversation.system,
        messages=conversation.messages,
        row_ids=conversation.row_ids,
        metadata=metadata,
        user=varied.user,
        options=options or frame.options,
        ignored=(*frame.ignored, *ignored),
    )


def checked_frame(request: OpenAiRequest, tokens_param: str) -> OpenAiRequest:
    """Return the frame if its numbers and lists are within the limits.

    Raises:
        RequestFault: One is not. `tokens_param` is what `max_tokens` is called in the body.
    """
    if not request.model.text:
        raise RequestFault("`model` is empty.", "invalid_value", "model")
    _check_temperature(request.temperature)
    if request.top_p is not None and not 0 <= request.top_p <= TOP_P_MAX:
        raise _out("top_p", f"is {shown(request.top_p)}; allowed is 0 to {TOP_P_MAX:g}")
    _check_range(tokens_param, request.max_tokens, 1, TOKENS_MAX)
    _check_range("seed", request.seed, 0, SEED_MAX)
    _check_stop(request.stop)
    return request


def _check_temperature(raw: msgspec.Raw) -> None:
    if raw == NULL:
        return
    text = bytes(raw).decode("utf-8")
    value = parse(text)
    if isinstance(value, bool | str | list | dict) or value is None:
        message = f"`temperature` is {shown(value)}; it must be a number."
        raise RequestFault(message, "invalid_type", "temperature")
    if not 0 <= value <= TEMPERATURE_MAX:
        raise _out("temperature", f"is {text[:80]}; allowed is 0 to {TEMPERATURE_MAX:g}")


def _check_range(param: str, value: int | None, low: int, high: int) -> None:
    if value is None:
        return
    fault = range_fault(value, low, high)
    if fault is not None:
        raise _out(param, fault)


def _check_stop(stop: Sequence[str] | None) -> None:
    if stop is not None and not (len(stop) <= STOPS_MAX and all(stop)):
        raise _out("stop", f"is {shown(list(stop))}; allowed are {STOPS_MAX} texts, none empty")


def _out(param: str, fault: str) -> RequestFault:
    return RequestFault(f"`{param}` {fault}.", "invalid_value", param)
