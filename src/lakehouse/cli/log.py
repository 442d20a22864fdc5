"""`lakehouse log`: an operator's commands for the session log itself."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from lakehouse.cli.listing import command_group
from lakehouse.cli.options import ConfigOption, JsonOption, log_directory, read_config
from lakehouse.cli.table import print_json
from lakehouse.cli.terminal import on_one_line, say
from lakehouse.core.errors import LakehouseError
from lakehouse.core.wording import counted
from lakehouse.files.disk import reason
from lakehouse.sessionlog.keeping.sealing import reap as reap_log
from lakehouse.sessionlog.keeping.sealing import seal as seal_log
from lakehouse.sessionlog.keeping.verify import Verification
from lakehouse.sessionlog.keeping.verify import verify as verify_log
from lakehouse.sessionlog.layout import ACTIVE, INBOX
from lakehouse.sessionlog.reading.compacted import RETENTION_H, require_delta

log_app = command_group("Verify, seal, reap and compact the session log.")

_SHOWN_MAX = 20


@contextlib.contextmanager
def _trouble_told(done: str) -> Iterator[None]:
    """Say as ours what the disk refused, for a `with`. Every step can be done again."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise LakehouseError(
            f"The session log could not be {done}: {where}{reason(error)}.",
            hint="Nothing is lost. Free some space if the disk is full, check the permissions on "
            "the directory, and run the command again: it continues where it stopped.",
        ) from error


def _table(context: typer.Context, config: str | None) -> str | None:
    settings = read_config(context, config)
    table = settings.log.table
    return table if table is None or "://" in table else str(settings.path(table))


def _root(context: typer.Context, config: str | None) -> Path:
    return log_directory(read_config(context, config))


@log_app.command()
def verify(
    context: typer.Context, *, json: JsonOption = False, config: ConfigOption = None
) -> None:
    """Check every line of the log. Exit code 1 if there is damage that no manifest lists.

    Example: lakehouse log verify --json
    """
    found = verify_log(_root(context, config))
    if json:
        print_json(msgspec.to_builtins(found))
    else:
        _print(found)
    if not found.sound:
        raise typer.Exit(1)


@log_app.command()
def seal(context: typer.Context, *, json: JsonOption = False, config: ConfigOption = None) -> None:
    """Reap, then seal all segments of writers that are gone. Safe while daemons run.

    Example: lakehouse log seal
    """
    with _trouble_told("sealed"):
        done = seal_log(_root(context, config))
    if json:
        print_json(msgspec.to_builtins(done))
        return
    say(
        f"sealed {counted(len(done.sealed), 'segment')}, "
        f"wrote {counted(len(done.reaped), 'row')} of crashed sessions, "
        f"removed {counted(len(done.writers_removed), 'writer')}"
    )


@log_app.command()
def reap(context: typer.Context, *, json: JsonOption = False, config: ConfigOption = None) -> None:
    """Write the rows of sessions whose process died. Daemons do it every minute.

    Example: lakehouse log reap
    """
    with _trouble_told("reaped"):
        reaped = reap_log(_root(context, config))
    if json:
        print_json({"reaped": list(reaped)})
    else:
        say(f"wrote {counted(len(reaped), 'row')} of crashed sessions")


@log_app.command()
def compact(
    context: typer.Context,
    *,
    retention_h: Annotated[
        float,
        typer.Option(
            "--retention-h", min=0, help="Hours to keep a segment after its rows are in the table."
        ),
    ] = RETENTION_H,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Seal, then move sealed segments into the log's Delta table, each row once.

    Exit code 1 if a segment is damaged: it stays where it is, and the others are moved.

    Example: lakehouse log compact
    """
    require_delta()
    from lakehouse.sessionlog.keeping import compaction  # noqa: PLC0415 - needs the Delta library, an extra

    root = _root(context, config)
    with _trouble_told("sealed"):
        seal_log(root)
    done = compaction.compact(root, table=_table(context, config), retention_h=retention_h)
    if json:
        print_json(msgspec.to_builtins(done))
    else:
        say(
            f"added {done.rows} rows of {done.segments} segments to {done.table} "
            f"({done.duplicates} already there, {done.forgotten} forgotten); "
            f"merged {done.merged} files, deleted {done.removed} segments"
        )
        for name in done.damaged:
            say(f"sealed/{name} is damaged and was skipped: lakehouse log verify")
    if done.damaged:
        raise typer.Exit(1)


@log_app.command()
def forget(
    context: typer.Context,
    session: Annotated[str, typer.Argument(help="Session id.")],
    *,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Hide a session from every reader permanently, and remove its rows from the disk.

    Example: lakehouse log forget 0af7651916cd43dd8448eb211c80319c
    """
    require_delta()
    from lakehouse.sessionlog.keeping import forgetting  # noqa: PLC0415 - needs the Delta library, an extra

    done = forgetting.forget(_root(context, config), session, table=_table(context, config))
    if json:
        print_json(msgspec.to_builtins(done))
        return
    say(f"forgot {done.session_id}: {done.rows} rows, hidden from every reader")
    for name in done.left:
        say(f"still in {name}: {_fix(name)}")


def _fix(name: str) -> str:
    """Return what to do about a file that a forgotten session is still in."""
    if name == INBOX:
        return "other programs append to it: stop them, then truncate it"
    if name.startswith(f"{ACTIVE}/"):
        return "run this command again when it is sealed"
    return "in damaged lines: delete the file when you no longer need them"


def _print(found: Verification) -> None:
    say(
        f"{found.files} files, {found.rows} rows, {found.compacted} of them in the table, "
        f"{found.duplicates} written twice, "
        f"{found.unchecked} without crc, {found.unfinished} sessions without a row"
    )
    for damage in found.bad[:_SHOWN_MAX]:
        known = " (listed)" if damage.listed else ""
        place = f"{damage.file}:{damage.line} at byte {damage.offset}"
        say(on_one_line(f"{place}: {damage.reason}{known}"))
    if len(found.bad) > _SHOWN_MAX:
        say(f"and {len(found.bad) - _SHOWN_MAX} more: lakehouse log verify --json")
    say("sound" if found.sound else "damaged")
