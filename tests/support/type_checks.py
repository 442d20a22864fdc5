"""Types, artifacts and checks in Python for tests of what rejects them."""

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any

import msgspec
import pydantic
import pytest

from lakehouse.core.errors import InfraError
from lakehouse.core.kind import ModelFault
from lakehouse.library.check_threads import CheckThreads
from lakehouse.library.checks import CheckRegistry
from lakehouse.library.type_check import TypeCheck
from lakehouse.output_types.output_type import output_type

LONG_MS = 60_000
ORDER = b'{"id":"a~/b","lines":[{"price":1.10},{"price":2.50}],"day":"2026-11-30"}'


class Line(pydantic.BaseModel):
    price: float


class Order(pydantic.BaseModel):
    id: str
    lines: list[Line]
    day: dt.date
    note: str | None = None

    @pydantic.field_validator("id")
    @classmethod
    def valid(cls, value: str, info: pydantic.ValidationInfo) -> str:
        if value == "bad":
            raise ValueError("no bad ids")
        if value == "bug":
            raise KeyError("a bug of mine")
        if value == "exit":
            raise SystemExit(3)
        if info.context is not None and value not in info.context:
            raise ValueError("not known")
        return value


class Point(msgspec.Struct):
    x: int


def check_of(
    threads: CheckThreads,
    *functions: Callable[..., Any],
    type_: Any = Order,
    context: object = None,
    timeout_ms: int = LONG_MS,
) -> TypeCheck[Any]:
    registry = CheckRegistry()
    for function in functions:
        registry.add(type_, function, timeout_ms=timeout_ms)
    return TypeCheck(output_type(type_), registry.of(type_), context, threads)


def faults_of(check: TypeCheck[Any], artifact: bytes = ORDER) -> list[ModelFault]:
    return asyncio.run(check.faults(artifact))


def broken(check: TypeCheck[Any], artifact: bytes = ORDER) -> InfraError:
    """Return the error that ends the session; nothing has passed."""
    with pytest.raises(InfraError) as caught:
        faults_of(check, artifact)
    with pytest.raises(LookupError):
        _ = check.value
    return caught.value


def both(action: Callable[[Any], Any]) -> list[Callable[..., Any]]:
    """Make a blocking and an asynchronous check that do the same."""

    def blocking(order: Any) -> Any:
        return action(order)

    async def waiting(order: Any) -> Any:
        await asyncio.sleep(0)
        return action(order)

    return [blocking, waiting]


def raising(error: BaseException) -> Callable[[Any], Any]:
    def action(_: Any) -> None:
        raise error

    return action
