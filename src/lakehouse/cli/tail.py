"""`lakehouse tail`: sessions as they end, one line each."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from lakehouse.cli.options import ConfigOption, log_directory, read_config
from lakehouse.core.limits import SESSIONS_LIMIT_MAX
from lakehouse.sessionlog.reader import Follower, find_rows
from lakehouse.sessionlog.sessions import list_sessions

tail_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@tail_app.command(name="tail")
def command(
    context: typer.Context,
    count: Annotated[
        int, typer.Option("-n", min=0, max=SESSIONS_LIMIT_MAX, help="How many to begin with.")
    ] = 10,
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print whole rows, one a line.")] = False,
    config: ConfigOption = None,
) -> None:
    """Print the last sessions, oldest first, and with -f the ones that follow.

    Example: lakehouse tail -f
    """
    settings = read_config(context, config)
    log = log_directory(settings)
    follower = Follower(log)
    for row in _last(log, count):
        _print(row, log, json=json)
    if not follow:
        return
    try:
        for line in follower.follow(lambda: False):
            _print(line, log, json=json)
    except KeyboardInterrupt:
        return


def _last(log: Path, count: int) -> list[bytes]:
    if count == 0:
        return []
    return list(reversed(list_sessions(log, limit=count).rows))


def _print(line: bytes, log: Path, *, json: bool) -> None:
    row: dict[str, Any] = msgspec.json.decode(line)
    if json:
        whole = line if "attempts" in row else find_rows(log, row["row_id"])[0]
        typer.echo(whole.decode("utf-8"))
        return
    error = row["error"]
    verdict = row["verdict"] if error is None else f"{row['verdict']} ({error['code']})"
    typer.echo(
        f"{row['timestamp'][:19]}  {row['session_id']}  {row['kind'] or '-'}  "
        f"{row['model_alias']}  {verdict}  {row['iterations']} attempts  {row['duration_ms']} ms"
    )
