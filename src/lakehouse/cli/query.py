"""`lakehouse query`: one SELECT over the log, while it is written."""

from typing import Annotated

import typer

from lakehouse.cli.options import ConfigOption, JsonOption, read_config
from lakehouse.cli.table import cell_text, print_table
from lakehouse.sessionlog.query import query

query_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@query_app.command(name="query")
def command(
    context: typer.Context,
    sql: Annotated[
        str,
        typer.Argument(
            help="One SELECT over sessions, attempts, findings, replays, feedback, log_bad_lines."
        ),
    ],
    *,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Ask the log one question in DuckDB's SQL, read-only.

    Example: lakehouse query "SELECT verdict, count(*) FROM sessions GROUP BY 1"
    """
    settings = read_config(context, config)
    result = query(settings.path(settings.log.path), sql)
    if json:
        typer.echo(result.json().decode("utf-8"))
        return
    print_table(
        [column.name for column in result.columns],
        [[cell_text(cell) for cell in row] for row in result.rows],
    )
