"""`lakehouse query`: one SELECT over the log, also while it is written."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli.options import ConfigOption, JsonOption, log_directory, read_config
from lakehouse.cli.table import print_table
from lakehouse.cli.terminal import say, say_json, say_lines
from lakehouse.core.errors import SetupError
from lakehouse.core.json_text import cell_text
from lakehouse.sessionlog.reading.query import QueryResult, query
from lakehouse.tabular.csv_export import csv_lines

query_app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Format(enum.StrEnum):
    """The output format."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


@query_app.command(name="query")
def command(
    context: typer.Context,
    sql: Annotated[
        str,
        typer.Argument(
            help="One SELECT over sessions, attempts, findings, replays, feedback and "
            "log_bad_lines."
        ),
    ],
    *,
    format_: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.TABLE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output file for --format parquet.")
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="With --format csv: do not escape cells that look like formulas."
        ),
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Run one read-only query on the log, in DuckDB's SQL.

    Example: lakehouse query "SELECT verdict, count(*) FROM sessions GROUP BY 1"
    """
    if json:
        format_ = Format.JSON
    if raw and format_ is not Format.CSV:
        raise SetupError("--raw needs --format csv: the other formats do not change cells.")
    if (output is None) == (format_ is Format.PARQUET):
        raise SetupError(
            "--output and --format parquet need each other.",
            hint="The other formats write to standard output: … > FILE.",
        )
    settings = read_config(context, config)
    result = query(log_directory(settings, warns_of_parts=False), sql, output=output)
    if result.warning is not None:
        say(f"warning: {result.warning}", err=True)
    if format_ is not Format.PARQUET:
        _print(result, format_, raw=raw)


def _print(result: QueryResult, format_: Format, *, raw: bool) -> None:
    if format_ is Format.JSON:
        say_json(result.json())
        return
    names = [column.name for column in result.columns]
    if format_ is Format.CSV:
        say_lines(csv_lines(names, result.rows, raw=raw))
    elif format_ is Format.MARKDOWN:
        rows = [[cell_text(cell) for cell in row] for row in result.rows]
        lines: list[list[str | None]] = [[*names], ["---"] * len(names), *rows]
        for cells in lines:
            say(f"| {' | '.join(_markdown(cell) for cell in cells)} |")
    else:
        print_table(names, ([cell_text(cell) for cell in row] for row in result.rows))


def _markdown(cell: str | None) -> str:
    """Keep a cell in its cell: a line break or a bar would end it."""
    text = "" if cell is None else cell
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").splitlines())
