"""Sessions at a gateway whose accepted answers are checked here, in Python.

An answer that is rejected here is never returned. A further session in the same conversation tells
the model what was found, as a later attempt would, and has the attempts that are left. Its row
names the one before in `metadata`. The caller sees all of them as one session: that of the last
row, with the attempts of all.
"""

import time
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

import msgspec

from lakehouse.core.chat import Message, Usage
from lakehouse.core.context import CallContext, session_context
from lakehouse.core.conversation import later_turns
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.finding import ordered
from lakehouse.core.json_text import NULL
from lakehouse.core.kind import ArtifactCheck
from lakehouse.core.limits import ITERATIONS_DEFAULT
from lakehouse.core.metadata import AFTER_MEMBER
from lakehouse.core.session import Attempt, IterateRequest, Judged, SessionReply
from lakehouse.engine.judge import model_findings
from lakehouse.engine.prompt import told_after
from lakehouse.engine.run import reply_error
from lakehouse.library.gateway_caller import GatewayCaller


class CheckedSessions:
    """The sessions of one call. `judged` gets an answer when the checks here have judged it too."""

    def __init__(
        self,
        caller: GatewayCaller,
        request: IterateRequest,
        check: ArtifactCheck,
        judged: Judged | None,
    ) -> None:
        self._caller = caller
        self._request = request
        self._check = check
        self._judged = judged
        self._attempts_max = request.max_iterations or ITERATIONS_DEFAULT
        self._started_s = time.monotonic()
        self._conversation_id = request.conversation_id
        self._before: tuple[Attempt, ...] = ()  # of the sessions that have ended
        self._before_ms = 0
        self._told: str | None = None
        self._goes_on = False

    async def run(self, context: CallContext) -> SessionReply:
        """Run sessions until an answer passes the checks, or no attempt is left.

        Raises:
            Refusal: Or `InfraError`: as `GatewayCaller.iterate` raises, of the first session. If
                it is a later one, the call ends as `infra_error`, with the attempts before.
        """
        self._conversation_id = self._conversation_id or context.session_id
        ended = await self._session(self._request, context)
        while self._goes_on:
            try:
                ended = await self._session(await self._further(ended), session_context())
            except InfraError as error:
                return self._failed(ended, error)
            except Refusal as error:
                return self._failed(ended, _outage(error))
        return ended

    async def _session(self, request: IterateRequest, context: CallContext) -> SessionReply:
        """Run one session, and check its answer; the reply has the attempts of all so far."""
        self._goes_on = False
        told = None if self._judged is None else self._tell_rejected
        reply = await self._caller.iterate(request, context, judged=told)
        attempts = tuple(map(self._numbered, reply.attempts))
        if reply.verdict != "accepted":
            return self._whole(reply, attempts)
        *before, last = attempts
        try:
            faults = await self._check.faults(bytes(reply.artifact))
        except InfraError as error:
            # As in one process: an answer that could not be judged is no attempt.
            whole = self._whole(msgspec.structs.replace(reply, grounded=None), tuple(before))
            return self._failed(whole, error)
        if faults:
            findings = tuple(ordered(model_findings(faults, bytes(reply.artifact))))
            last = msgspec.structs.replace(last, outcome="rejected", findings=findings)
            reply = msgspec.structs.replace(reply, verdict="max_iter_exhausted")
        if self._judged is not None:
            self._judged(last)
        whole = self._whole(reply, (*before, last))
        self._goes_on = bool(faults) and whole.iterations < self._attempts_max
        self._before, self._before_ms = whole.attempts, whole.duration_ms
        return whole

    async def _further(self, ended: SessionReply) -> IterateRequest:
        """Return the request that goes on after a rejected answer.

        It tells the model what an attempt of the session itself would, by the kind's settings.

        Raises:
            InfraError: `timeout`: the time for the whole call is over.
        """
        asked, last = self._request, ended.attempts[-1]
        left_ms = asked.deadline_ms
        if left_ms is not None:
            left_ms -= int((time.monotonic() - self._started_s) * 1000)
            if left_ms <= 0:
                raise _deadline_passed(asked, ended.iterations)
        settings = await self._kind_settings()
        self._told = told_after(last.findings, settings.get("reprompt"))
        shown = settings.get("history", "findings") != "findings"
        turns = later_turns((last,), self._told, "answer_and_findings" if shown else "findings")
        opening = asked.messages or (Message("user", asked.prompt or ""),)
        return msgspec.structs.replace(
            asked,
            prompt=None,
            messages=(*opening, *turns),
            max_iterations=self._attempts_max - ended.iterations,
            deadline_ms=left_ms,
            conversation_id=self._conversation_id,
            metadata={**asked.metadata, AFTER_MEMBER: ended.row_id},
        )

    async def _kind_settings(self) -> Mapping[str, Any]:
        name = self._request.kind
        if name is None:
            return {}
        return next((one.settings for one in await self._caller.kinds() if one.name == name), {})

    def _numbered(self, attempt: Attempt) -> Attempt:
        """Return an attempt of the running session as one of the whole call."""
        told = self._told if attempt.iteration == 0 else attempt.told
        iteration = attempt.iteration + len(self._before)
        return msgspec.structs.replace(attempt, iteration=iteration, told=told)

    def _tell_rejected(self, attempt: Attempt) -> None:
        if self._judged is not None and attempt.outcome == "rejected":
            self._judged(self._numbered(attempt))

    def _whole(self, reply: SessionReply, attempts: Sequence[Attempt]) -> SessionReply:
        """Return the reply of the last session, as one of all of them."""
        attempts = (*self._before, *attempts)
        last = attempts[-1] if attempts else None
        return msgspec.structs.replace(
            reply,
            iterations=len(attempts),
            accepted_iteration=last.iteration if last and reply.verdict == "accepted" else None,
            artifact=NULL if last is None else last.artifact,
            findings=() if last is None else last.findings,
            attempts=attempts,
            usage=reduce(add, (each.usage for each in attempts)) if attempts else Usage(),
            duration_ms=self._before_ms + reply.duration_ms,
        )

    def _failed(self, ended: SessionReply, error: InfraError) -> SessionReply:
        return msgspec.structs.replace(
            ended, verdict="infra_error", accepted_iteration=None, error=reply_error(error)
        )


def _deadline_passed(asked: IterateRequest, iteration: int) -> InfraError:
    return InfraError(
        "timeout",
        f"The deadline of {asked.deadline_ms} ms passed before attempt {iteration}.",
        hint="Raise the deadline, lower max_retries, or use a faster model.",
    )


def _outage(refusal: Refusal) -> InfraError:
    """Return what the refusal of a further session is: the call itself had been taken on."""
    return InfraError(
        "overloaded" if refusal.retryable else "upstream_status",
        f"The gateway refused a further attempt: {refusal.code}: {refusal.public}",
        hint=refusal.hint,
        retryable=refusal.retryable,
        retry_after_s=refusal.retry_after_s,
    )
