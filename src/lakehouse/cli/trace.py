"""`lakehouse trace`: rebuilds traces from the log, with the ids that the rows contain."""

import asyncio
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.progress import Progress, SpinnerColumn, TextColumn

from lakehouse.cli.console import console as terminal_console
from lakehouse.cli.filter_options import UntilOption
from lakehouse.cli.listing import command_group
from lakehouse.cli.options import ConfigOption, JsonOption, log_directory, read_config
from lakehouse.cli.table import print_json
from lakehouse.cli.terminal import say
from lakehouse.config.tracing import tracer
from lakehouse.core.clock import ordering_moment, within
from lakehouse.core.errors import InfraError, SetupError
from lakehouse.core.row import Row
from lakehouse.core.row_codec import decode_row
from lakehouse.sessionlog.lines import LogLine
from lakehouse.sessionlog.reading.filters import moment
from lakehouse.sessionlog.reading.reader import read_rows
from lakehouse.tracing.channel import Delivered
from lakehouse.tracing.destination import why_off
from lakehouse.tracing.tracer import Tracer

trace_app = command_group("Resend the traces of logged sessions.")

_ROWS_AT_ONCE: Final = 64  # about 500 spans


class _Head(msgspec.Struct):
    session_id: str
    timestamp: str


class _Chosen:
    """The rows to send, read as they are needed; counts those that are no rows of ours."""

    def __init__(
        self, root: Path, *, since: str | None, until: str | None, session: str | None
    ) -> None:
        self.unreadable = 0
        self._root = root
        self._since = since
        self._until = until
        self._session = session

    def rows(self) -> Iterator[Row]:
        for line in read_rows(self._root, on_damage=self._count):
            if self._wanted(msgspec.json.decode(line, type=_Head)):
                yield decode_row(line)

    def _count(self, damage: LogLine) -> None:
        """Count a line that is no row, if it says that it is of a session that is wanted."""
        try:
            self.unreadable += self._wanted(msgspec.json.decode(damage.line.data, type=_Head))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return  # nobody can tell whose it was; `log verify` lists it

    def _wanted(self, head: _Head) -> bool:
        return self._session in {None, head.session_id} and within(
            ordering_moment(head.timestamp), self._since, self._until
        )


@trace_app.command()
def resend(
    context: typer.Context,
    *,
    since: Annotated[
        str | None, typer.Option(help="Only sessions that ended at or after this time, RFC 3339.")
    ] = None,
    until: UntilOption = None,
    session: Annotated[str | None, typer.Option(help="Only the session with this id.")] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Rebuild traces from the log and send them, with their original ids.

    Sending twice adds nothing. Exit code 1 if the receiver rejected some, 3 if it is unreachable.

    Example: lakehouse trace resend --since 2026-11-01T00:00:00Z
    """
    if since is None and session is None:
        raise SetupError("Choose the sessions: --since TIME, --session ID, or both.")
    settings = read_config(context, config)
    sender = tracer(settings, os.environ, "up")
    if sender is None:
        raise SetupError(
            f"No receiver of traces is configured: {why_off(os.environ)}.",
            hint="Set the variables as for the daemons; `lakehouse doctor tracing` tests them.",
        )
    chosen = _Chosen(
        log_directory(settings),
        since=None if since is None else moment(since, name="since"),
        until=None if until is None else moment(until, name="until"),
        session=session,
    )
    sessions, done = asyncio.run(_send(sender, chosen))
    dropped = sum(done.dropped.values())
    if json:
        print_json(
            {
                "sessions": sessions,
                "sent": done.sent,
                "dropped": done.dropped,
                "unreadable": chosen.unreadable,
            }
        )
    else:
        say(
            f"sent {done.sent} spans and scores of {sessions} sessions to "
            f"{sender.destination.traces_url}; {dropped} dropped, {chosen.unreadable} unreadable"
        )
    if "unreachable" in done.dropped:
        raise InfraError(
            "connect",
            f"The receiver stopped answering: {done.trouble}.",
            hint="Run the command again when it is back: spans that already arrived are not "
            "duplicated.",
        )
    if dropped:
        say(f"error: {done.trouble}", err=True)
        raise typer.Exit(1)


async def _send(sender: Tracer, chosen: _Chosen) -> tuple[int, Delivered]:
    total = Delivered()
    sessions = 0
    console = terminal_console(err=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed} sessions"))
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            bar = progress.add_task("", total=None)
            rows = chosen.rows()
            while some := list(islice(rows, _ROWS_AT_ONCE)):
                total.add(await sender.resend(some))
                sessions += len(some)
                progress.update(bar, completed=sessions)
                if "unreachable" in total.dropped:
                    break
    finally:
        await sender.close()
    return sessions, total
