"""How results are printed: Rich tables for people, JSON for programs, the same values in both."""

from collections.abc import Iterable, Sequence

import msgspec
from rich.table import Table
from rich.text import Text

from lakehouse.cli.console import console
from lakehouse.cli.terminal import say_json
from lakehouse.core.visible import visible


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; a cell that is None stays empty. Text of models is never read as markup."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(Text(visible(column)))
    for row in rows:
        table.add_row(*(Text("" if cell is None else visible(str(cell))) for cell in row))
    console().print(table)


def print_json(value: object) -> None:
    """Print one JSON value on one line."""
    say_json(msgspec.json.encode(value))


def percent(rate: float | None) -> str:
    """Format a rate of 0 to 1; `-` if there is none."""
    return "-" if rate is None else f"{100 * rate:.1f} %"
