"""The body of an accepted `POST /v1/responses`, from a running session or from its row.

It has every member that strict clients require. What it would only repeat of the request is null
or empty: a reply is built from the row, which does not keep the request's own text.
"""

from typing import Literal

import msgspec

from lakehouse.core.row import Row
from lakehouse.core.session import SessionReply
from lakehouse.openai_api.chat_reply import call_id
from lakehouse.openai_api.reply_form import (
    CheckedAnswer,
    ReplyForm,
    SessionFacts,
    checked_answer,
    created_s,
    session_facts,
    stored_reply,
    tokens,
)

ItemStatus = Literal["in_progress", "completed"]
FailureWord = Literal["invalid_prompt", "rate_limit_exceeded", "server_error"]


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


class ResponseObject(msgspec.Struct, frozen=True, kw_only=True):
    """The reply of `POST /v1/responses`.

    `created_at` is the start of the session in seconds since 1970. `usage` is left out if the
    provider does not report it. `lakehouse` is our own member.
    """

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Literal["in_progress", "completed", "failed"]
    error: ResponseFailure | None = None
    incomplete_details: None = None
    instructions: None = None
    metadata: None = None
    model: str
    output: tuple[OutputMessage | OutputCall, ...] = ()
    parallel_tool_calls: bool = False
    temperature: None = None
    tool_choice: Literal["auto"] = "auto"
    tools: tuple[()] = ()
    top_p: None = None
    usage: ResponseUsage | msgspec.UnsetType = msgspec.UNSET
    lakehouse: SessionFacts | msgspec.UnsetType = msgspec.UNSET


def response_id(session_id: str) -> str:
    """Return the id of a session's response."""
    return f"resp_{session_id}"


def output_item(
    answer: CheckedAnswer, row_id: str, status: ItemStatus
) -> OutputMessage | OutputCall:
    """Return the one item of the output; one in progress is still empty."""
    text = answer.text if status == "completed" else ""
    if answer.function is None:
        content = (OutputText(text=text),) if status == "completed" else ()
        return OutputMessage(id=f"msg_{row_id}", status=status, content=content)
    return OutputCall(
        id=f"fc_{row_id}",
        call_id=call_id(row_id),
        name=answer.function,
        arguments=text,
        status=status,
    )


def response_object(form: ReplyForm, reply: SessionReply) -> ResponseObject:
    """Build the reply of an accepted session.

    Raises:
        ValueError: The session was not accepted.
    """
    answer = checked_answer(form, reply)
    return ResponseObject(
        id=response_id(reply.session_id),
        created_at=created_s(reply.row_id),
        status="completed",
        model=form.model,
        output=(output_item(answer, reply.row_id, "completed"),),
        usage=_usage(reply),
        lakehouse=session_facts(reply),
    )


def stored_response(row: Row) -> ResponseObject | None:
    """Build the same reply from the log; None if the row is not an accepted one of this API."""
    found = stored_reply(row)
    return None if found is None else response_object(*found)


def _usage(reply: SessionReply) -> ResponseUsage | msgspec.UnsetType:
    counted = tokens(reply)
    if counted is None:
        return msgspec.UNSET
    asked, answered = counted
    return ResponseUsage(input_tokens=asked, output_tokens=answered, total_tokens=asked + answered)
