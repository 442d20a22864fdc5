"""Liveness and readiness. Neither calls a model: a cold start must not look like a dead daemon."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, get_args

import msgspec

from lakehouse.core.chat import ModelState, ModelStatus
from lakehouse.core.config_state import ConfigState, ConfigWord
from lakehouse.core.errors import Refusal
from lakehouse.core.ports import ChatModel, RecordSink
from lakehouse.transport.response import Response, json_response
from lakehouse.transport.route import Authorize, Call, Route, Routes

_WORST: Final = tuple(reversed(get_args(ModelState)))


class Liveness(msgspec.Struct, frozen=True):
    """The body of `GET /livez`: there is no other one."""

    alive: bool = True


class WorkerCount(msgspec.Struct, frozen=True):
    """How many workers answer, and how many there are when all run."""

    running: int
    wanted: int


class Readiness(msgspec.Struct, frozen=True):
    """The body of `GET /readyz`. `log` is null where the daemon writes none.

    `config` is `stale` where a reload of the configuration failed, and `config_reason` says why:
    what was served before still is, so that the daemon stays ready. `workers` is null where one
    process serves all; otherwise the rest is what all workers together are. `states` counts the
    models by state. `models` is null for a caller who would need a key to learn their names and has
    sent none; `log` then only says `writable` or `unavailable`, and `config_reason` is null.
    """

    ready: bool
    log: str | None
    config: ConfigWord
    config_reason: str | None
    workers: WorkerCount | None
    states: dict[str, int]
    models: tuple[ModelStatus, ...] | None


ReadinessSource = Callable[[], Awaitable[Readiness]]
"""Tells how ready a daemon is, to whom may know all."""


async def own_readiness(chat: ChatModel, sink: RecordSink | None, served: ConfigState) -> Readiness:
    """Tell the readiness of this process: the log is writable, a model is ready or loading."""
    log = None if sink is None else log_state(sink)
    return _readiness(log, served.config, served.reason, await chat.models(), None)


def whole_readiness(all_told: Sequence[Readiness], wanted: int) -> Readiness:
    """Put together what each worker tells; what one of them lacks, the whole lacks.

    `wanted` is how many workers there are when all run.
    """
    log = next((each.log for each in all_told if each.log != "writable"), "writable")
    stale = next((each for each in all_told if each.config == "stale"), all_told[0])
    by_name: dict[str, ModelStatus] = {}
    for status in (model for each in all_told for model in each.models or ()):
        there = by_name.get(status.name)
        if there is None or _WORST.index(status.state) < _WORST.index(there.state):
            by_name[status.name] = status
    workers = WorkerCount(running=len(all_told), wanted=wanted)
    models = tuple(by_name.values())
    return _readiness(log, stale.config, stale.config_reason, models, workers)


def _readiness(
    log: str | None,
    config: ConfigWord,
    reason: str | None,
    models: tuple[ModelStatus, ...],
    workers: WorkerCount | None,
) -> Readiness:
    answering = any(model.state in {"ready", "loading"} for model in models)
    states: dict[str, int] = dict(sorted(Counter(model.state for model in models).items()))
    ready = answering and log in {None, "writable"}
    return Readiness(ready, log, config, reason, workers, states, models)


def health_routes(readiness: ReadinessSource, authorize: Authorize | None = None) -> Routes:
    """Serve `/livez` (the process answers) and `/readyz`.

    Probes have no key and learn only whether it is ready; `authorize` decides who sees more.
    """

    async def livez(_: Call[None]) -> Response:
        return json_response(Liveness())

    async def readyz(call: Call[None]) -> Response:
        told = await readiness()
        if not _may_learn_more(call, authorize):
            log = told.log if told.log in {None, "writable"} else "unavailable"
            told = msgspec.structs.replace(told, log=log, config_reason=None, models=None)
        return json_response(told, 200 if told.ready else 503)

    return (
        Route(
            method="GET",
            path="/livez",
            handler=livez,
            summary="Whether the process answers.",
            reply=Liveness,
            access="open",
            observed=False,
        ),
        Route(
            method="GET",
            path="/readyz",
            handler=readyz,
            summary="Whether sessions can be taken on.",
            reply=Readiness,
            others={503: "Not ready."},
            access="open",
            observed=False,
        ),
    )


def _may_learn_more(call: Call[None], authorize: Authorize | None) -> bool:
    try:
        if authorize is not None:
            authorize(call.headers)
    except Refusal:
        return False
    return True


def log_state(sink: RecordSink) -> str:
    """Return `writable`, or why the log is not."""
    try:
        sink.check_writable()
    except Refusal as error:
        return error.public
    return "writable"
