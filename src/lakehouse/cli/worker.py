"""One worker as this process: `cli/workers.py` starts it, with what it inherits as JSON."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable

import msgspec
import uvloop

from lakehouse.cli.announcement import announce
from lakehouse.cli.daemon import config_at, keep_secrets, serve_daemon, telling_why
from lakehouse.cli.daemon_log import DaemonLog
from lakehouse.cli.main import run_and_report
from lakehouse.cli.worker_line import MODELS_KEY, MODELS_KEYS, WorkerLine
from lakehouse.config.settings import Config
from lakehouse.core.errors import SetupError
from lakehouse.daemon import Daemon
from lakehouse.workers.siblings import Siblings


def main() -> None:
    """Run until a signal, or the end of the process that started this one."""
    line = msgspec.json.decode(sys.argv[1], type=WorkerLine)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the process that started this one takes it
    run_and_report(lambda: _run(line))


def _run(line: WorkerLine) -> None:
    name = f"worker {line.place}" if line.role == "up" else "the owner of the models"
    with DaemonLog(line.log_level) as log, telling_why(name, log):

        def read() -> Config:
            config = _as_member(config_at(line.config), line)
            keep_secrets(log, config)
            return config

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            complete = runner.run(_serve(read(), read, line))
    sys.exit(0 if complete else 1)


def _as_member(config: Config, line: WorkerLine) -> Config:
    """Return the configuration as this member of the group serves it.

    Raises:
        SetupError: It has an embedded model, for which no process was started.
    """
    if line.role == "chatd":
        gateway = msgspec.structs.replace(
            config.gateway, api_keys_env=MODELS_KEYS, api_keys_file=None, admin_keys=()
        )
        return msgspec.structs.replace(config, gateway=gateway)
    if line.models_url is not None:
        chatd = msgspec.structs.replace(config.chatd, url=line.models_url, api_key_env=MODELS_KEY)
        return msgspec.structs.replace(config, chatd=chatd)
    embedded = [name for name, model in config.models.items() if model.EMBEDDED]
    if embedded and config.chatd.url is None:
        raise SetupError(
            f"{config.source}: models.{embedded[0]}: a reload cannot add the first embedded model "
            "where several workers run.",
            hint="Restart the daemon.",
        )
    return config


async def _serve(config: Config, read: Callable[[], Config], line: WorkerLine) -> bool:
    listener = socket.socket(fileno=line.descriptors.listener)
    listener.setblocking(False)
    host, port = listener.getsockname()[:2]
    siblings = Siblings(line.descriptors, line.place, line.wanted)
    daemon = Daemon(config, os.environ, line.role, read=read, siblings=siblings)

    async def announced(_: bytes) -> bytes:
        announce(daemon.stack, f"http://{host}:{port}", workers=line.wanted)
        return b""

    siblings.answers["announce"] = announced
    tasks: list[asyncio.Task[None]] = []
    channel = asyncio.create_task(siblings.run())
    try:
        return await serve_daemon(
            daemon,
            listener,
            on_ready=lambda: tasks.append(asyncio.create_task(siblings.announce(config.digest))),
            sharing=siblings if line.role == "up" else None,
        )
    finally:
        channel.cancel()


if __name__ == "__main__":
    main()
