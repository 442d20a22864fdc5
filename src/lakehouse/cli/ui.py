"""`lakehouse ui`: the pages of a log, without a stack."""

import asyncio
import contextlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from lakehouse.cli.filter_options import (
    CodeOption,
    DaemonOption,
    KindOption,
    ModelOption,
    SinceOption,
    UntilOption,
    VerdictOption,
)
from lakehouse.cli.options import ConfigOption, log_directory, read_config
from lakehouse.cli.terminal import say
from lakehouse.config.checks import LOOPBACK, listen_address
from lakehouse.core.errors import SetupError
from lakehouse.sessionlog.layout import is_log
from lakehouse.sessionlog.reading.filters import moment
from lakehouse.transport.daemon import serve
from lakehouse.transport.listening import listen_on
from lakehouse.transport.server import Application, Calls
from lakehouse.ui.address import BASE, PAGES_LISTEN
from lakehouse.ui.application import Pages
from lakehouse.ui.reading import LogReadings
from lakehouse.ui.sources import PageSources
from lakehouse.ui.static_site import SESSIONS_DEFAULT, SESSIONS_MAX, export

_DRAIN_MS = 3_000

LogOption = Annotated[
    Path | None,
    typer.Option(help="The log's directory. Default: the one that the configuration names."),
]

ui_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@ui_app.callback(invoke_without_command=True)
def command(
    context: typer.Context,
    *,
    log: LogOption = None,
    listen: Annotated[
        str, typer.Option(help="Loopback address and port. Port 0 takes a free one.")
    ] = PAGES_LISTEN,
    config: ConfigOption = None,
) -> None:
    """Show a log in the browser: sessions, findings, rates. It needs no running stack.

    Example: lakehouse ui --log lakehouse-data/sessions
    """
    if context.invoked_subcommand is not None:
        return
    root = _log(context, log, config)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(root, listen))


@ui_app.command(name="export")
def export_command(
    context: typer.Context,
    directory: Annotated[
        Path, typer.Argument(help="A new or empty directory, or one with an older export.")
    ],
    *,
    log: LogOption = None,
    sessions: Annotated[
        int, typer.Option(help=f"How many sessions have a page, 1 to {SESSIONS_MAX}; the newest.")
    ] = SESSIONS_DEFAULT,
    kind: KindOption = None,
    model: ModelOption = None,
    verdict: VerdictOption = None,
    code: CodeOption = None,
    daemon: DaemonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    config: ConfigOption = None,
) -> None:
    """Write the pages as files that need no server. Prompts and answers are in them.

    Example: lakehouse ui export report --verdict max_iter_exhausted --since 2026-01-31
    """
    if not 1 <= sessions <= SESSIONS_MAX:
        message = f"--sessions is {sessions}; it must be between 1 and {SESSIONS_MAX}."
        raise SetupError(message)
    given = {"kind": kind, "model": model, "verdict": verdict, "code": code, "daemon": daemon}
    times = {
        name: None if value is None else moment(value, name=name)
        for name, value in (("since", since), ("until", until))
    }
    criteria = tuple((name, text) for name, text in (given | times).items() if text is not None)
    root = _log(context, log or (context.parent or context).params.get("log"), config)
    if directory.expanduser().resolve().is_relative_to(root.resolve()):
        raise SetupError(f"{directory} is in the log.", hint="Name a directory outside the log.")
    with contextlib.closing(Pages(PageSources(log=root, readings=LogReadings(root)))) as pages:
        done = asyncio.run(
            export(pages, directory, criteria, sessions_max=sessions, now=datetime.now(UTC))
        )
    say(f"Wrote {done.files} files to {directory}; open {directory / 'index.html'}.")
    say(f"{done.sessions} of {done.matching} sessions have a page, the newest.")
    if done.left_out:
        say(f"Left out, because these pages need a server: {', '.join(done.left_out)}.")
    say("Prompts and answers are in these files: look before you send them.")


def _log(context: typer.Context, log: Path | None, config: str | None) -> Path:
    root = log if log is not None else log_directory(read_config(context, config))
    if not root.is_dir():
        raise SetupError(
            f"There is no log at {root}.", hint="Name its directory with --log, or run a session."
        )
    if not is_log(root):
        below = root / "sessions"
        raise SetupError(
            f"{root} is not a log: it has neither `active` nor `sealed` in it.",
            hint=f"Did you mean {below}?" if is_log(below) else "--log is a log's directory.",
        )
    return root


async def _serve(root: Path, listen: str) -> None:
    try:
        host, port = listen_address(listen)
    except ValueError:
        raise SetupError(f"--listen is {listen!r}; it must be host:port.") from None
    if host not in LOOPBACK:
        raise SetupError(
            f"--listen is {listen!r}, which other machines can reach.",
            hint="`lakehouse gateway` shows the pages behind API keys.",
        )
    pages = Pages(PageSources(log=root, readings=LogReadings(root)))
    # Without keys it serves only loopback names and addresses, whatever it listens at.
    app = Application((), calls=Calls(), mounted={BASE: pages.app})
    listener = listen_on(host, port)
    host, port = listener.getsockname()[:2]

    def announce() -> None:
        say(f"The log {root} is shown at http://{host}:{port}{BASE}. Ctrl-C ends it.")
        sys.stdout.flush()

    async def drain(_: int) -> None:
        pages.stop()

    with contextlib.closing(pages):
        await serve(app, listener, drain=drain, drain_ms=_DRAIN_MS, on_ready=announce)
