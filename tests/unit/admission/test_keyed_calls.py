"""Calls with one key: what a later call is answered with."""

import asyncio
from pathlib import Path
from typing import cast

import msgspec

from lakehouse.admission.admission import Admission, Answered
from lakehouse.admission.keyed_calls import KeyedCall, KeyedCalls
from lakehouse.core.context import CallContext, session_context
from lakehouse.core.ports import Validator
from lakehouse.core.row_codec import decode_row
from lakehouse.core.session import IterateRequest, Judged, SessionReply
from lakehouse.engine.run import session_reply
from lakehouse.sessionlog.keyed import KeyStore
from lakehouse.sessionlog.reading.outcome import outcome_of
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.rows import make_attempt, make_row, rejected_attempt

LARGE = '{"text":"%s"}' % ("x" * (1 << 20))
LAST = msgspec.Raw(b'{"airport":"OSL","delay":1.10}')


class LargeSessions:
    """A validator whose sessions have five large answers before a good one."""

    def __init__(self, log: SessionLogWriter) -> None:
        self._log = log

    async def iterate(
        self, request: IterateRequest, context: CallContext, *, judged: Judged | None = None
    ) -> SessionReply:
        large = msgspec.Raw(LARGE.encode())
        row = make_row(
            session_id=context.session_id,
            row_id=context.row_id,
            metadata=request.metadata,
            attempts=(
                *(rejected_attempt(number, output=LARGE, artifact=large) for number in range(5)),
                make_attempt(5, artifact=LAST),
            ),
            iterations=6,
            accepted_iteration=5,
            artifact=LAST,
        )
        await self._log.append(row)
        return session_reply(row, None)


def test_an_answer_whose_row_was_cut_is_repeated_whole(tmp_path: Path):
    """Earlier answers are cut, never the last one."""
    log = SessionLogWriter.open(tmp_path, daemon="validatord")
    validator = cast("Validator", LargeSessions(log))

    async def ask() -> Answered:
        keyed = KeyedCalls(KeyStore(tmp_path), patience_ms=60_000)
        call = KeyedCall.of(["k"], door="/x", caller="", body=b"{}", repeats=lambda _: False)
        request = IterateRequest(kind="airport_event", prompt="x")
        return await Admission(validator, keyed=keyed).answer(request, session_context(), call)

    first, again = (asyncio.run(ask()) for _ in range(2))
    log.close()

    logged = outcome_of(tmp_path, first.reply.row_id).row
    assert logged is not None
    assert decode_row(logged).attempts[0].artifact_truncated is not msgspec.UNSET
    assert again.replayed
    assert bytes(again.reply.artifact) == bytes(first.reply.artifact) == bytes(LAST)
