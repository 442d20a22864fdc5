r"""A model with prepared answers: a test double, and a way to try things.

A script is one JSON object, or a list, which stands for an object with `steps` only:

    {
      "load_ms": 8000,
      "steps": ["{\"a\": 1}", {"text": "no", "delay_ms": 200}, {"error": "connect"}],
      "matches": {"flight \\d+": ["..."], "ground stop": ["..."]}
    }

- `load_ms`: how long the model takes to load, once.
- `steps`: what it answers, one step after the other; the last one is repeated.
- `matches`: regular expressions, searched in the texts of all user turns; the first that is found
  gives its own list of steps in place of `steps`. Where nothing matches and there are no `steps`,
  the model answers an empty text.

A step is a text or an object: `text`, `thinking`, `finish_reason`, `usage` (`prompt_tokens`,
`completion_tokens`), `delay_ms` (before the answer), `error` (an infra code: the call fails with
it; `connect`, `overloaded` and `upstream_status` may be tried again, `connect` and
`upstream_malformed` count as faults of the way) and `retry_after_s` (of the error).

It writes its answers whatever the schema says: values of tables in the schema do not change them.

Every session goes through its steps by itself, concurrent or not: calls are counted by the trace
id of the call and the text of its first user turn; a failed call is a step too. Without a trace
id the step is the number of assistant turns in the conversation, so errors repeat for ever.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from lakehouse.core.chat import (
    ChatReply,
    ChatRequest,
    FinishReason,
    ModelState,
    Offer,
    OfferMode,
    SchemaLimits,
    Usage,
)
from lakehouse.core.errors import InfraCode, SetupError
from lakehouse.core.json_text import NULL
from lakehouse.providers.provider import ModelSettings, ProviderFault, Surroundings

_NAME: Final = "scripted"
_CONVERSATIONS_MAX: Final = 10_000  # counted at once; the oldest is forgotten and begins anew
_REQUESTS_MAX: Final = 10_000  # recorded; a benchmark makes more calls than anybody looks at
_AGAIN: Final = frozenset({"connect", "overloaded", "upstream_status"})
_FORM: Final = (
    'Write a list of answers, such as ["{}", {"text": "no", "delay_ms": 200}, {"error": '
    '"connect"}], or {"matches": {"a regular expression": [answers]}, "steps": [answers]}.'
)
_TRANSPORT: Final = frozenset({"connect", "upstream_malformed"})


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer, or one failure where `error` is set."""

    text: str = ""
    thinking: str | None = None
    finish_reason: FinishReason = "stop"
    usage: Usage = Usage(0, 0)
    delay_ms: int = 0
    error: InfraCode | None = None
    retry_after_s: float | None = None


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole script; see the module's docstring."""

    load_ms: int = 0
    steps: tuple[str | Step, ...] = ()
    matches: dict[str, tuple[str | Step, ...]] = {}


class ScriptedSettings(ModelSettings, frozen=True, kw_only=True, tag=_NAME):
    """`script` is the file of answers. Sampling is only recorded in the row."""

    PATHS: ClassVar[tuple[str, ...]] = ("script",)
    # It stands for any model, and its answers are written already.
    DECODING: ClassVar[SchemaLimits | None] = SchemaLimits()

    script: str | None = None

    def faults(self) -> Iterator[tuple[str, str]]:
        """Check that a script is named; `open` reads it."""
        if self.script is None:
            yield "script", f"is missing; provider {self.provider!r} needs a file of answers"

    def unfit(self) -> str | None:
        """Return where its answers come from."""
        return "its answers come from a file, not from a model"

    def open(self, name: str, around: Surroundings) -> "ScriptedProvider":
        """Make the provider; raises likewise."""
        script = str(around.base / (self.script or ""))
        return ScriptedProvider(name, msgspec.structs.replace(self, script=script))


class ScriptedProvider:
    """Answers from a script. `requests` records the calls, failed ones included, oldest first."""

    def __init__(
        self,
        name: str,
        settings: ScriptedSettings,
        script: Script | Sequence[str | Step] | None = None,
        *,
        per_session: bool = True,
    ) -> None:
        """Read the script.

        Args:
            name: Our alias, for messages.
            settings: `script` is the path of the script, unless one is given.
            script: A script, or its steps.
            per_session: Whether each session goes through the steps by itself; else all calls
                share one way through them, in the order in which they come.

        Raises:
            SetupError: The file cannot be read or is not a script.
        """
        self.requests: list[ChatRequest] = []
        self.loads = 0
        self._name = name
        self._model = settings.model
        self._per_session = per_session
        if script is None:
            script = _read(name, settings.script)
        self._script = script if isinstance(script, Script) else Script(steps=tuple(script))
        self._matches = _compiled(name, self._script)
        self._turns: dict[tuple[str, str], int] = {}
        self._loaded = False
        self._loading = False

    async def complete(
        self, request: ChatRequest, *, trace: Mapping[str, str], deadline_ms: int
    ) -> ChatReply:
        """Return the next step of the call's session, after its delay.

        Raises:
            ProviderFault: The step is an error, or its delay is longer than the deadline.
        """
        if len(self.requests) < _REQUESTS_MAX:
            self.requests.append(request)
        step = self._step(request, trace)
        if step.delay_ms > 0:
            await asyncio.sleep(min(step.delay_ms, deadline_ms) / 1000)
        if step.delay_ms > deadline_ms:
            raise ProviderFault(
                "timeout",
                f"Model {self._name!r} did not answer within {deadline_ms} ms.",
                again=False,
            )
        if step.error is not None:
            raise ProviderFault(
                step.error,
                f"Model {self._name!r} failed with {step.error}, as its script says.",
                again=step.error in _AGAIN,
                transport=step.error in _TRANSPORT,
                hint=f"The script of model {self._name!r} sets this error; it simulates a model.",
                retry_after_s=step.retry_after_s,
            )
        return ChatReply(
            text=step.text,
            thinking=step.thinking,
            finish_reason=step.finish_reason,
            usage=step.usage,
            model=self._model,
            provider=_NAME,
            offered=_mode(request.offer),
        )

    async def load(self) -> None:
        """Take `load_ms` the first time."""
        if self._loaded:
            return
        self.loads += 1
        self._loading = True
        try:
            await asyncio.sleep(self._script.load_ms / 1000)
            self._loaded = True
        finally:
            self._loading = False

    async def state(self) -> tuple[ModelState, str | None]:
        """Return whether it is loading; it is ready otherwise."""
        return ("loading" if self._loading else "ready"), None

    async def close(self) -> None:
        """Do nothing: a script holds nothing."""

    def _step(self, request: ChatRequest, trace: Mapping[str, str]) -> Step:
        steps = self._steps(request)
        if not steps:
            return Step()
        step = steps[min(self._turn(request, trace), len(steps) - 1)]
        return Step(step) if isinstance(step, str) else step

    def _steps(self, request: ChatRequest) -> tuple[str | Step, ...]:
        if self._matches:
            text = "\n".join(turn.content for turn in request.messages if turn.role == "user")
            for pattern, steps in self._matches:
                if pattern.search(text):
                    return steps
        return self._script.steps

    def _turn(self, request: ChatRequest, trace: Mapping[str, str]) -> int:
        opening = ""
        trace_id = ""
        if self._per_session:
            if not trace:
                return sum(turn.role == "assistant" for turn in request.messages)
            trace_id = trace["traceparent"].split("-")[1]
            opening = next((turn.content for turn in request.messages if turn.role == "user"), "")
        turns = self._turns
        turn = turns.get((trace_id, opening), 0)
        turns[trace_id, opening] = turn + 1
        if len(turns) > _CONVERSATIONS_MAX:
            del turns[next(iter(turns))]
        return turn


def _mode(offer: Offer | None) -> OfferMode | None:
    if offer is None:
        return None
    return "hint" if offer.schema == NULL else "decode"


def _read(name: str, path: str | None) -> Script:
    if path is None:
        raise SetupError(f"models.{name}.script is missing; provider 'scripted' needs a file.")
    try:
        data = Path(path).read_bytes()
        if data.lstrip().startswith(b"["):
            return Script(steps=msgspec.json.decode(data, type=tuple[str | Step, ...]))
        return msgspec.json.decode(data, type=Script)
    except OSError as error:
        raise SetupError(
            f"models.{name}.script: {path} cannot be read: {error.strerror}.",
            hint="Correct the path; it is relative to lakehouse.toml.",
        ) from error
    except msgspec.DecodeError as error:
        raise SetupError(
            f"models.{name}.script: {path} is not a script: {error}",
            hint=_FORM,
        ) from error


def _compiled(
    name: str, script: Script
) -> tuple[tuple[re.Pattern[str], tuple[str | Step, ...]], ...]:
    compiled = []
    for pattern, steps in script.matches.items():
        try:
            compiled.append((re.compile(pattern), steps))
        except re.error as error:
            raise SetupError(
                f"models.{name}.script: {pattern!r} is not a regular expression: {error}."
            ) from error
    return tuple(compiled)
