"""Rows of Arrow batches, each cell in the JSON form of its type (`arrow_forms`)."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from lakehouse.tabular.arrow_forms import FormFault, plain
from lakehouse.tabular.rows import (
    BadRow,
    FileFault,
    TableRow,
    check_columns,
    check_distinct,
    raw_cell,
)


def arrow_rows(
    names: Collection[str],
    batches: Callable[[list[str]], Iterable[Any]],
    columns: Collection[str],
) -> Iterator[TableRow | BadRow]:
    """Return the rows of the batches that `batches` reads of the chosen columns.

    Raises:
        FileFault: `names`, the columns of the file, hold one twice or lack a chosen one, or a
            chosen one has no form in JSON.
    """
    check_distinct(names)
    check_columns(columns, names)
    index = 0
    for batch in batches(list(columns)):
        cells: dict[str, list[Any]] = {}
        for name in columns:
            try:
                cells[name] = _cells(plain(batch.column(name)).column)
            except FormFault as fault:
                raise FileFault(f"column {name!r}: {fault}") from fault
        for offset in range(batch.num_rows):
            yield _row_of(index, {name: cells[name][offset] for name in columns})
            index += 1


def _cells(column: Any) -> list[Any]:
    """Return Python values; a text that is not UTF-8 becomes its error."""
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        values = [_cell(value) for value in column]
    return values


def _cell(value: Any) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError as error:
        return error


def _row_of(index: int, values: Mapping[str, Any]) -> TableRow | BadRow:
    for name, value in values.items():
        if isinstance(value, UnicodeDecodeError):
            return BadRow(index, None, f"column {name!r}: invalid UTF-8 at byte {value.start}")
        if isinstance(value, float) and not math.isfinite(value):
            return BadRow(index, None, f"column {name!r} is {value}, which is not a JSON number")
    return TableRow(index, None, {name: raw_cell(value) for name, value in values.items()})
