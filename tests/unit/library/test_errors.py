"""What calls raise: whole in another process, and with a text that a person can act on."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

import lakehouse
from lakehouse.testing import Outage, scripted
from support.python_client import SCHEMA


def outage() -> None:
    with scripted([Outage("connect")]) as lake:
        lake.create(SCHEMA, "BCN")


def exhausted() -> None:
    with scripted(["{}"]) as lake:
        lake.create(SCHEMA, "BCN", max_retries=0)


def refused() -> None:
    with scripted([]) as lake:
        lake.create(SCHEMA, "BCN", max_retries=-1)


@pytest.mark.parametrize(
    ("fail", "kind", "facts"),
    [
        (outage, lakehouse.InfraError, {"code": "connect", "retryable": True}),
        (exhausted, lakehouse.Exhausted, {"code": "max_iter_exhausted", "artifact": {}}),
        (refused, lakehouse.Refused, {"code": "invalid_request", "retryable": False}),
    ],
)
def test_an_error_leaves_a_worker_process_whole(
    fail: Callable[[], None], kind: type[Any], facts: dict[str, object]
):
    with pytest.raises(kind) as here:
        fail()
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(kind) as there,
    ):
        pool.submit(fail).result(60)

    for error in (there.value, copy.deepcopy(here.value), pickle.loads(pickle.dumps(here.value))):
        assert {name: getattr(error, name) for name in facts} == facts
        assert (error.hint, error.public) != ("", "")
    assert str(copy.copy(here.value)) == str(here.value)
