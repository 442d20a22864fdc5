"""Errors between processes: a pool of workers hands them on whole."""

import copy
import pickle

import pytest

from lakehouse.core.errors import (
    ColumnUnfit,
    InfraError,
    LakehouseError,
    LogUnavailable,
    Refusal,
    SetupError,
    TableUnavailable,
)

OUTAGE = InfraError("connect", "No answer.", internal="refused", retry_after_s=2.5)
OUTAGE.session_id = "a-session"
OUTAGE.args = ("connect: No answer. Try again.",)


@pytest.mark.parametrize(
    "error",
    [
        LakehouseError("told", hint="a hint", internal="a cause"),
        Refusal("rate_limited", "too many", hint="wait", retry_after_s=3),
        OUTAGE,
        InfraError("timeout", "late", retryable=False),
        TableUnavailable("airports", "no file", hint="look"),
        ColumnUnfit("airports", "iata", "is not there"),
        LogUnavailable("full"),
        SetupError("wrong", hint="correct it"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_copy_is_the_same_error(error: LakehouseError):
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(twin) is type(error)
        assert (str(twin), twin.args, vars(twin)) == (str(error), error.args, vars(error))
