"""A runner of sessions for tests of many calls: it answers what its prompts say, when let."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lakehouse.core.chat import ModelStatus, Usage
from lakehouse.core.context import CallContext
from lakehouse.core.errors import Refusal, SetupError
from lakehouse.core.finding import Finding
from lakehouse.core.ports import KindInfo
from lakehouse.core.session import IterateRequest, Judged, ReplyError, SessionReply
from lakehouse.library.async_lake import AsyncLake
from lakehouse.library.checks import CheckRegistry
from lakehouse.library.hooks import Hooks
from lakehouse.library.lake import Lake
from lakehouse.library.runner import TypeChecks

SCHEMA = {"type": "object", "properties": {"said": {"type": "string"}}, "required": ["said"]}


class SayingRunner:
    """A `SessionRunner` that accepts `{"said": prompt}`.

    A prompt that begins with `exhausted`, `outage`, `refused` or `setup` ends that way while
    `failing` is set. A session whose prompt is `held` waits for that event.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.running = 0
        self.peak = 0
        self.cancelled: list[str] = []
        self.ended: list[str] = []
        self.failing = True
        self.kind_digest = "sha256:1"
        self.held: Callable[[str], asyncio.Event | None] = lambda _: None

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def kinds(self) -> tuple[KindInfo, ...]:
        null = msgspec.Raw(b"null")
        return (KindInfo("k", "m", 3, None, null, (), (), self.kind_digest),)

    async def models(self) -> tuple[ModelStatus, ...]:
        return ()

    async def run(
        self,
        request: IterateRequest,
        context: CallContext,
        *,
        judged: Judged | None = None,
        checks: TypeChecks | None = None,
    ) -> SessionReply:
        prompt = request.prompt or ""
        self.asked[prompt] += 1
        self.running += 1
        self.peak = max(self.peak, self.running)
        try:
            held = self.held(prompt)
            await (asyncio.sleep(0) if held is None else held.wait())
        except asyncio.CancelledError:
            self.cancelled.append(prompt)
            raise
        finally:
            self.running -= 1
        self.ended.append(prompt)
        return await self._reply(prompt, context, checks)

    async def _reply(
        self, prompt: str, context: CallContext, checks: TypeChecks | None
    ) -> SessionReply:
        word = prompt.partition(" ")[0] if self.failing else ""
        if word == "refused":
            raise Refusal("unknown_model", "There is no such model.")
        if word == "setup":
            raise SetupError("The rule cannot be used.")
        artifact = msgspec.json.encode({"said": prompt})
        findings: tuple[Finding, ...] = ()
        if word == "exhausted":
            findings = (Finding(code="schema", path="/said", message="not good"),)
        elif word != "outage" and checks is not None:
            found = await checks.check.faults(artifact)
            findings = tuple(Finding(code="rule", path="", message=one.message) for one in found)
        outage = ReplyError("connect", "No way.", retryable=True, hint="Wait.")
        return SessionReply(
            session_id=context.session_id,
            trace_id=context.trace_id,
            row_id=context.row_id,
            verdict="infra_error"
            if word == "outage"
            else ("max_iter_exhausted" if findings else "accepted"),
            iterations=1,
            accepted_iteration=None if findings or word == "outage" else 0,
            artifact=msgspec.Raw(artifact),
            grounded=None,
            findings=findings,
            attempts=(),
            usage=Usage(1, 1),
            model="tiny",
            error=outage if word == "outage" else None,
            duration_ms=1,
        )


def async_lake(runner: SayingRunner) -> AsyncLake:
    return AsyncLake(runner, CheckRegistry(), Hooks())


def waiting_lake(runner: SayingRunner) -> Lake:
    return Lake(lambda: runner)


def ran_program(
    script: str, *arguments: str, environment: Mapping[str, str] | None = None, **options: Any
) -> "subprocess.CompletedProcess[Any]":
    """Run a program that may use this module, to its end, which must be a good one."""
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": path, **(environment or {})},
        check=True,
        **options,
    )
