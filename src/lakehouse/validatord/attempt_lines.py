"""A session told line by line, as JSON: each attempt when it is judged, and at last the reply.

For callers that send `Accept: application/x-ndjson`. An empty line says that the session goes on.
The status is the true one where the session ends before an answer was rejected; else 200, and the
reply's verdict decides.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Final

import msgspec

from lakehouse.admission.live_session import LiveSession
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.session import Attempt, Judged, SessionReply
from lakehouse.transport.client import HttpReply
from lakehouse.transport.problem import PROBLEM_TYPE, Problem, problem_of

LINES_TYPE: Final = "application/x-ndjson"
_SILENCE_S_MAX: Final = 10.0  # proxies give up after 60 s or less


class JudgedLine(msgspec.Struct, frozen=True):
    """One judged attempt."""

    attempt: Attempt


class ReplyLine(msgspec.Struct, frozen=True):
    """The last line of a session that has ended."""

    reply: SessionReply


class ProblemLine(msgspec.Struct, frozen=True):
    """The last line of a session that has no reply."""

    problem: Problem


def wants_lines(accept: Sequence[str]) -> bool:
    """Return whether the caller asks for lines, by its headers `Accept`."""
    return any(LINES_TYPE in value for value in accept)


async def lines(session: LiveSession, *, inner: bool) -> AsyncGenerator[bytes]:
    """Yield the lines of a session, whose end the generator does not touch."""
    told = 0
    while not session.reply.done() or told < len(session.attempts):
        await session.changed(told, _SILENCE_S_MAX)
        news = session.attempts[told:]
        told += len(news)
        for attempt in news:
            yield msgspec.json.encode(JudgedLine(attempt)) + b"\n"
        if not news and not session.reply.done():
            yield b"\n"
    try:
        yield msgspec.json.encode(ReplyLine(session.reply.result())) + b"\n"
    except (Refusal, InfraError) as error:
        problem = problem_of(error, session.context.session_id, inner=inner)
        yield msgspec.json.encode(ProblemLine(problem)) + b"\n"


class LineReader:
    """Reads the lines of an answer as they arrive, and tells each attempt."""

    def __init__(self, judged: Judged) -> None:
        self._judged = judged
        self._parts: list[bytes] = []  # of a line that has not ended

    def arrived(self, piece: bytes) -> None:
        """Take a piece of the body. What is not an attempt is left for the whole answer.

        Cost: the piece's length, and a line's once more where it ends.
        """
        ended, newline, rest = piece.rpartition(b"\n")
        if not newline:
            self._parts.append(piece)
            return
        whole, self._parts = b"".join((*self._parts, ended)), [rest]
        for line in whole.split(b"\n"):
            if not line.startswith(b'{"attempt"'):
                continue
            try:
                found = msgspec.json.decode(line, type=JudgedLine)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # the reply has all attempts, and its error says what cannot be read
            self._judged(found.attempt)


class _LastLine(msgspec.Struct):
    reply: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    problem: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


class _Status(msgspec.Struct):
    status: int


def whole_answer(answer: HttpReply) -> HttpReply:
    """Return an answer in lines as it would be without lines; any other, and a cut one, unchanged.

    The status of a reply stays that of the answer.
    """
    if answer.headers.get("content-type") != LINES_TYPE:
        return answer
    try:
        last = msgspec.json.decode(answer.body.rstrip(b"\n").rpartition(b"\n")[2], type=_LastLine)
        if bytes(last.reply):
            return HttpReply(answer.status, answer.headers, bytes(last.reply))
        if not bytes(last.problem):
            return answer
        status = msgspec.json.decode(last.problem, type=_Status).status
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return answer
    headers = {**answer.headers, "content-type": PROBLEM_TYPE}
    return HttpReply(status, headers, bytes(last.problem))
