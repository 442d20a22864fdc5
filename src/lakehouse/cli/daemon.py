"""Runs one daemon as this process: its log, its stack, its address, and what it says of them."""

import asyncio
import contextlib
import gc
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import uvloop

from lakehouse.cli.announcement import announce
from lakehouse.cli.daemon_line import DaemonLine
from lakehouse.cli.daemon_log import DaemonLog
from lakehouse.config.addresses import address_of
from lakehouse.config.load import load_config
from lakehouse.config.settings import Config
from lakehouse.core.errors import LakehouseError, SetupError
from lakehouse.core.integers import whole_number
from lakehouse.daemon import Daemon
from lakehouse.process.cpus import usable_cpus
from lakehouse.stack import Role
from lakehouse.tracing.destination import SECRETS
from lakehouse.transport.daemon import serve
from lakehouse.transport.door import DoorLimits, connections_max
from lakehouse.transport.listening import listening_socket
from lakehouse.transport.service_manager import ServiceManager
from lakehouse.transport.signals import Reload
from lakehouse.transport.turns import Sharing
from lakehouse.workers.shared_counts import WORKERS_MAX

_LOG = logging.getLogger(__name__)
# New objects between two looks for cycles. By default, 700, it looks every few sessions, while all
# their objects are in use, and finds nothing.
_YOUNG_OBJECTS: Final = 20_000


def run_daemon(line: DaemonLine) -> None:
    """Run until a signal ends it; then ends the process, with 1 if something was not closed.

    Raises:
        LakehouseError: It cannot start.
    """
    count = _worker_count(line.workers)
    if count > 1:
        from lakehouse.cli.workers import run_group  # noqa: PLC0415  one process needs none of it

        sys.exit(run_group(line, count))
    with DaemonLog(line.log_level) as log, telling_why(line.role, log):

        def read() -> Config:
            config = config_at(line.config)
            keep_secrets(log, config)
            return config

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            complete = runner.run(_serve_alone(read, line.role))
    sys.exit(0 if complete else 1)


def config_at(path: str | None) -> Config:
    """Read the configuration of a daemon's line; without a path it is looked for.

    Raises:
        SetupError: As for `load_config`.
    """
    return load_config(Path(path) if path else None, os.environ)


@contextlib.contextmanager
def telling_why(name: str, log: DaemonLog) -> Iterator[None]:
    """Write into the daemon's log why it did not start."""
    try:
        yield
    except LakehouseError as error:
        if not log.for_people:  # people read the error itself, on the terminal
            _LOG.error("%s did not start: %s", name, error.internal)
        raise


async def _serve_alone(read: Callable[[], Config], role: Role) -> bool:
    config = read()
    manager = ServiceManager.taken_from(os.environ)
    listener = listening_socket(
        *address_of(config, role), os.environ, loopback_only=not config.has_keys
    )
    host, port = listener.getsockname()[:2]
    daemon = Daemon(config, os.environ, role, read=read)
    return await serve_daemon(
        daemon,
        listener,
        on_ready=lambda: announce(daemon.stack, f"http://{host}:{port}"),
        reload=daemon.reload,
        manager=manager,
    )


async def serve_daemon(
    daemon: Daemon,
    listener: socket.socket,
    *,
    on_ready: Callable[[], None],
    reload: Reload | None = None,
    manager: ServiceManager | None = None,
    sharing: Sharing | None = None,
) -> bool:
    """Start a daemon, serve until a signal ends it, and close it; as `transport.daemon.serve`.

    Returns whether all of it was closed and every session has its row.

    Raises:
        LakehouseError: It cannot start.
    """
    try:
        await daemon.start()
        # What is there now stays. Looking through it all again, whenever a large page has made many
        # objects, would hold up every session for 70 ms. Nor is it looked through now: of what only
        # cycles hold, a start leaves 0.4 MB.
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
        gc.enable()
        await serve(
            daemon.answer,
            listener,
            drain=daemon.drain,
            drain_ms=daemon.stack.config.session.drain_ms,
            on_ready=on_ready,
            reload=reload,
            limits=DoorLimits(connections_max=connections_max()),
            manager=manager,
            sharing=sharing,
        )
    finally:
        gc.unfreeze()  # or DuckDB's binding calls what is left at the end a leak, on stderr
        complete = await daemon.close()
    return complete


def keep_secrets(log: DaemonLog, config: Config) -> None:
    """Cut the secrets that a configuration names out of whatever is logged, and earlier ones."""
    models = (name for model in config.models.values() for name in model.secret_variables())
    names = {*models, config.chatd.api_key_env, config.validatord.api_key_env, *SECRETS}
    values = (os.environ.get(name, "") for name in names if name is not None)
    log.secrets = tuple(dict.fromkeys((*log.secrets, *values)))


def _worker_count(text: str) -> int:
    """Read a number of workers, or `auto`.

    Raises:
        SetupError: It is neither, or too large.
    """
    if text == "auto":
        return min(usable_cpus(), WORKERS_MAX)
    number = whole_number(text, WORKERS_MAX)
    if not number:
        raise SetupError(
            f"--workers is {text!r}; it must be a number from 1 to {WORKERS_MAX}, or auto.",
            hint="auto starts one for each processor.",
        )
    return number
