"""The body of `POST /v1/responses`, read."""

from typing import Final

import msgspec

from lakehouse.core.json_text import NULL, Int64, null
from lakehouse.openai_api.body import decode_part, once_per_frame, split_body
from lakehouse.openai_api.contract import (
    AnswerFormat,
    FunctionChoice,
    OfferedFunction,
    contract_of,
    format_contract,
)
from lakehouse.openai_api.conversation import InputItem, responses_conversation
from lakehouse.openai_api.fault import beside_the_type, missing
from lakehouse.openai_api.request import (
    VARIED,
    AskedModel,
    LakehouseOptions,
    OpenAiRequest,
    VariedMembers,
    checked_frame,
    request_of,
)

RESPONSES_SCHEMA: Final = "text.format.schema"


class _Named(msgspec.Struct, frozen=True):
    name: str


class _Tool(OfferedFunction, frozen=True, kw_only=True):
    type: str


class _ToolChoice(msgspec.Struct, frozen=True):
    type: str
    name: str | None = None
    mode: str | None = None
    tools: tuple[_Named, ...] | None = None


class _Text(msgspec.Struct, frozen=True):
    format: AnswerFormat | None = None


class ResponsesFrame(msgspec.Struct, frozen=True, kw_only=True):
    """The used members that a program sends with each call alike."""

    model: str
    text: _Text | None = None
    tools: tuple[_Tool, ...] | None = None
    tool_choice: str | _ToolChoice | None = None
    temperature: msgspec.Raw = msgspec.field(default_factory=null)
    top_p: float | None = None
    max_output_tokens: Int64 | None = None
    stream: bool | None = None


class ResponsesTurns(VariedMembers, frozen=True, kw_only=True):
    """The used members that change from call to call."""

    input: str | tuple[InputItem, ...]
    instructions: str | None = None


class ResponsesBody(ResponsesFrame, frozen=True, kw_only=True):
    """The used members of a body; `members.py` has seen to all others."""

    input: str | tuple[InputItem, ...]
    instructions: str | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    lakehouse: LakehouseOptions | None = None


def read_responses_request(body: bytes) -> OpenAiRequest:
    """Read a body; names of kinds and models are not looked up, and the schema is not compiled.

    Raises:
        RequestFault: It cannot be served as it is.
    """
    parts = split_body(body, ("input", "instructions", *VARIED))
    frame = _frame(parts.frame)
    turns, ignored = decode_part(parts.varied, ResponsesTurns, "responses", parts.varied_value)
    named = frame.contract.several
    conversation = responses_conversation(turns.instructions, turns.input, named=named)
    return request_of(frame, turns, conversation, ignored)


@once_per_frame
def _frame(data: bytes) -> OpenAiRequest:
    asked, ignored = decode_part(data, ResponsesFrame, "responses")
    wanted = format_contract(None if asked.text is None else asked.text.format, RESPONSES_SCHEMA)
    contract = contract_of(
        wanted,
        asked.tools or (),
        _tool_choice(asked.tool_choice),
        told="tool_call",
        places=("tools", "tool_choice", "tools[{}].parameters"),
    )
    if contract.told != "content" and wanted.schema != NULL:
        ignored = (*ignored, "text.format")
    request = OpenAiRequest(
        route="responses",
        model=AskedModel.of(asked.model),
        contract=contract,
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_tokens=asked.max_output_tokens,
        stream=bool(asked.stream),
        ignored=ignored,
    )
    return checked_frame(request, "max_output_tokens")


def _tool_choice(choice: str | _ToolChoice | None) -> FunctionChoice | None:
    if not isinstance(choice, _ToolChoice):
        return FunctionChoice.of(choice, "tool_choice", ("none", "auto", "required"))
    if choice.type == "function":
        if choice.name is None:
            raise missing("tool_choice.name")
        if choice.tools is not None:
            raise beside_the_type("tool_choice.tools", choice.type)
        return FunctionChoice("required", (choice.name,))
    if choice.name is not None:
        raise beside_the_type("tool_choice.name", choice.type)
    if choice.mode is None or choice.tools is None:
        raise missing("tool_choice.tools" if choice.mode else "tool_choice.mode")
    return FunctionChoice.allowed(choice.mode, [one.name for one in choice.tools])
