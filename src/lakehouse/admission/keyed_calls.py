"""Calls with an `Idempotency-Key`: all calls with one key and one body share one session.

Within a process they wait for the same task; other processes find the key in the log's directory.
The log is the truth: a call is answered from the session's row, if there is one.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from lakehouse.admission.live_session import LiveSession
from lakehouse.core.context import CallContext, adopted
from lakehouse.core.errors import InfraError, LogUnavailable, Refusal
from lakehouse.core.ids import new_id
from lakehouse.core.json_text import parse_bytes
from lakehouse.core.row import IDEMPOTENCY_KEY
from lakehouse.core.row_codec import decode_row
from lakehouse.core.session import IterateRequest, Judged, ReplyError, SessionReply
from lakehouse.engine.run import logged_reply
from lakehouse.sessionlog.keyed import Claim, KeyReused, KeyStore

KEY_HEADER: Final = "idempotency-key"
REPLAYED_FIELD: Final = (b"x-lakehouse-replayed", b"true")
"""The header of a reply for which no session was begun."""
KEY_CHARS_MAX: Final = 255
_LOG = logging.getLogger(__name__)
_BEGUN_S: Final = 0.25  # within which a validator has begun what a gateway asked it for
_PAUSE_S: Final = 0.02
_PAUSE_S_MAX: Final = 0.25
_CANONICAL: Final = msgspec.json.Encoder(order="sorted", decimal_format="number")


class KeyedCall(msgspec.Struct, frozen=True):
    """One call with a key.

    `key` covers the caller too. `body` is what was asked for, in one form for equal JSON.
    `repeats` says whether a failed session may be run again under the same key.
    """

    key: str
    body: str
    repeats: Callable[[SessionReply], bool]

    @classmethod
    def of(
        cls,
        values: Sequence[str],
        *,
        door: str,
        caller: str,
        body: bytes,
        repeats: Callable[[SessionReply], bool],
    ) -> "KeyedCall":
        """Read the key of a call, of its headers `Idempotency-Key`.

        `door` is the route's path: two doors never mean the same by one body. `caller` is the name
        of the caller's API key: nobody is answered with a session of somebody else. The body is
        compared as JSON: the order of members does not matter.

        Raises:
            Refusal: The key is empty, too long, or there are several.
        """
        if len(values) != 1 or not 0 < len(values[0].strip()) <= KEY_CHARS_MAX:
            raise Refusal(
                "invalid_request",
                f"`Idempotency-Key` must be one header of 1 to {KEY_CHARS_MAX} characters.",
                hint="Use a new random text, such as a UUID, for each thing that is asked for.",
            )
        asked = _CANONICAL.encode([door, parse_bytes(body)])
        return cls(f"{caller}\n{values[0].strip()}", asked.decode(), repeats)


class RunSession(Protocol):
    """Runs one session in this process, or at the validator."""

    async def __call__(
        self, request: IterateRequest, context: CallContext, judged: Judged | None = None
    ) -> SessionReply: ...


Hold = Callable[[LiveSession, asyncio.Task[SessionReply]], None]


class _Slot(msgspec.Struct):
    body: str
    opened: "asyncio.Task[tuple[LiveSession, bool]]"


class _Asked(msgspec.Struct, frozen=True):
    call: KeyedCall
    request: IterateRequest
    context: CallContext
    run: RunSession


class KeyedCalls:
    """The keyed calls of one process.

    `patience_ms` is how long a call without a deadline waits for a session of another process.
    """

    def __init__(self, store: KeyStore, *, patience_ms: int) -> None:
        self._store = store
        self.patience_ms = patience_ms
        self._slots: dict[str, _Slot] = {}

    async def session(
        self,
        call: KeyedCall,
        request: IterateRequest,
        context: CallContext,
        run: RunSession,
        hold: Hold,
    ) -> tuple[LiveSession, bool]:
        """Return the session of a key, and whether it was there already; begins it if not.

        Raises:
            Refusal: `idempotency_key_reuse`.
            InfraError: `log_unavailable`.
        """
        slot = self._slots.get(call.key)
        if slot is not None:
            if slot.body != call.body:
                raise _reused()
            session, _ = await asyncio.shield(slot.opened)
            return session, True
        opened = asyncio.ensure_future(self._open(_Asked(call, request, context, run), hold))
        self._slots[call.key] = _Slot(call.body, opened)
        opened.add_done_callback(lambda done: self._opened(call.key, done))
        return await asyncio.shield(opened)

    def _opened(self, key: str, opened: "asyncio.Task[tuple[LiveSession, bool]]") -> None:
        """Keep the key's slot for as long as its session runs."""
        if opened.cancelled() or opened.exception() is not None:
            del self._slots[key]
        else:
            opened.result()[0].reply.add_done_callback(lambda _: self._slots.pop(key))

    async def _open(self, asked: _Asked, hold: Hold) -> tuple[LiveSession, bool]:
        call, context = asked.call, asked.context
        wait = _Wait((asked.request.deadline_ms or self.patience_ms) / 1000)
        claim = await self._claimed(call, context)
        ids = await self._ids(call, claim)
        while ids is None:  # another process is about to write them
            await wait.pause()
            claim = await self._claimed(call, context)
            ids = await self._ids(call, claim)
        again = claim is not None and _may_succeed_now(claim)
        if claim is not None and again:
            try:
                await asyncio.to_thread(claim.renew, context.row_id)
            except LogUnavailable:
                claim.release()
                raise
            ids = claim.session_id, claim.row_id
        replayed = claim is None or claim.row is not None or claim.running
        session = LiveSession(adopted(context, *ids))
        following = self._follow(asked, session, claim, wait, surely_ended=again)
        hold(session, asyncio.ensure_future(following))
        return session, replayed

    async def _follow(
        self,
        asked: _Asked,
        session: LiveSession,
        claim: Claim | None,
        wait: "_Wait",
        *,
        surely_ended: bool,
    ) -> SessionReply:
        """Return the reply of the key's session: from its row, or by running it here.

        `surely_ended`: nobody can be about to begin the run of the claim.
        """
        try:
            while True:
                if claim is None:
                    await wait.pause()
                    claim = await self._claimed(asked.call, session.context)
                elif claim.row is not None:
                    return logged_reply(decode_row(claim.row), hint=claim.hint)
                elif claim.running:  # at a validator whose gateway ended
                    await wait.pause()
                    await asyncio.to_thread(claim.look)
                elif claim.fresh or surely_ended:
                    return await self._run(asked, session, claim)
                else:  # a gateway may have died a moment before its validator began
                    await asyncio.sleep(_BEGUN_S)
                    await asyncio.to_thread(claim.look)
                    surely_ended = True
        finally:
            if claim is not None:
                claim.release()

    async def _run(self, asked: _Asked, session: LiveSession, claim: Claim) -> SessionReply:
        request = asked.request
        context = adopted(session.context, claim.session_id, claim.row_id)
        metadata = {**request.metadata, IDEMPOTENCY_KEY: claim.name}
        request = msgspec.structs.replace(request, metadata=metadata)
        try:
            reply = await asked.run(request, context, session.judged)
        except Refusal as refusal:
            # It became no session: the key is free for another body.
            if claim.fresh and not refusal.retryable:
                await asyncio.to_thread(claim.drop)
            raise
        if reply.error is not None:
            await self._keep(claim, reply.error, final=not asked.call.repeats(reply))
        return reply

    async def _keep(self, claim: Claim, error: ReplyError, *, final: bool) -> None:
        """Store what a later call with the key must know of a failure."""
        try:
            if error.code == "log_unavailable":  # its started line has no row and never will
                await asyncio.to_thread(claim.renew, new_id())
            elif final:
                await asyncio.to_thread(claim.told, error.hint)
        except LogUnavailable as trouble:
            _LOG.warning("the failure of a session is not kept for its key: %s", trouble.told)

    async def _claimed(self, call: KeyedCall, context: CallContext) -> Claim | None:
        """Claim the key; None while another process has it."""
        try:
            return await asyncio.to_thread(
                self._store.claim,
                call.key,
                body=call.body,
                session_id=context.session_id,
                row_id=context.row_id,
            )
        except KeyReused:
            raise _reused() from None

    async def _ids(self, call: KeyedCall, claim: Claim | None) -> tuple[str, str] | None:
        if claim is not None:
            return claim.session_id, claim.row_id
        return await asyncio.to_thread(self._store.ids_of, call.key)


class _Wait:
    """Pauses that grow, until the time of the call is over."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._until = asyncio.get_running_loop().time() + limit_s
        self._pause_s = _PAUSE_S

    async def pause(self) -> None:
        if asyncio.get_running_loop().time() > self._until:
            raise InfraError(
                "overloaded",  # not `timeout`: a repetition joins the session
                f"The session of this Idempotency-Key did not end within {self._limit_s:g} s.",
                hint="Send the same request again: it joins the session, or gets its answer.",
            )
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, _PAUSE_S_MAX)


def _may_succeed_now(claim: Claim) -> bool:
    """Return whether the last run failed for a reason that may have passed."""
    return (
        claim.row is not None
        and claim.hint is None
        and decode_row(claim.row).verdict == "infra_error"
    )


def _reused() -> Refusal:
    return Refusal(
        "idempotency_key_reuse",
        "This Idempotency-Key belongs to a request with another body.",
        hint="Use a new key for each thing that is asked for; a key is kept for 24 hours.",
    )
