"""`lakehouse sessions`: the newest sessions of the log, one line each."""

from typing import Annotated, Any

import msgspec
import typer

from lakehouse.cli.filter_options import (
    CodeOption,
    DaemonOption,
    KindOption,
    ModelOption,
    SinceOption,
    UntilOption,
    VerdictOption,
)
from lakehouse.cli.known_names import check_names
from lakehouse.cli.options import ConfigOption, JsonOption, log_directory, read_config
from lakehouse.cli.table import print_json, print_table
from lakehouse.cli.terminal import say
from lakehouse.core.limits import SESSIONS_LIMIT_DEFAULT
from lakehouse.sessionlog.reading.filters import SessionFilter, moment
from lakehouse.sessionlog.reading.sessions import list_sessions

sessions_app = typer.Typer(add_completion=False, rich_markup_mode=None)

_PROMPT_CHARS_MAX = 60


@sessions_app.command(name="sessions")
def command(
    context: typer.Context,
    *,
    kind: KindOption = None,
    model: ModelOption = None,
    verdict: VerdictOption = None,
    code: CodeOption = None,
    daemon: DaemonOption = None,
    conversation_id: Annotated[
        str | None, typer.Option(help="Only sessions of this conversation.")
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[
        int, typer.Option(help="Number of sessions to list, 1 to 200.")
    ] = SESSIONS_LIMIT_DEFAULT,
    cursor: Annotated[
        str | None, typer.Option(help="Cursor printed after the previous page.")
    ] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List logged sessions, newest first.

    Example: lakehouse sessions --verdict max_iter_exhausted --limit 10
    """
    settings = read_config(context, config)
    where = SessionFilter(
        kind=kind,
        model=model,
        verdict=verdict,
        code=code,
        daemon=daemon,
        conversation_id=conversation_id,
        since=None if since is None else moment(since, name="since"),
        until=None if until is None else moment(until, name="until"),
    )
    log = log_directory(settings)
    page = list_sessions(log, where, limit=limit, cursor=cursor)
    if not page.rows:
        check_names(settings, log, where)
    if json:
        rows = [msgspec.Raw(row) for row in page.rows]
        print_json({"sessions": rows, "next": page.next})
        return
    print_table(
        ["ended", "session", "kind", "model", "verdict", "iterations", "ms", "prompt"],
        [_cells(msgspec.json.decode(row)) for row in page.rows],
    )
    if page.next is not None:
        say(f"Next page: --cursor {page.next}")


def _cells(row: dict[str, Any]) -> list[object]:
    error = row.get("error") or {}
    prompt = " ".join(row["prompt"].split())
    return [
        row["timestamp"][:19],
        row["session_id"],
        row["kind"],
        row["model_alias"],
        f"{row['verdict']} ({error['code']})" if error else row["verdict"],
        row["iterations"],
        row["duration_ms"],
        prompt if len(prompt) <= _PROMPT_CHARS_MAX else prompt[: _PROMPT_CHARS_MAX - 1] + "…",
    ]
