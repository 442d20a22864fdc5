"""The body of an answered `POST /v1/responses`.

It has every member that strict clients require. What it would only repeat of the request is null
or empty: a reply is built from the row, which does not keep the request's own text.
"""

from typing import Any, Final, Literal

import msgspec

from lakehouse.openai_api.chat_reply import call_id
from lakehouse.openai_api.contract import FormatType
from lakehouse.openai_api.told_answer import SessionFacts, ToldAnswer, UncheckedFacts, created_s

ItemStatus = Literal["in_progress", "completed", "incomplete"]
CutWord = Literal["max_output_tokens", "content_filter"]
FailureWord = Literal["invalid_prompt", "rate_limit_exceeded", "server_error"]

_CUT: Final[dict[str, CutWord]] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}


class OutputText(msgspec.Struct, frozen=True, kw_only=True):
    """The text of a message."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: tuple[()] = ()
    logprobs: tuple[()] = ()


class OutputMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """The answer as content."""

    id: str
    status: ItemStatus
    role: Literal["assistant"] = "assistant"
    content: tuple[OutputText, ...]


class OutputCall(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call"):
    """The answer as a function call; `arguments` is JSON text."""

    id: str
    call_id: str
    name: str
    arguments: str
    status: ItemStatus


class InputDetails(msgspec.Struct, frozen=True):
    """Clients require these counts; Lakehouse does not keep them, so they are zero."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(msgspec.Struct, frozen=True):
    """Clients require this count; Lakehouse does not keep it, so it is zero."""

    reasoning_tokens: int = 0


class ResponseUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of all attempts."""

    input_tokens: int
    input_tokens_details: InputDetails = InputDetails()
    output_tokens: int
    output_tokens_details: OutputDetails = OutputDetails()
    total_tokens: int


class ResponseFailure(msgspec.Struct, frozen=True):
    """Why a streamed response failed; `code` is one of OpenAI's own list."""

    code: FailureWord
    message: str


class IncompleteDetails(msgspec.Struct, frozen=True):
    """Why an unchecked text is not whole; a checked answer always is."""

    reason: CutWord


class ResponseFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What the client asked for, by its type: some clients parse the text only where they see it.

    Those that read `name` and `schema` want them to be there, and no more.
    """

    type: FormatType
    name: str | msgspec.UnsetType = msgspec.UNSET
    schema: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class ResponseText(msgspec.Struct, frozen=True):
    """The text's format."""

    format: ResponseFormat


class ResponseObject(msgspec.Struct, frozen=True, kw_only=True):
    """The reply of `POST /v1/responses`.

    `created_at` is the start of the session in seconds since 1970. `usage` is left out if the
    provider does not report it. `lakehouse` is our own member.
    """

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    error: ResponseFailure | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: None = None
    metadata: None = None
    model: str
    output: tuple[OutputMessage | OutputCall, ...] = ()
    parallel_tool_calls: bool = False
    temperature: None = None
    text: ResponseText
    tool_choice: Literal["auto"] = "auto"
    tools: tuple[()] = ()
    top_p: None = None
    usage: ResponseUsage | msgspec.UnsetType = msgspec.UNSET
    lakehouse: SessionFacts | UncheckedFacts | msgspec.UnsetType = msgspec.UNSET


def response_id(session_id: str) -> str:
    """Return the id of a session's response."""
    return f"resp_{session_id}"


def response_text(asked: FormatType) -> ResponseText:
    """Repeat the format of the request."""
    if asked == "json_schema":
        return ResponseText(ResponseFormat(type=asked, name="", schema={}))
    return ResponseText(ResponseFormat(type=asked))


def output_item(answer: ToldAnswer, *, begun: bool = False) -> OutputMessage | OutputCall:
    """Return the one item of the output; one that has only `begun` is still empty."""
    text = "" if begun else answer.text
    status = "in_progress" if begun else _status(answer)
    if answer.function is None:
        content = () if begun else (OutputText(text=text),)
        return OutputMessage(id=f"msg_{answer.row_id}", status=status, content=content)
    return OutputCall(
        id=f"fc_{answer.row_id}",
        call_id=call_id(answer.row_id),
        name=answer.function,
        arguments=text,
        status=status,
    )


def response_object(answer: ToldAnswer) -> ResponseObject:
    """Build the whole reply."""
    cut = _CUT.get(answer.finished_by)
    return ResponseObject(
        id=response_id(answer.session_id),
        created_at=created_s(answer.row_id),
        status=_status(answer),
        incomplete_details=None if cut is None else IncompleteDetails(cut),
        model=answer.model,
        output=(output_item(answer),),
        text=response_text(answer.format),
        usage=_usage(answer),
        lakehouse=answer.facts,
    )


def _status(answer: ToldAnswer) -> Literal["completed", "incomplete"]:
    return "incomplete" if answer.finished_by in _CUT else "completed"


def _usage(answer: ToldAnswer) -> ResponseUsage | msgspec.UnsetType:
    counted = answer.tokens
    if counted is None:
        return msgspec.UNSET
    asked, answered = counted
    return ResponseUsage(input_tokens=asked, output_tokens=answered, total_tokens=asked + answered)
