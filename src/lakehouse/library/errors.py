"""What calls raise. Each `str()` says what happened and what to do.

`InfraError` and `SetupError` are those of `lakehouse.core.errors`: the session could not be judged;
or the configuration, a type or a check cannot be used.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, cast

from lakehouse.core.chat import Usage
from lakehouse.core.errors import InfraCode, InfraError, LakehouseError, Refusal
from lakehouse.core.session import ReplyError
from lakehouse.core.wording import counted
from lakehouse.library.request import ARGUMENTS_HINT
from lakehouse.library.session import Session, SessionAttempt, SessionFinding

_FINDINGS_TOLD_MAX = 10
_OF_HTTP: Final = re.compile(r"/openapi\.json|GET /v1/")
_HINTS: Final[Mapping[str, str]] = {  # in place of those that speak of HTTP
    "invalid_request": ARGUMENTS_HINT,
    "unknown_kind": "The client's kinds() lists the kinds.",
    "unknown_model": "The client's models() lists the models with their state.",
}


class Exhausted(LakehouseError):
    """No answer of the session passed. `artifact` and `findings` are those of the last one.

    >>> with lakehouse.open() as lake:
    ...     try:
    ...         lake.create(Event, "BCN: delayed 25 minutes.", max_retries=0)
    ...     except lakehouse.Exhausted as error:
    ...         error.artifact, error.findings[0].path, error.findings[0].nearest
    ({'airport': 'BCX', 'minutes': 25}, '/airport', ('BCN', 'BOS'))
    """

    code = "max_iter_exhausted"

    def __init__(self, session: Session) -> None:
        super().__init__(
            _story(session),
            hint="Look at .findings and .attempts; raise max_retries, or use a better model.",
        )
        self.session = session
        self.session_id: str = session.session_id
        self.artifact: Any = session.artifact
        self.findings: tuple[SessionFinding, ...] = session.findings
        self.attempts: tuple[SessionAttempt, ...] = session.attempts
        self.usage: Usage = session.usage


class Refused(LakehouseError):
    """The call was not accepted: no model was called, no row is written.

    `code` is a problem code of the contract. `retry_after_s` is a wait in seconds, if it is known.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str = "",
        retryable: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.args = (f"{code}: {_sentences(message, hint)}",)
        self.code = code
        self.retryable = retryable
        self.retry_after_s = retry_after_s


def failure_of(session: Session) -> Exhausted | InfraError:
    """Return the error that a session without an accepted answer is."""
    if session.error is None:
        return Exhausted(session)
    return infra_error(session.error, session.session_id)


def infra_error(said: ReplyError, session_id: str) -> InfraError:
    """Return the error of a session that could not be judged."""
    wait_s = said.retry_after_s
    error = InfraError(
        cast("InfraCode", said.code),
        said.message,
        hint=said.hint,
        retryable=said.retryable,
        retry_after_s=float(wait_s) if isinstance(wait_s, int) else None,
    )
    error.session_id = session_id
    return error


@contextmanager
def told() -> Iterator[None]:
    """Raise refusals as `Refused`, and give every error a text that says what to do."""
    try:
        yield
    except Refusal as error:
        raise Refused(
            error.code,
            error.public.replace("`output_schema`", "the type's schema"),
            hint=_HINTS.get(error.code, "") if _OF_HTTP.search(error.hint) else error.hint,
            retryable=error.retryable,
            retry_after_s=error.retry_after_s,
        ) from error
    except InfraError as error:
        of = "" if error.session_id is None else f" (session {error.session_id})"
        error.args = (f"{error.code}: {_sentences(error.public, error.hint)}{of}",)
        raise
    except (Exhausted, Refused):
        raise
    except LakehouseError as error:
        error.args = (_sentences(error.public, error.hint),)
        raise


def _sentences(message: str, hint: str) -> str:
    return f"{message} {hint}" if hint else message


def _story(session: Session) -> str:
    tries = counted(session.iterations, "attempt")
    lines = [f"No answer was accepted in {tries} (session {session.session_id}). The last one:"]
    lines += [f"  {finding}" for finding in session.findings[:_FINDINGS_TOLD_MAX]]
    more = len(session.findings) - _FINDINGS_TOLD_MAX
    return "\n".join([*lines, f"  and {more} more"] if more > 0 else lines)
