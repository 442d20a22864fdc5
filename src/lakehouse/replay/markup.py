"""Small pieces of HTML. Whatever they are given is escaped here, and nowhere else."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple, TypeAlias

from lakehouse.replay.report import printable


def safe(text: str) -> str:
    """Escape a text for an element or a quoted attribute."""
    return escape(printable(text), quote=True)


Row: TypeAlias = "tuple[str, *tuple[str | Detailed, ...]]"


class Detailed(NamedTuple):
    """A cell of two lines: what it says, and in small what stands behind it."""

    text: str
    detail: str


def table(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """Lay out texts; the first column is a heading of its row."""
    head = "".join(f'<th scope="col">{safe(column)}</th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row">{safe(row[0])}</th>'
        + "".join(f"<td>{_cell(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    inner = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="wide"><table>{inner}</table></div>'


def _cell(cell: str | Detailed) -> str:
    if isinstance(cell, str):
        return safe(cell)
    return f"{safe(cell.text)}<small>{safe(cell.detail)}</small>"


def legend() -> str:
    """Say which colour is which side."""
    return (
        '<p class="legend"><span class="key baseline">baseline</span> '
        '<span class="key candidate">candidate</span></p>'
    )
