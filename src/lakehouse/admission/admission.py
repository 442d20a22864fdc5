"""Admits sessions, up to a limit, and holds those that outlive their request.

Every door that runs sessions asks here, so that the limit counts sessions, however many callers
wait for one.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from lakehouse.admission.keyed_calls import KEY_HEADER, KeyedCall, KeyedCalls
from lakehouse.admission.live_session import LiveSession
from lakehouse.core.context import CallContext
from lakehouse.core.errors import Refusal
from lakehouse.core.ports import Validator
from lakehouse.core.session import IterateRequest, Judged, SessionReply


class Answered(msgspec.Struct, frozen=True):
    """The end of a session, for one caller.

    `context` has the session's ids. `replayed`: no session was begun for this call; it was answered
    by the one of its key.
    """

    reply: SessionReply
    context: CallContext
    replayed: bool = False


class UnderWay(msgspec.Struct, frozen=True, kw_only=True):
    """A session that runs now, for `elapsed_ms` so far."""

    session_id: str
    kind: str | None
    model: str | None
    elapsed_ms: int


class Room(Protocol):
    """Counts the sessions that run, where several processes share one limit."""

    def take_session(self, most: int) -> bool:
        """Count one session more, if fewer than `most` run."""
        ...

    def end_session(self, most: int) -> None:
        """Count one session less; `most` as it was taken with."""
        ...

    def sessions(self) -> int:
        """Return how many run."""
        ...


class _OwnRoom:
    """The sessions of this process alone."""

    def __init__(self) -> None:
        self._count = 0

    def take_session(self, most: int) -> bool:
        if self._count >= most:
            return False
        self._count += 1
        return True

    def end_session(self, most: int) -> None:  # noqa: ARG002  as `Room` has it
        self._count -= 1

    def sessions(self) -> int:
        return self._count


class Admission:
    """Runs the sessions of one process, by a validator that may be elsewhere.

    Args:
        validator: Where sessions run.
        at_once_max: How many run at once; further ones are refused, not queued. None: no limit.
        keyed: Calls with an `Idempotency-Key`; None where no such call arrives.
        room: Counts the sessions for the limit; those of this process alone by default.
    """

    def __init__(
        self,
        validator: Validator,
        *,
        at_once_max: int | None = None,
        keyed: KeyedCalls | None = None,
        room: Room | None = None,
    ) -> None:
        self._room = room or _OwnRoom()
        self._validator = validator
        self._at_once_max = at_once_max
        self._keyed = keyed
        self._running: dict[int, tuple[IterateRequest, CallContext, float]] = {}
        self._tasks: set[asyncio.Task[SessionReply]] = set()

    def serve_by(self, validator: Validator, *, at_once_max: int | None, patience_ms: int) -> None:
        """Run further sessions by another validator; those that run now go on, and are counted."""
        self._validator, self._at_once_max = validator, at_once_max
        if self._keyed is not None:
            self._keyed.patience_ms = patience_ms

    def admit(self, headers: Mapping[str, Sequence[str]]) -> None:
        """Refuse a request early, by its headers; a call with a key may join a session.

        Raises:
            Refusal: `rate_limited`.
        """
        most = self._at_once_max
        if KEY_HEADER not in headers and most is not None and self._room.sessions() >= most:
            raise _no_room(most)

    async def answer(
        self, request: IterateRequest, context: CallContext, call: KeyedCall | None = None
    ) -> Answered:
        """Run a session to its end; with a key, join or repeat the one of this key.

        Raises:
            Refusal: It was refused: by the validator, the limit, or `idempotency_key_reuse`.
            InfraError: The session of the key did not end in time.
        """
        if call is None:
            return Answered(await self._run(request, context), context)
        session, replayed = await self.begin(request, context, call)
        return Answered(await asyncio.shield(session.reply), session.context, replayed)

    async def begin(
        self, request: IterateRequest, context: CallContext, call: KeyedCall | None = None
    ) -> tuple[LiveSession, bool]:
        """Begin a session that goes on without its caller; likewise.

        The second value is `Answered.replayed`. What the validator or the limit raises comes with
        the session's reply.

        Raises:
            Refusal: `idempotency_key_reuse`.
            InfraError: `log_unavailable`: whether the key is known cannot be said.
        """
        if call is not None and self._keyed is not None:
            return await self._keyed.session(call, request, context, self._run, self._hold)
        session = LiveSession(context)
        self._hold(session, asyncio.ensure_future(self._run(request, context, session.judged)))
        return session, False

    def under_way(self) -> list[UnderWay]:
        """List the sessions that run now, the oldest first."""
        now_s = time.monotonic()
        return [
            UnderWay(
                session_id=context.session_id,
                kind=request.kind,
                model=request.model,
                elapsed_ms=int(1000 * (now_s - started_s)),
            )
            for request, context, started_s in self._running.values()
        ]

    def stop(self) -> None:
        """End the waiting for sessions that outlive their request: their callers are told."""
        for task in tuple(self._tasks):
            task.cancel()

    def _hold(self, session: LiveSession, task: asyncio.Task[SessionReply]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        session.runs_as(task)

    async def _run(
        self, request: IterateRequest, context: CallContext, judged: Judged | None = None
    ) -> SessionReply:
        most = self._at_once_max
        if most is not None and not self._room.take_session(most):
            raise _no_room(most)
        self._running[id(context)] = (request, context, time.monotonic())
        try:
            return await self._validator.iterate(request, context, judged=judged)
        finally:
            del self._running[id(context)]
            if most is not None:
                self._room.end_session(most)


def _no_room(most: int) -> Refusal:
    return Refusal(
        "rate_limited",
        f"{most} sessions are running, which is this gateway's limit.",
        hint="Send the request again shortly, or raise gateway.sessions_at_once_max.",
        retry_after_s=1,
    )
