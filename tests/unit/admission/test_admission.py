"""Who is admitted: the limit counts sessions, and a key's callers share one, whatever happens."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from lakehouse.admission.admission import Admission, Answered
from lakehouse.admission.keyed_calls import KEY_HEADER, KeyedCall, KeyedCalls
from lakehouse.core.context import CallContext, session_context
from lakehouse.core.errors import InfraError, LogUnavailable, Refusal
from lakehouse.core.ports import Validator
from lakehouse.core.session import IterateRequest, Judged, SessionReply
from lakehouse.engine.run import session_reply
from lakehouse.sessionlog.keyed import Claim, KeyStore
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.rows import make_row

REQUEST = IterateRequest(kind="airport_event", prompt="x")
PATIENCE_MS = 100


class Sessions:
    """A validator whose sessions wait for `gate`, and end in a row of the log."""

    def __init__(self, log: SessionLogWriter) -> None:
        self.begun = 0
        self.gate = asyncio.Event()
        self.refusal: Refusal | None = None
        self.error: InfraError | None = None
        self._log = log

    async def iterate(
        self, request: IterateRequest, context: CallContext, *, judged: Judged | None = None
    ) -> SessionReply:
        self.begun += 1
        if self.refusal is not None:
            raise self.refusal
        await self.gate.wait()
        ended: dict[str, Any] = {}
        if self.error is not None:
            ended = {"verdict": "infra_error", "attempts": (), "iterations": 0}
            ended |= {"accepted_iteration": None}
        ids = {"session_id": context.session_id, "row_id": context.row_id}
        row = make_row(metadata=request.metadata, **ids, **ended)
        await self._log.append(row)
        return session_reply(row, self.error)


class Scene(Admission):
    """An admission over a log of its own."""

    def __init__(self, root: Path, log: SessionLogWriter, at_once_max: int | None = None) -> None:
        self.sessions = Sessions(log)
        keyed = KeyedCalls(KeyStore(root), patience_ms=PATIENCE_MS)
        validator = cast("Validator", self.sessions)
        super().__init__(validator, at_once_max=at_once_max, keyed=keyed)

    def ask(self, key: str | None = None, body: bytes = b"{}") -> "asyncio.Task[Answered]":
        call = key if key is None else _call(key, body)
        return asyncio.ensure_future(self.answer(REQUEST, session_context(), call))

    async def begun(self, count: int) -> None:
        async with asyncio.timeout(60):
            while self.sessions.begun < count:
                await asyncio.sleep(0.001)


def _call(key: str, body: bytes = b"{}") -> KeyedCall:
    return KeyedCall.of([key], door="/x", caller="", body=body, repeats=lambda _: True)


def play(
    root: Path, scene: Callable[[Scene], Awaitable[None]], at_once_max: int | None = None
) -> None:
    log = SessionLogWriter.open(root, daemon="validatord")

    async def run() -> None:
        await scene(Scene(root, log, at_once_max))

    asyncio.run(run())
    log.close()


def test_the_limit_counts_sessions_and_not_callers(tmp_path: Path):
    """Any number of callers may wait for one; another session is one too many."""

    async def scene(door: Scene) -> None:
        callers = [door.ask("k") for _ in range(5)]
        await door.begun(1)
        with pytest.raises(Refusal) as refused:
            door.admit({})
        assert (refused.value.code, refused.value.retry_after_s) == ("rate_limited", 1)
        door.admit({KEY_HEADER: ["k"]})  # it may join
        with pytest.raises(Refusal):
            await door.ask("other")
        callers.append(door.ask("k"))
        door.sessions.gate.set()
        answers = await asyncio.gather(*callers)
        assert door.sessions.begun == 1
        assert [answer.replayed for answer in answers] == [False, *[True] * 5]
        assert len({answer.context.session_id for answer in answers}) == 1
        door.admit({})
        assert not (await door.ask("other")).replayed, "the refused call left its key usable"

    play(tmp_path, scene, at_once_max=1)


def test_what_is_refused_makes_room_and_frees_its_key(tmp_path: Path):
    async def scene(door: Scene) -> None:
        door.sessions.refusal = Refusal("unknown_model", "no")
        for key in (None, "k"):
            with pytest.raises(Refusal) as refused:
                await door.ask(key)
            assert refused.value.code == "unknown_model"
        door.sessions.refusal = None
        door.sessions.gate.set()
        assert not (await door.ask("k", b'{"other": 1}')).replayed

    play(tmp_path, scene, at_once_max=1)


def test_a_caller_that_leaves_ends_only_its_own_session(tmp_path: Path):
    """One without a key takes its place with it; that of a key goes on for the next caller."""

    async def scene(door: Scene) -> None:
        alone = door.ask()
        await door.begun(1)
        alone.cancel()
        await asyncio.wait([alone])
        first = door.ask("k")
        await door.begun(2)
        first.cancel()
        await asyncio.wait([first])
        second = door.ask("k")
        await asyncio.sleep(0)
        door.sessions.gate.set()
        answer = await second
        assert answer.replayed
        assert door.sessions.begun == 2

    play(tmp_path, scene, at_once_max=1)


def test_another_body_is_refused_while_the_session_runs_and_after(tmp_path: Path):
    async def scene(door: Scene) -> None:
        first = door.ask("k")
        await door.begun(1)
        with pytest.raises(Refusal, match="another body"):
            await door.ask("k", b'{"other": 1}')
        door.sessions.gate.set()
        await first
        with pytest.raises(Refusal, match="another body"):
            await door.ask("k", b'{"other": 1}')

    play(tmp_path, scene)


def test_patience_with_another_process_ends(tmp_path: Path):
    """A key that another process holds and does not end: repeating joins it; then it is free."""

    async def scene(door: Scene) -> None:
        call = _call("k")
        context = session_context()
        held = KeyStore(tmp_path).claim(
            call.key, body=call.body, session_id=context.session_id, row_id=context.row_id
        )
        assert held is not None
        with pytest.raises(InfraError) as late:
            await door.ask("k")
        assert (late.value.code, late.value.retryable) == ("overloaded", True)
        held.release()
        door.sessions.gate.set()
        answer = await door.ask("k")
        assert answer.context.session_id == context.session_id

    play(tmp_path, scene)


def test_a_run_that_could_not_be_stored_lets_the_key_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The disk failed for a moment: this caller is told, the next one is served."""

    async def scene(door: Scene) -> None:
        door.sessions.gate.set()
        door.sessions.error = InfraError("connect", "down")
        assert (await door.ask("k")).reply.verdict == "infra_error"
        door.sessions.error = None

        def full(*_: object) -> None:
            raise LogUnavailable("the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(Claim, "renew", full)
            with pytest.raises(InfraError) as told:
                await door.ask("k")
        assert told.value.code == "log_unavailable"
        answer = await door.ask("k")
        assert (answer.reply.verdict, answer.replayed) == ("accepted", False)

    play(tmp_path, scene)


def test_a_stop_ends_what_outlives_its_request(tmp_path: Path):
    """Callers of a key, and a session that was begun, hear of it at once; the key is let go."""

    async def scene(door: Scene) -> None:
        keyed = door.ask("k")
        session, _ = await door.begin(REQUEST, session_context())
        await door.begun(2)
        door.stop()
        await asyncio.wait([keyed], timeout=60)
        await asyncio.wait([session.reply], timeout=60)
        assert keyed.cancelled()
        assert session.reply.cancelled()
        again = door.ask("k")
        await door.begun(3)
        door.sessions.gate.set()
        assert (await again).reply.verdict == "accepted"

    play(tmp_path, scene)
