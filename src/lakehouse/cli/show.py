"""`lakehouse show`: one session, attempt by attempt."""

from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from lakehouse.cli.console import console
from lakehouse.cli.options import ConfigOption, JsonOption, log_directory, read_config
from lakehouse.cli.table import print_json
from lakehouse.cli.terminal import on_one_line
from lakehouse.core.errors import Refusal
from lakehouse.core.json_text import NULL
from lakehouse.core.row import Row
from lakehouse.core.row_codec import decode_row
from lakehouse.core.session import SOURCE_COLUMN, Attempt
from lakehouse.core.visible import visible
from lakehouse.core.wording import counted
from lakehouse.sessionlog.reading.reader import find_rows

# A mode of a later version is shown as it is.
_OFFERED: Final = {"decode": "in the schema", "hint": "in the prompt"}

show_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@show_app.command(name="show")
def command(
    context: typer.Context,
    identity: Annotated[str, typer.Argument(help="A session_id or a row_id.", metavar="ID")],
    *,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show a session: the prompt, what the model wrote, what was wrong, and the feedback.

    Example: lakehouse show 019ab1c2d3e47f60b1a2c3d4e5f60718
    """
    settings = read_config(context, config)
    log = log_directory(settings)
    rows = find_rows(log, identity)
    if not rows:
        raise Refusal(
            "not_found",
            f"There is no session or row {identity!r} in {log}.",
            hint="`lakehouse sessions` lists the sessions, newest first.",
        )
    if json:
        print_json({"rows": [msgspec.Raw(row) for row in rows]})
        return
    out = console()
    for line in rows:
        _print_row(decode_row(line), out)


def _kind(row: Row) -> str:
    if row.kind is None:
        return "(inline schema)"
    return row.kind if row.inline_schema == NULL else f"{row.kind}, and an inline schema"


def _print_row(row: Row, out: Console) -> None:
    out.print(Text(on_one_line(f"session {row.session_id}"), style="bold"))
    label = row.model_alias if row.model_alias == row.model else f"{row.model_alias} ({row.model})"
    facts = {
        "row": row.row_id,
        "trace": row.trace_id,
        "ended": row.timestamp,
        "daemon": row.daemon,
        "kind": _kind(row),
        "model": f"{label}, {row.provider}",
        "prompt": row.prompt,
    }
    for name, value in facts.items():
        print_fact(out, name, value)
    for attempt in row.attempts:
        print_attempt(attempt, out)
    verdict: str = row.verdict
    if row.error is not None:
        verdict += f": {row.error.code}: {row.error.message}"
    print_fact(out, "verdict", f"{verdict} after {row.iterations} of {row.max_iterations} attempts")
    print_fact(out, "took", f"{row.duration_ms} ms")


def print_attempt(attempt: Attempt, out: Console) -> None:
    """Print one attempt: the feedback, the answer, and its findings."""
    out.print(Text(f"\n  attempt {attempt.iteration}: {attempt.outcome}", style="bold"))
    if attempt.told is not None:
        print_fact(out, "told", attempt.told)
    for one in attempt.narrowed or ():
        place = one.path or "the whole answer"
        quoted = one.column == SOURCE_COLUMN
        values = counted(one.candidates, "quote" if quoted else "value")
        where = f"{values} of {'the text' if quoted else one.column}"
        print_fact(out, "offered", f"{place}: {where}, {_OFFERED.get(one.mode, one.mode)}")
    print_fact(out, "wrote", attempt.output)
    for finding in attempt.findings:
        place = finding.path or "the whole answer"
        print_fact(out, "wrong", f"{finding.code} at {place}: {finding.message}")
    for repair in attempt.repairs:
        print_fact(out, "repaired", f"{repair.code} at byte {repair.offset}: {repair.message}")


def print_fact(out: Console, name: str, value: str) -> None:
    """Print a label and a text; further lines are aligned below the first."""
    text = visible(value).replace("\n", "\n" + " " * 11)
    out.print(Text(f"  {name:>7}: ", style="dim") + Text(text), soft_wrap=True)
