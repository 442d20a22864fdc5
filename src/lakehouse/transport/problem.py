"""The only module that turns our errors into HTTP, as RFC 9457 problem bodies, and back.

The operator's cause is included only between our own daemons, so that the outer one can write it
to its row and log; a gateway never sends it.
"""

import re
from http import HTTPStatus
from typing import Final, cast, get_args

import msgspec

from lakehouse.core.errors import (
    INFRA_STATUS,
    PROBLEM_STATUS,
    InfraCode,
    InfraError,
    ProblemCode,
    Refusal,
)
from lakehouse.core.integers import whole_number
from lakehouse.core.words import WORD_PATTERN
from lakehouse.transport.error_shape import ErrorShape, FailedCall
from lakehouse.transport.response import Response

_WAIT_S_MAX: Final = 999_999_999
PROBLEM_TYPE: Final = "application/problem+json"


class Problem(msgspec.Struct, frozen=True):
    """An RFC 9457 body with our own members. `detail` is for people, `code` for programs.

    `cause` is for the operator; `validatord` and `chatd` send it if it says more than `detail`.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    session_id: str
    retryable: bool
    hint: str
    cause: str | msgspec.UnsetType = msgspec.UNSET


def problem_of(error: Refusal | InfraError, session_id: str, *, inner: bool) -> Problem:
    """Describe an error for the caller whose session (or call) it ended.

    `inner`: the caller is one of our daemons; the cause is included.
    """
    cause = error.detail if inner and isinstance(error, InfraError) else None
    return Problem(
        type=f"urn:lakehouse:problem:{error.code}",
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=error.public,
        code=error.code,
        session_id=session_id,
        retryable=error.retryable,
        hint=error.hint,
        cause=msgspec.UNSET if cause is None else cause,
    )


def problem_response(error: Refusal | InfraError, call: FailedCall) -> Response:
    """Encode an error as a problem response."""
    body = msgspec.json.encode(problem_of(error, call.session_id, inner=call.inner))
    return Response(error.status, body, PROBLEM_TYPE)


PROBLEMS: Final = ErrorShape(
    problem_response,
    Problem,
    PROBLEM_TYPE,
    dict([*PROBLEM_STATUS.items(), *INFRA_STATUS.items()]),
)


def error_of(body: bytes, retry_after: str = "") -> Refusal | InfraError | None:
    """Decode an inner daemon's problem body into the error it describes; None if it is not one.

    `log_unavailable` is a code of both kinds; in a problem body it is a refusal. An infra code that
    a later version added is kept unchanged. `retry_after` is the answer's header: whole seconds.
    """
    wait_s = whole_number(retry_after, _WAIT_S_MAX)
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    for code in get_args(ProblemCode):
        if problem.code == code:
            return Refusal(code, problem.detail, hint=problem.hint, retry_after_s=wait_s)
    if problem.code in get_args(InfraCode) or _is_of_tomorrow(problem):
        return InfraError(
            cast("InfraCode", problem.code),
            problem.detail,
            hint=problem.hint,
            internal="" if problem.cause is msgspec.UNSET else problem.cause,
            retryable=problem.retryable,
            retry_after_s=wait_s,
        )
    return None


def _is_of_tomorrow(problem: Problem) -> bool:
    """Return whether it may be an infra error of a later version: those have a 5xx status."""
    return problem.status >= 500 and re.fullmatch(WORD_PATTERN, problem.code) is not None
