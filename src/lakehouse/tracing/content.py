"""Prompts and answers as attribute values, sent only if the settings allow it.

Every text is cut to the limit of an attribute, so that a receiver's limit on a batch never loses
the span. The whole text is in the row.
"""

from typing import Any

import msgspec

from lakehouse.core.chat import ChatReply, ChatRequest
from lakehouse.core.conversation import later_turns
from lakehouse.core.limits import TRUNCATED_TEXT_BYTES_MAX
from lakehouse.core.row import Row
from lakehouse.core.session import Attempt
from lakehouse.tracing.span import AttributeValue


def messages(row: Row, attempt: Attempt) -> dict[str, AttributeValue]:
    """Return a model call's texts in the form of the GenAI conventions.

    The caller's messages, then what this attempt saw of the earlier ones and was told.
    """
    turns = [_turn("user", row.prompt)]
    if row.messages is not None:
        turns = [_turn(message.role, message.content) for message in row.messages]
    if attempt.told is not None:
        earlier = row.attempts[: attempt.iteration]
        later = later_turns(earlier, attempt.told, row.settings.history)
        turns += [_turn(message.role, message.content) for message in later]
    answer = _turn("assistant", attempt.output) | {"finish_reason": attempt.finish_reason}
    found: dict[str, AttributeValue] = {
        "gen_ai.input.messages": json_text(turns),
        "gen_ai.output.messages": json_text([answer]),
    }
    if row.system is not None:
        part = {"type": "text", "content": cut(row.system)}
        found["gen_ai.system_instructions"] = json_text([part])
    return found


def chat_messages(request: ChatRequest, reply: ChatReply) -> dict[str, AttributeValue]:
    """Return the texts of a model call outside a session."""
    turns = [_turn(message.role, message.content) for message in request.messages]
    answer = _turn("assistant", reply.text) | {"finish_reason": reply.finish_reason}
    return {
        "gen_ai.input.messages": json_text(turns),
        "gen_ai.output.messages": json_text([answer]),
    }


def json_text(value: object) -> str:
    """Encode one of our values as JSON text."""
    return msgspec.json.encode(value).decode("utf-8")


def cut_raw(raw: msgspec.Raw) -> str:
    """Return raw JSON as text, cut like any other."""
    return cut(bytes(raw).decode("utf-8"))


def cut(text: str) -> str:
    """Cut a text to the limit of an attribute; an ellipsis marks the cut."""
    if len(text) * 4 <= TRUNCATED_TEXT_BYTES_MAX:
        return text
    data = text.encode("utf-8")
    if len(data) <= TRUNCATED_TEXT_BYTES_MAX:
        return text
    return data[:TRUNCATED_TEXT_BYTES_MAX].decode("utf-8", "ignore") + "…"


def _turn(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": cut(text)}]}
