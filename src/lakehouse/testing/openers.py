"""The ways to a client of tests: `scripted` and `scripted_async`."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec

from lakehouse.library.errors import told
from lakehouse.library.openers import Settings, config_of
from lakehouse.testing.clients import AsyncScriptedLake, GivenRunner, ScriptedLake
from lakehouse.testing.given_answers import Answers, GivenAnswers
from lakehouse.testing.given_model import GivenModelSettings

if TYPE_CHECKING:
    from lakehouse.config.settings import Config

_LOG_PREFIX = "lakehouse-testing-"


@contextmanager
def scripted(
    answers: Answers, *, config: Settings = None, unused_ok: bool = False
) -> Iterator[ScriptedLake]:
    """Open a client in this process whose model gives these answers, one for each call.

    No model is called, nothing is sent, and the log is removed at the end. Kinds, tables, checks
    and the models' settings are those of the configuration.

    >>> with scripted([{"airport": "BCX"}, {"airport": "BCN", "minutes": 25}]) as lake:
    ...     lake.create(Late, "BCN: delayed 25 minutes.")
    ...     print(lake.requests[1].messages[-1].content.splitlines()[1])
    Late(airport='BCN', minutes=25)
    Findings: [{"path":"","expected":{"required":"minutes"}}]

    Args:
        answers: Texts; or values that are written as JSON: dicts, lists, instances of types; or
            `Outage`s; or functions of the `ModelCall` that return one of these, `async` or not. One
            function in the place of the list answers every call.
        config: As `lakehouse.open` takes it: a file, or its sections as a dict. None: no file is
            read, there are no kinds and no tables.
        unused_ok: Whether answers may be left over.

    Raises:
        SetupError: The configuration or an answer cannot be used.
        ScriptError: A call needs an answer and none is left; or at the end, some are left.
    """
    given, settings = _prepared(answers, config, unused_ok=unused_ok)
    with TemporaryDirectory(prefix=_LOG_PREFIX) as log:
        logged = _logged(settings, given, log)
        with ScriptedLake(partial(GivenRunner, logged, given), given, Path(log)) as lake:
            yield lake
        given.check_end()


@asynccontextmanager
async def scripted_async(
    answers: Answers, *, config: Settings = None, unused_ok: bool = False
) -> AsyncIterator[AsyncScriptedLake]:
    """Open a client for asyncio whose model gives these answers. See `scripted`."""
    given, settings = _prepared(answers, config, unused_ok=unused_ok)
    with TemporaryDirectory(prefix=_LOG_PREFIX) as log:
        logged = _logged(settings, given, log)
        async with AsyncScriptedLake(GivenRunner(logged, given), given, Path(log)) as lake:
            yield lake
        given.check_end()


def _prepared(
    answers: Answers, config: Settings, *, unused_ok: bool
) -> tuple[GivenAnswers, "Config"]:
    with told():
        return GivenAnswers(answers, unused_ok=unused_ok), config_of(
            {} if config is None else config
        )


def _logged(config: "Config", given: GivenAnswers, log: str) -> "Config":
    """Return the configuration with given answers and a log of its own, all in this process."""
    from lakehouse.config.settings import (  # noqa: PLC0415  as in the library's openers
        DaemonSettings,
        LogSettings,
        TracingSettings,
    )

    return msgspec.structs.replace(
        config,
        log=LogSettings(path=log, durability="os"),
        chatd=DaemonSettings(),
        validatord=DaemonSettings(),
        tracing=TracingSettings(),
        models={
            name: GivenModelSettings.instead_of(settings, given)
            for name, settings in config.models.items()
        },
    )
