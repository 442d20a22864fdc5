"""The clients of tests: those of `lakehouse.open`, and what their model was asked."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse.core.context import CallContext
from lakehouse.core.ids import new_id
from lakehouse.core.session import IterateRequest, Judged, SessionReply
from lakehouse.library.async_lake import AsyncLake
from lakehouse.library.checks import CheckRegistry
from lakehouse.library.errors import Exhausted, failure_of
from lakehouse.library.hooks import Hooks
from lakehouse.library.in_process import InProcess
from lakehouse.library.lake import Lake
from lakehouse.library.runner import TypeChecks
from lakehouse.library.session import Session, SessionFinding
from lakehouse.sessionlog.reading.reader import read_rows
from lakehouse.testing.given_answers import GivenAnswers, ModelCall

if TYPE_CHECKING:
    from lakehouse.config.settings import Config

_NO_PROMPT = "(no prompt)"


class GivenRunner(InProcess):
    """Sessions in this process, without the environment; a failure of the test fails its calls."""

    def __init__(self, config: "Config", given: GivenAnswers) -> None:
        super().__init__(config, environment={})
        self._given = given

    async def run(
        self,
        request: IterateRequest,
        context: CallContext,
        *,
        judged: Judged | None = None,
        checks: TypeChecks | None = None,
    ) -> SessionReply:
        reply = await super().run(request, context, judged=judged, checks=checks)
        self._given.check()
        return reply


class _Watched:
    """What both clients tell of their model and their log."""

    given: GivenAnswers
    _log: Path

    @property
    def requests(self) -> tuple[ModelCall, ...]:
        """What the model was asked, in order."""
        return tuple(self.given.calls)

    @property
    def prompts(self) -> list[str]:
        """The last user turn of each question. After a rejected answer it says what was wrong."""
        return [call.prompt for call in self.given.calls]

    @property
    def unused(self) -> tuple[object, ...]:
        """The answers that are left, as they were given."""
        return self.given.unused

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the log, in the order in which the sessions ended."""
        rows = [msgspec.json.decode(row) for row in read_rows(self._log)]
        return sorted(rows, key=lambda row: (row["timestamp"], row["row_id"]))


class ScriptedLake(_Watched, Lake):
    """A `Lake` whose model gives the answers of a test."""

    def __init__(
        self, open_runner: Callable[[], GivenRunner], given: GivenAnswers, log: Path
    ) -> None:
        self.given, self._log = given, log
        super().__init__(open_runner)

    def judge(
        self, type_or_kind: Any, answer: object, prompt: str = _NO_PROMPT, *, context: object = None
    ) -> tuple[SessionFinding, ...]:
        """Return what is wrong with an answer; nothing if it is accepted.

        All checks run: those of a type with `@lake.check`, or those of a kind, which is given by
        its name. It runs a session of one attempt; none of the listed answers is used.

        Raises:
            InfraError: It could not be judged.
        """
        session_id = new_id()
        self.given.answer_session(session_id, answer)
        if isinstance(type_or_kind, str):
            return _findings(self.iterate(**_asked(type_or_kind, prompt, session_id)))
        try:
            self.create(type_or_kind, prompt, max_retries=0, context=context, session_id=session_id)
        except Exhausted as rejected:
            return rejected.findings
        return ()


class AsyncScriptedLake(_Watched, AsyncLake):
    """An `AsyncLake` whose model gives the answers of a test."""

    def __init__(self, runner: GivenRunner, given: GivenAnswers, log: Path) -> None:
        self.given, self._log = given, log
        super().__init__(runner, CheckRegistry(), Hooks())

    async def judge(
        self, type_or_kind: Any, answer: object, prompt: str = _NO_PROMPT, *, context: object = None
    ) -> tuple[SessionFinding, ...]:
        """Return what is wrong with an answer. See `ScriptedLake.judge`."""
        session_id = new_id()
        self.given.answer_session(session_id, answer)
        if isinstance(type_or_kind, str):
            return _findings(await self.iterate(**_asked(type_or_kind, prompt, session_id)))
        try:
            await self.create(
                type_or_kind, prompt, max_retries=0, context=context, session_id=session_id
            )
        except Exhausted as rejected:
            return rejected.findings
        return ()


def _asked(kind: str, prompt: str, session_id: str) -> Mapping[str, Any]:
    return {"kind": kind, "prompt": prompt, "max_iterations": 1, "session_id": session_id}


def _findings(session: Session) -> tuple[SessionFinding, ...]:
    if session.verdict == "infra_error":
        raise failure_of(session)
    return session.findings
