"""What every Python program of the matrix does: cases in, one JSON line out for each.

A case is one line of standard input; the line printed for it says what the client's user has in
hand: the object, or the exception. Cases run at the same time: most of their time is waiting.
"""

import asyncio
import inspect
import json
import os
import sys
import warnings
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from pydantic import BaseModel

# Some of these libraries tell their makers of their use, or fetch a price list, unless told not to.
SILENT = {
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
}
AT_ONCE_MAX = 24
WRAPPED_MAX = 5


class Delay(BaseModel):
    """What is asked for."""

    flight: str
    city: str
    minutes: int


class Case(NamedTuple):
    """One question: to whom, as whom, and how."""

    id: str
    base_url: str
    api_key: str
    model: str
    way: str  # of asking; its first word is the route
    streamed: bool
    headers: dict[str, str]
    prompt: str

    @property
    def messages(self) -> list[dict[str, str]]:
        return [{"role": "user", "content": self.prompt}]


class NoObject(Exception):
    """The client returned without an exception, and without an object."""


def parsed(value: object) -> dict[str, Any]:
    """Say which object the user has."""
    if isinstance(value, str):  # the user of a text reads it
        value = json.loads(value)
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if not isinstance(value, dict):
        raise NoObject(f"{type(value).__name__}: {str(value)[:200]}")
    return {"outcome": "parsed", "object": value}


def raised(error: BaseException) -> dict[str, Any]:
    """Say which exception the user has; its status and code may stand in one that it wraps."""
    status = code = None
    one: BaseException | None = error
    for _ in range(WRAPPED_MAX):
        if one is None:
            break
        status = status or getattr(one, "status_code", None)
        code = code or getattr(one, "code", None) or _code_in(getattr(one, "body", None))
        one = one.__cause__ or one.__context__
    return {
        "outcome": "raised",
        "class": type(error).__name__,
        "status": status,
        "code": code,
        "message": (str(error).splitlines() or [""])[0],
    }


def serve(ask: Callable[[Case], Any]) -> None:
    """Answer every case of standard input by `ask`, which gives an object or raises."""
    warnings.simplefilter("ignore")
    cases = [Case(**json.loads(line)) for line in sys.stdin]
    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no outcome

    def tell(case: Case, outcome: dict[str, Any]) -> None:
        os.write(out, json.dumps({"case": case.id, **outcome}, default=str).encode() + b"\n")

    if inspect.iscoroutinefunction(ask):
        asyncio.run(_all_in_one_loop(cases, ask, tell))
        return

    def one(case: Case) -> None:
        try:
            outcome = parsed(ask(case))
        except Exception as error:  # noqa: BLE001 -- whatever it raises is what the user sees
            outcome = raised(error)
        tell(case, outcome)

    with ThreadPoolExecutor(AT_ONCE_MAX) as pool:
        list(pool.map(one, cases))


async def _all_in_one_loop(
    cases: list[Case],
    ask: Callable[[Case], Awaitable[Any]],
    tell: Callable[[Case, dict[str, Any]], None],
) -> None:
    slots = asyncio.Semaphore(AT_ONCE_MAX)

    async def one(case: Case) -> None:
        async with slots:
            try:
                outcome = parsed(await ask(case))
            except Exception as error:  # noqa: BLE001 -- likewise
                outcome = raised(error)
        tell(case, outcome)

    await asyncio.gather(*map(one, cases))


def _code_in(body: object) -> str | None:
    if not isinstance(body, dict):
        return None
    inner = body.get("error", body)
    return inner.get("code") if isinstance(inner, dict) else None


os.environ.update(SILENT)
