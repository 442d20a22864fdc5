"""An answer is read again from the log by its id: never a replay's, and the newest of a session."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec

from lakehouse.core.context import call_context
from lakehouse.core.ids import new_id
from lakehouse.core.row import Row
from lakehouse.openai_api.routes import stored_routes
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from lakehouse.transport.response import Response
from lakehouse.transport.route import Call
from support.openai_replies import FORM, SESSION_ID, accepted_row


def row(artifact: bytes, second: int, **changes: Any) -> Row:
    made = accepted_row(artifact, metadata=FORM.metadata())
    at = f"2026-11-29T10:00:{second:02}.000000Z"
    return msgspec.structs.replace(made, row_id=new_id(), timestamp=at, **changes)


def content(log: Path, identity: str) -> str:
    async def ask() -> Response:
        call: Call[None] = Call(call_context((), ()), {}, {"id": identity}, {}, None)
        return await stored_routes(log)[0].handler(call)

    body = asyncio.run(ask()).body
    assert isinstance(body, bytes)
    return str(json.loads(body)["choices"][0]["message"]["content"])


def test_a_replay_of_a_session_is_not_taken_for_its_answer(tmp_path: Path):
    first, second = row(b"1", 1), row(b"2", 2)
    replayed = row(b"3", 3, daemon="replay")

    async def write() -> None:
        writer = SessionLogWriter.open(tmp_path, daemon="validatord")
        for one in (second, replayed, first):
            await writer.append(one)
        writer.close()

    asyncio.run(write())

    assert content(tmp_path, f"chatcmpl-{SESSION_ID}") == "2"
    assert content(tmp_path, f"chatcmpl-{first.row_id}") == "1"
