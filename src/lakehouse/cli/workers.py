"""`lakehouse up --workers N`: the process that starts the workers and serves nothing itself."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Final, Literal

import msgspec
import uvloop

from lakehouse.cli.daemon import config_at, keep_secrets, telling_why
from lakehouse.cli.daemon_line import DaemonLine
from lakehouse.cli.daemon_log import DaemonLog
from lakehouse.cli.worker_line import MODELS_KEY, MODELS_KEYS, WorkerLine
from lakehouse.config.addresses import address_of
from lakehouse.config.settings import Config
from lakehouse.gateway.auth import new_key
from lakehouse.metrics.daemon import sum_of_told
from lakehouse.transport.listening import listen_on, listening_socket
from lakehouse.transport.service_manager import ServiceManager
from lakehouse.transport.signals import HangUp, handled_signals
from lakehouse.workers.group import Member, WorkerGroup
from lakehouse.workers.siblings import Descriptors

_END_S: Final = 10.0  # beyond the drain, for members to have ended


def run_group(line: DaemonLine, count: int) -> int:
    """Run so many workers until a signal ends them; returns the exit code.

    Raises:
        LakehouseError: They cannot start.
    """
    with DaemonLog(line.log_level) as log, telling_why(line.role, log):
        config = config_at(line.config)
        keep_secrets(log, config)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(config, line, count))


async def _run(config: Config, line: DaemonLine, count: int) -> int:
    manager = ServiceManager.taken_from(os.environ)
    listener = listening_socket(
        *address_of(config, line.role), os.environ, loopback_only=not config.has_keys
    )
    models = _models_listener(config)
    line_of = partial(
        WorkerLine,
        config=line.config,
        log_level=line.log_level,
        wanted=count,
        models_url=None if models is None else "http://{}:{}".format(*models.getsockname()),
    )
    members = (
        [] if models is None else [_member("the owner of the models", models, line_of, "chatd", 0)]
    )
    members += [
        _member(f"worker {place}", listener, line_of, "up", place)
        for place in range(len(members), len(members) + count)
    ]
    group = WorkerGroup(members, sum_of_told, end_s=config.session.drain_ms / 1000 + _END_S)

    async def ready() -> None:
        await group.ask(len(members) - 1, "announce")
        manager.ready()

    def stop() -> None:
        manager.stopping()
        group.stop()

    loop = asyncio.get_running_loop()
    alive = asyncio.create_task(manager.keep_alive())
    try:
        with handled_signals(loop, stop, HangUp(group.reload, stop)):
            return await group.run(ready)
    finally:
        alive.cancel()


def _models_listener(config: Config) -> socket.socket | None:
    """Bind the address of a process that owns the models of all workers, if one is embedded.

    It is asked with a key, which only the workers have.
    """
    embedded = any(model.EMBEDDED for model in config.models.values())
    if not embedded or config.chatd.url is not None:
        return None
    key = new_key("workers")
    os.environ |= {MODELS_KEY: key.secret, MODELS_KEYS: key.entry}
    return listen_on("127.0.0.1", 0)


def _member(
    name: str,
    listener: socket.socket,
    line_of: Callable[..., WorkerLine],
    role: Literal["up", "chatd"],
    place: int,
) -> Member:
    def command(given: Descriptors) -> list[str]:
        line = line_of(role=role, place=place, descriptors=given)
        told = msgspec.json.encode(line).decode()
        return [sys.executable, "-m", "lakehouse.cli.worker", told]

    return Member(name, command, listener)
