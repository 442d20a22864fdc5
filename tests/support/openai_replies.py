"""Replies of sessions for OpenAI's API: accepted, rejected, and not judged."""

import json
from typing import Any

import msgspec

from lakehouse.core.chat import ChatReply, Usage
from lakehouse.core.context import CallContext
from lakehouse.core.errors import InfraError
from lakehouse.core.row import Row
from lakehouse.core.session import SessionReply
from lakehouse.engine.run import session_reply
from lakehouse.openai_api.reply_form import ReplyForm
from lakehouse.openai_api.told_answer import ToldAnswer
from support.rows import make_row, rejected_attempt

ROW_ID = "019b7d2f8c00700080000000000000aa"
SESSION_ID = "019b7d2f8c00700080000000000000bb"
CREATED_S = 0x019B7D2F8C00 // 1000
FORM = ReplyForm(model="airport_event@large")


def accepted_row(artifact: bytes = b'{"airport":"OSL"}', **changes: Any) -> Row:
    """Give an accepted row with this artifact."""
    ids = {"row_id": ROW_ID, "session_id": SESSION_ID}
    return make_row(artifact=msgspec.Raw(artifact), **ids, **changes)


def accepted(artifact: bytes = b'{"airport":"OSL"}', **changes: Any) -> SessionReply:
    """Give the reply of an accepted session with this artifact."""
    return session_reply(accepted_row(artifact, **changes), None)


def unchecked(
    text: str = "Hello.", finish_reason: str = "stop", usage: Usage | None = None
) -> ToldAnswer:
    """Give the answer that a model's unchecked reply becomes."""
    usage = usage or Usage(10, 20)
    reply = ChatReply(text, None, finish_reason, usage, "smollm2-135m-instruct", "openai")
    context = CallContext(SESSION_ID, "a" * 32, ROW_ID, "b" * 16)
    return ToldAnswer.unchecked(reply, context, "large")


def exhausted(code: str = "schema", attempts: int = 2) -> SessionReply:
    """Give the reply of a session whose every answer had a finding of this code."""
    made = tuple(rejected_attempt(number, code, output="QQQ") for number in range(attempts))
    changes: dict[str, Any] = {"verdict": "max_iter_exhausted", "accepted_iteration": None}
    return accepted(attempts=made, iterations=attempts, **changes)


def broken(error: InfraError) -> SessionReply:
    """Give the reply of a session that this error ended."""
    changes: dict[str, Any] = {"verdict": "infra_error", "accepted_iteration": None}
    row = accepted_row(b"null", attempts=(), iterations=0, grounded=None, **changes)
    return session_reply(row, error)


def events(body: bytes) -> list[Any]:
    """Read the data of a stream's events, by the lines that the strictest client splits at."""
    lines = body.decode().splitlines()
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(each) for each in data if each != "[DONE]"]
