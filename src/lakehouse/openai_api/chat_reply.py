"""The body of an answered `POST /v1/chat/completions`."""

from typing import Literal

import msgspec

from lakehouse.openai_api.told_answer import (
    FinishedBy,
    SessionFacts,
    ToldAnswer,
    UncheckedFacts,
    created_s,
)


class CalledFunction(msgspec.Struct, frozen=True):
    """A function's name, and its arguments as JSON text."""

    name: str
    arguments: str


class CompletionCall(msgspec.Struct, frozen=True):
    """The one tool call of an answer; `call_id` derives `id` from the row's id."""

    id: str
    function: CalledFunction
    type: Literal["function"] = "function"


class CompletionMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: `content`, or null beside one call, which has an older form too."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: tuple[CompletionCall, ...] | msgspec.UnsetType = msgspec.UNSET
    function_call: CalledFunction | msgspec.UnsetType = msgspec.UNSET


class CompletionChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The only choice."""

    index: int = 0
    message: CompletionMessage
    logprobs: None = None
    finish_reason: FinishedBy


class CompletionUsage(msgspec.Struct, frozen=True):
    """Tokens of all attempts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """The reply of `POST /v1/chat/completions`.

    `created` is the start of the session in seconds since 1970. `usage` is left out if the provider
    does not report it. `lakehouse` is our own member.
    """

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str | msgspec.UnsetType = msgspec.UNSET
    choices: tuple[CompletionChoice, ...]
    usage: CompletionUsage | msgspec.UnsetType = msgspec.UNSET
    lakehouse: SessionFacts | UncheckedFacts


def completion_id(session_id: str) -> str:
    """Return the id of a session's completion."""
    return f"chatcmpl-{session_id}"


def call_id(row_id: str) -> str:
    """Return the id of a session's tool call; a later request that carries it names the session."""
    return f"call_{row_id}"


def completion_usage(answer: ToldAnswer) -> CompletionUsage | msgspec.UnsetType:
    """Return the tokens of all attempts, left out where one of them is not known."""
    counted = answer.tokens
    return msgspec.UNSET if counted is None else CompletionUsage(*counted, sum(counted))


def chat_completion(answer: ToldAnswer) -> ChatCompletion:
    """Build the whole reply."""
    message = CompletionMessage(content=answer.text)
    if answer.function is not None:
        function = CalledFunction(answer.function, answer.text)
        call = CompletionCall(call_id(answer.row_id), function)
        message = (
            CompletionMessage(content=None, function_call=function)
            if answer.finished_by == "function_call"
            else CompletionMessage(content=None, tool_calls=(call,))
        )
    return ChatCompletion(
        id=completion_id(answer.session_id),
        created=created_s(answer.row_id),
        model=answer.model,
        system_fingerprint=answer.fingerprint,
        choices=(CompletionChoice(message=message, finish_reason=answer.finished_by),),
        usage=completion_usage(answer),
        lakehouse=answer.facts,
    )
