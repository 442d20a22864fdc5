"""The body of `POST /v1/chat/completions`, read."""

from typing import Final

import msgspec

from lakehouse.core.json_text import Int64, null
from lakehouse.openai_api.body import decode_part, once_per_frame, split_body
from lakehouse.openai_api.contract import (
    AnswerFormat,
    ClientContract,
    FunctionChoice,
    OfferedFunction,
    contract_of,
    format_contract,
)
from lakehouse.openai_api.conversation import ChatMessage, chat_conversation
from lakehouse.openai_api.fault import RequestFault, beside_the_type, missing
from lakehouse.openai_api.request import (
    VARIED,
    AskedModel,
    LakehouseOptions,
    OpenAiRequest,
    VariedMembers,
    checked_frame,
    request_of,
)

CHAT_SCHEMA: Final = "response_format.json_schema.schema"


class _Named(msgspec.Struct, frozen=True):
    name: str


class _JsonSchema(msgspec.Struct, frozen=True):
    schema: msgspec.Raw = msgspec.field(default_factory=null)
    description: str | None = None


class _ResponseFormat(msgspec.Struct, frozen=True):
    type: str
    json_schema: _JsonSchema | None = None


class _Tool(msgspec.Struct, frozen=True):
    type: str
    function: OfferedFunction


class _AllowedTool(msgspec.Struct, frozen=True):
    function: _Named


class _AllowedTools(msgspec.Struct, frozen=True):
    mode: str
    tools: tuple[_AllowedTool, ...]


class _ToolChoice(msgspec.Struct, frozen=True):
    type: str
    function: _Named | None = None
    allowed_tools: _AllowedTools | None = None


class _StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class ChatFrame(msgspec.Struct, frozen=True, kw_only=True):
    """The used members that a program sends with each call alike."""

    model: str
    response_format: _ResponseFormat | None = None
    tools: tuple[_Tool, ...] | None = None
    tool_choice: str | _ToolChoice | None = None
    functions: tuple[OfferedFunction, ...] | None = None
    function_call: str | _Named | None = None
    temperature: msgspec.Raw = msgspec.field(default_factory=null)
    top_p: float | None = None
    max_tokens: Int64 | None = None
    max_completion_tokens: Int64 | None = None
    seed: Int64 | None = None
    stop: str | tuple[str, ...] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None


class ChatTurns(VariedMembers, frozen=True, kw_only=True):
    """The used members that change from call to call."""

    messages: tuple[ChatMessage, ...]


class ChatBody(ChatFrame, frozen=True, kw_only=True):
    """The used members of a body; `members.py` has seen to all others."""

    messages: tuple[ChatMessage, ...]
    metadata: dict[str, str] | None = None
    user: str | None = None
    lakehouse: LakehouseOptions | None = None


def read_chat_request(body: bytes) -> OpenAiRequest:
    """Read a body; names of kinds and models are not looked up, and the schema is not compiled.

    Raises:
        RequestFault: It cannot be served as it is.
    """
    parts = split_body(body, ("messages", *VARIED))
    frame = _frame(parts.frame)
    turns, ignored = decode_part(parts.varied, ChatTurns, "chat", parts.varied_value)
    conversation = chat_conversation(turns.messages, named=frame.contract.several)
    return request_of(frame, turns, conversation, ignored)


@once_per_frame
def _frame(data: bytes) -> OpenAiRequest:
    chat, ignored = decode_part(data, ChatFrame, "chat")
    contract = _contract(chat)
    if contract.told != "content" and _format(chat).schema != null():
        ignored = (*ignored, "response_format")
    if chat.stream_options is not None and not chat.stream:
        ignored = (*ignored, "stream_options")
    tokens = [chat.max_completion_tokens, chat.max_tokens]
    if None not in tokens and tokens[0] != tokens[1]:
        raise RequestFault(
            f"`max_tokens` is {tokens[1]}, `max_completion_tokens` is {tokens[0]}: send one.",
            "invalid_value",
            "max_tokens",
        )
    completion = chat.max_completion_tokens is not None
    request = OpenAiRequest(
        route="chat",
        model=AskedModel.of(chat.model),
        contract=contract,
        temperature=chat.temperature,
        top_p=chat.top_p,
        max_tokens=tokens[0] if completion else tokens[1],
        seed=chat.seed,
        stop=(chat.stop,) if isinstance(chat.stop, str) else chat.stop or None,
        stream=bool(chat.stream),
        include_usage=chat.stream_options is not None and bool(chat.stream_options.include_usage),
        ignored=ignored,
    )
    return checked_frame(request, "max_completion_tokens" if completion else "max_tokens")


def _format(chat: ChatFrame) -> ClientContract:
    asked = chat.response_format
    if asked is None:
        return format_contract(None, CHAT_SCHEMA)
    inner = asked.json_schema or _JsonSchema()
    return format_contract(AnswerFormat(asked.type, inner.schema, inner.description), CHAT_SCHEMA)


def _contract(chat: ChatFrame) -> ClientContract:
    older = next((name for name in ("functions", "function_call") if getattr(chat, name)), None)
    newer = next((name for name in ("tools", "tool_choice") if getattr(chat, name)), None)
    if older and newer:
        message = f"`{older}` is of the older form of `{newer}`: send only one form."
        raise RequestFault(message, "invalid_value", older)
    if chat.functions or chat.function_call is not None:
        return contract_of(
            _format(chat),
            chat.functions or (),
            _function_call(chat.function_call),
            told="function_call",
            places=("functions", "function_call", "functions[{}].parameters"),
        )
    return contract_of(
        _format(chat),
        [tool.function for tool in chat.tools or ()],
        _tool_choice(chat.tool_choice),
        told="tool_call",
        places=("tools", "tool_choice", "tools[{}].function.parameters"),
    )


def _function_call(choice: str | _Named | None) -> FunctionChoice | None:
    if isinstance(choice, _Named):
        return FunctionChoice("required", (choice.name,))
    return FunctionChoice.of(choice, "function_call", ("none", "auto"))


def _tool_choice(choice: str | _ToolChoice | None) -> FunctionChoice | None:
    if not isinstance(choice, _ToolChoice):
        return FunctionChoice.of(choice, "tool_choice", ("none", "auto", "required"))
    if choice.type == "function":
        if choice.function is None:
            raise missing("tool_choice.function")
        if choice.allowed_tools is not None:
            raise beside_the_type("tool_choice.allowed_tools", choice.type)
        return FunctionChoice("required", (choice.function.name,))
    if choice.function is not None:
        raise beside_the_type("tool_choice.function", choice.type)
    allowed = choice.allowed_tools
    if allowed is None:
        raise missing("tool_choice.allowed_tools")
    return FunctionChoice.allowed(allowed.mode, [one.function.name for one in allowed.tools])
