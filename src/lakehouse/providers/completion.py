"""Parses a chat completion of an OpenAI-compatible endpoint: an answer, a refusal, or an error.

Endpoints and routers send status 200 before they know the result. So the body is interpreted here:
an error becomes the failure of its code, a content filter's action is a refusal, and only the rest
is the model's answer.
"""

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from lakehouse.core.chat import ChatReply, Usage
from lakehouse.providers.endpoint import usage_of
from lakehouse.providers.error_body import EndpointError, plain_word, read_error
from lakehouse.providers.finish_word import failure_status, finish_reason
from lakehouse.providers.http_fault import EndpointFault, Malformed, decode, fault_of_error
from lakehouse.transport.client import HttpReply

_FILTER_DEPTH_MAX: Final = 6
_BAD_KEY_STATUS: Final = frozenset({401, 429})  # mean what they say, whatever words go with them


class _Message(msgspec.Struct):
    content: str | list[Any] | None = None
    refusal: Any = None
    tool_calls: Any = None
    reasoning_content: Any = None
    reasoning: Any = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    finish_reason: Any = None
    native_finish_reason: Any = None
    error: Any = None
    content_filter_results: Any = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    prompt_filter_results: Any = None
    prompt_feedback: Any = None
    promptFeedback: Any = None  # noqa: N815  Gemini's own spelling


_NO_MESSAGE: Final = _Message()
_NO_CHOICE: Final = _Choice()


def read_completion(
    model: str, provider: str, reply: HttpReply, *, secrets: tuple[str, ...]
) -> ChatReply:
    """Parse a 2xx answer; `model` and `provider` go into the reply.

    Raises:
        EndpointFault: It reports an error.
        Malformed: It is not a chat completion.
    """
    try:
        completion = decode(reply.body, _Completion)
    except Malformed:
        _raise_told(model, reply, secrets)  # Malformed, too, where it is no JSON at all
        raise
    choice = completion.choices[0] if completion.choices else _NO_CHOICE
    message = choice.message or _NO_MESSAGE
    reason = finish_reason(choice.finish_reason)
    usage = completion.usage
    answer = ChatReply(
        text=message.content if type(message.content) is str else _text(message.content),
        thinking=_thinking(message),
        finish_reason=reason,
        usage=usage_of(usage.get("prompt_tokens"), usage.get("completion_tokens"))
        if isinstance(usage, dict)
        else Usage(),
        model=model,
        provider=provider,
    )
    # A good answer pays for none of this: each step is only gone where something speaks for it.
    refused = message.refusal or (
        isinstance(message.content, list) and _has_refusal(message.content)
    )
    if (
        reason == "content_filter"
        or refused
        or (not answer.text and _is_blocked(completion, choice))
    ):
        return replace(answer, finish_reason="content_filter")
    if (choice.error or completion.error) and _refuses(model, reply, completion, secrets):
        return replace(answer, finish_reason="content_filter")
    if reason == "other":
        _check_failed(model, reply, choice)
    if not completion.choices:
        _raise_told(model, reply, secrets)
        raise Malformed("no choices")
    # Some leave the message out where the tokens ran out before the first of the answer.
    if choice.message is None and reason != "length":
        raise Malformed("a choice without a message")
    if message.tool_calls and not message.content and reason in {"stop", "other"}:
        return replace(answer, finish_reason="tool_calls")
    return answer


def reply_of_fault(model: str, provider: str, fault: EndpointFault) -> ChatReply | None:
    """Return the answer that an endpoint reported as an error; None if it is an error.

    A prompt or an answer stopped by a filter is a refusal. An answer that the endpoint rejected as
    invalid JSON is an answer: Lakehouse judges it.
    """
    if fault.error.refused and fault.http_status not in _BAD_KEY_STATUS:
        return ChatReply("", None, "content_filter", Usage(), model, provider)
    if fault.error.generation:
        return ChatReply(fault.error.generation, None, "stop", Usage(), model, provider)
    return None


def _refuses(
    model: str, reply: HttpReply, completion: _Completion, secrets: tuple[str, ...]
) -> bool:
    """Return whether the errors in an answer are a refusal; raises the first that is a failure."""
    choice = completion.choices[0] if completion.choices else _NO_CHOICE
    for told in (choice.error, completion.error):
        error = read_error(told, secrets=secrets)
        if error.refused:
            return True
        if not error.empty:
            raise fault_of_error(model, reply, error, with_key=bool(secrets))
    return False


def _check_failed(model: str, reply: HttpReply, choice: _Choice) -> None:
    """Raise where the word for why the answer ended says that the endpoint failed."""
    failed = failure_status(choice.finish_reason)
    if failed is not None:
        word = str(choice.finish_reason)[:64]
        said = EndpointError(code=word, words=frozenset({plain_word(word)}), told_status=failed)
        raise fault_of_error(model, reply, said)


def _raise_told(model: str, reply: HttpReply, secrets: tuple[str, ...]) -> None:
    """Raise what a body without choices tells, where it tells an error at all."""
    value = decode(reply.body, Any)
    error = read_error(value if isinstance(value, dict | list) else None, secrets=secrets)
    if error.message or error.told_status is not None:
        raise fault_of_error(model, reply, error, with_key=bool(secrets))


def _thinking(message: _Message) -> str | None:
    for told in (message.reasoning_content, message.reasoning):
        if isinstance(told, str) and told:
            return told
    return None


def _text(content: str | list[Any] | None) -> str:
    """Take the text: a string, null, or a list of parts, of which those of type text count."""
    if isinstance(content, list):
        return "".join(
            part["text"]
            for part in content
            if isinstance(part, dict)
            and part.get("type") in {"text", "output_text"}
            and isinstance(part.get("text"), str)
        )
    return content or ""


def _is_blocked(completion: _Completion, choice: _Choice) -> bool:
    """Whether an answer without a text is one that a filter stopped, by what it says beside."""
    feedback = completion.prompt_feedback or completion.promptFeedback
    blocked = isinstance(feedback, dict) and any(
        feedback.get(name) for name in ("blockReason", "block_reason")
    )
    return (
        blocked
        or finish_reason(choice.native_finish_reason) == "content_filter"
        or _says_filtered(choice.content_filter_results)
        or (not completion.choices and _says_filtered(completion.prompt_filter_results))
    )


def _has_refusal(content: list[Any]) -> bool:
    return any(
        isinstance(part, dict) and (part.get("type") == "refusal" or bool(part.get("refusal")))
        for part in content
    )


def _says_filtered(value: object, depth: int = _FILTER_DEPTH_MAX) -> bool:
    if isinstance(value, dict):
        if value.get("filtered") is True:
            return True
        value = list(value.values())
    return (
        isinstance(value, list)
        and depth > 0
        and any(_says_filtered(item, depth - 1) for item in value)
    )
