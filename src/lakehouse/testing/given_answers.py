"""Answers that a test gives in the place of a model's, and what the model was asked for them."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, get_args

import msgspec

from lakehouse.core.chat import Message
from lakehouse.core.conversation import last_user_turn
from lakehouse.core.errors import InfraCode, SetupError
from lakehouse.core.suggestion import did_you_mean
from lakehouse.core.wording import counted, shown

Answers = Iterable[object] | Callable[["ModelCall"], object]
"""A list of answers, one for each call of the model; or a function that answers every call."""

_OUTAGES: Final = (
    "connect",
    "overloaded",
    "timeout",
    "upstream_status",
    "upstream_malformed",
    "model_missing",
)
_PROMPT_CHARS_MAX: Final = 1_000  # of a prompt in a message
_FORM: Final = (
    "An answer is a text, or a value that is written as JSON: a dict, a list, an instance of a "
    "type; an Outage; or a function of the ModelCall that returns one of these."
)
assert set(_OUTAGES) <= set(get_args(InfraCode))


class ScriptError(AssertionError):
    """The model was asked more often than answers were given, or less often."""


class Outage(msgspec.Struct, frozen=True):
    """In the place of an answer: the model cannot be called, and the session ends as `infra_error`.

    It is not tried again. `code` is one of `connect`, `overloaded`, `timeout`, `upstream_status`,
    `upstream_malformed`, `model_missing`.
    """

    code: InfraCode
    retry_after_s: float | None = None

    def __post_init__(self) -> None:
        if self.code not in _OUTAGES:
            raise SetupError(
                f"Outage({self.code!r}): no such outage{did_you_mean(str(self.code), _OUTAGES)}; "
                f"allowed are {', '.join(_OUTAGES)}."
            )


class ModelCall(msgspec.Struct, frozen=True, kw_only=True):
    """One question to the model, as it was sent.

    `model` is the alias. `schema` is the JSON Schema that the model decodes under, None if there is
    none. The sampling is that of the request, the kind and the model together.
    """

    model: str
    messages: tuple[Message, ...]
    schema: Any = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] | None = None

    @property
    def prompt(self) -> str:
        """The text of the last user turn. After a rejected answer it says what was wrong."""
        at = last_user_turn(self.messages)
        return "" if at < 0 else self.messages[at].content


class GivenAnswers:
    """The answers of one client, in their order, and the calls of its model."""

    def __init__(self, answers: Answers, *, unused_ok: bool = False) -> None:
        """Check the answers, and write those that are values as JSON.

        Raises:
            SetupError: One cannot be written; names it.
        """
        self.calls: list[ModelCall] = []
        self._failure: BaseException | None = None
        self._unused_ok = unused_ok
        self._for_all: Callable[[ModelCall], object] | None = None
        self._left: deque[tuple[object, object]] = deque()  # as given, and as it is used
        self._of_sessions: dict[str, object] = {}
        if callable(answers):
            self._for_all = answers
        elif isinstance(answers, str | bytes | Mapping) or not isinstance(answers, Iterable):
            raise SetupError(
                f"The answers are {shown(answers)}; they must be a list, or a function.",
                hint="For one answer, write a list of one.",
            )
        else:
            for number, answer in enumerate(answers):
                self._left.append((answer, usable(answer, f"answers[{number}]")))
        self._given = len(self._left)

    @property
    def unused(self) -> tuple[object, ...]:
        """The answers that are left, as they were given."""
        return tuple(answer for answer, _ in self._left)

    def answer_session(self, session_id: str, answer: object) -> None:
        """Give the answer of one session, out of the order.

        Raises:
            SetupError: It cannot be written.
        """
        self._of_sessions[session_id] = usable(answer, "The answer")

    def take(self, call: ModelCall, session_id: str | None) -> object:
        """Record a call and return what answers it: a text, an `Outage` or a function.

        Raises:
            ScriptError: No answer is left.
        """
        self.calls.append(call)
        if session_id is not None and session_id in self._of_sessions:
            return self._of_sessions.pop(session_id)
        if self._for_all is not None:
            return self._for_all
        if self._left:
            return self._left.popleft()[1]
        raise ScriptError(
            f"The model was called {counted(len(self.calls), 'time')}, but the test gives "
            f"{counted(self._given, 'answer')}. The last question was:\n{_cut(call.prompt)}\n"
            "Give one more answer, or a function that answers every call."
        )

    def fail(self, failure: BaseException) -> None:
        """Make every call of the client fail from now on, with the first failure."""
        self._failure = self._failure or failure

    def check(self) -> None:
        """Raise the failure, if there is one."""
        if self._failure is not None:
            raise self._failure

    def forgive(self) -> None:
        """Let the end be without an error: another one is under way."""
        self._failure, self._unused_ok = None, True

    def check_end(self) -> None:
        """Raise what a test must not overlook.

        Raises:
            ScriptError: Answers are left over; or the failure, which was caught.
        """
        self.check()
        if self._left and not self._unused_ok:
            left = "".join(f"\n  {shown(answer)}" for answer in self.unused)
            raise ScriptError(
                f"{len(self._left)} of {counted(self._given, 'answer')} left over; the model was "
                f"called {counted(len(self.calls), 'time')}. Left over:{left}\n"
                "Give fewer answers, or say unused_ok=True."
            )


def usable(answer: object, name: str, *, functions: bool = True) -> object:
    """Return an answer as it is used: functions and outages as they are, everything else as text.

    Raises:
        SetupError: It cannot be written as JSON.
    """
    if isinstance(answer, str | Outage):
        return answer
    if functions and callable(answer) and not isinstance(answer, type):
        return answer
    try:
        plain = msgspec.to_builtins(answer, enc_hook=_plain)
        return json.dumps(plain, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SetupError(
            f"{name} is {shown(answer)}, which cannot be written as JSON: {error}.", hint=_FORM
        ) from error


def _plain(value: Any) -> object:
    """Return an instance of a Pydantic model as JSON has it."""
    dump = getattr(type(value), "model_dump", None)
    if dump is None:
        raise TypeError(f"{type(value).__name__} has no form in JSON")
    return dump(value, mode="json", by_alias=True)


def _cut(text: str) -> str:
    return text if len(text) <= _PROMPT_CHARS_MAX else text[:_PROMPT_CHARS_MAX] + "…"
