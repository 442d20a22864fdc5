"""`lakehouse tail`: sessions as they end, one line each."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from lakehouse.cli.options import ConfigOption, log_directory, read_config
from lakehouse.cli.terminal import on_one_line, say, say_json
from lakehouse.core.limits import SESSIONS_LIMIT_MAX
from lakehouse.sessionlog.reading.reader import Follower
from lakehouse.sessionlog.reading.sessions import list_sessions

tail_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@tail_app.command(name="tail")
def command(
    context: typer.Context,
    count: Annotated[
        int,
        typer.Option(
            "-n", min=0, max=SESSIONS_LIMIT_MAX, help="Number of past sessions to print first."
        ),
    ] = 10,
    *,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Keep printing new sessions until Ctrl-C.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print whole rows, one per line.")] = False,
    config: ConfigOption = None,
) -> None:
    """Print the last sessions, oldest first; with -f also new ones.

    Example: lakehouse tail -f
    """
    settings = read_config(context, config)
    log = log_directory(settings)
    follower = Follower(log)
    for row in _last(log, count):
        _print(row, json=json)
    if not follow:
        return
    try:
        for line in follower.follow(lambda: False):
            _print(line, json=json)
    except KeyboardInterrupt:
        return


def _last(log: Path, count: int) -> list[bytes]:
    if count == 0:
        return []
    found: list[bytes] = []
    page = list_sessions(log, limit=count, whole=True)
    found += page.rows
    while page.next is not None and len(found) < count:  # a page has a limit of bytes, too
        page = list_sessions(log, limit=count - len(found), cursor=page.next, whole=True)
        found += page.rows
    return found[::-1]


def _print(line: bytes, *, json: bool) -> None:
    if json:
        say_json(line)
        return
    row: dict[str, Any] = msgspec.json.decode(line)
    error = row["error"]
    verdict = row["verdict"] if error is None else f"{row['verdict']} ({error['code']})"
    text = (
        f"{row['timestamp'][:19]}  {row['session_id']}  {row['kind'] or '-'}  "
        f"{row['model_alias']}  {verdict}  {row['iterations']} attempts  {row['duration_ms']} ms"
    )
    say(on_one_line(text))
