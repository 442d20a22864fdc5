"""Reads a whole CSV file as Arrow columns: text, or numbers and booleans where declared."""

import io
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from lakehouse.tabular.csv_rows import CsvRows
from lakehouse.tabular.formats import CellType
from lakehouse.tabular.rows import BadRow, FileFault

_ROWS_PER_CHUNK: Final = 8_192
_DECIMAL_DIGITS_MAX: Final = 76  # of Arrow's widest decimal
_INTEGER: Final = r"^-?(?:0|[1-9][0-9]*)$"
_NUMBER: Final = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?$"
_DOUBLE: Final = r"^-?[0-9.]{1,15}$"  # with so few digits the double's shortest form is the text
_ALLOWED: Final = {
    "integer": (_INTEGER, "an integer such as 7 or -12, without leading zeros or spaces"),
    "number": (_NUMBER, "a number as JSON writes it, such as 7, -0.5 or 1e3"),
    "boolean": ("^(?i:true|false)$", "true or false"),
}


def read_csv(content: bytes, types: Mapping[str, CellType]) -> Any:
    """Read a file as a `pyarrow.Table`; blocks. An empty cell is null.

    Raises:
        FileFault: It is not CSV as `rows` defines it, or a cell does not have its column's type
            in `types`; the message names the row.
    """
    file = io.BytesIO(content)
    rows = CsvRows(file)
    unknown = sorted(types.keys() - set(rows.names))
    if unknown:
        raise FileFault(
            f"types names column {unknown[0]!r}; its columns are {', '.join(rows.names)}"
        )
    table = _unquoted(content, rows.names) if b'"' not in content else None
    if table is None:
        table = _columns(rows)
    for name, cell_type in types.items():
        if cell_type != "text":
            at = rows.names.index(name)
            table = table.set_column(at, name, _typed(name, table.column(at), cell_type))
    return table


def _unquoted(content: bytes, names: tuple[str, ...]) -> Any:
    """Read a file without quotes with Arrow, much faster; None if anything is unusual."""
    try:
        return pa_csv.read_csv(
            pa.BufferReader(content),
            parse_options=pa_csv.ParseOptions(quote_char=False),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        return None  # read again, to name the row, or to accept a row of many megabytes


def _columns(rows: CsvRows) -> Any:
    batches = []
    held: list[list[str | None]] = []

    def flush() -> None:
        columns = zip(*held, strict=True) if held else ([] for _ in rows.names)
        arrays = [pa.array(column, pa.large_string()) for column in columns]
        batches.append(pa.table(arrays, names=list(rows.names)))
        held.clear()

    for row in rows:
        if isinstance(row, BadRow):
            raise FileFault(row.told)
        held.append(row)
        if len(held) == _ROWS_PER_CHUNK:
            flush()
    flush()
    return pa.concat_tables(batches)


def _typed(name: str, column: Any, cell_type: str) -> Any:
    pattern, allowed = _ALLOWED[cell_type]
    unlike = _unlike(column, pattern)
    if unlike:
        wrong = unlike[0]
        cell = column[wrong].as_py()
        shown = cell if len(cell) <= 40 else cell[:40] + "…"
        raise FileFault(
            f"row {wrong}: column {name!r} is {shown!r}; types says {cell_type}, which is {allowed}"
        )
    if cell_type == "boolean":
        return pc.equal(pc.ascii_lower(column), pa.scalar("true", column.type))
    return _numbers(name, column, whole=cell_type == "integer")


def _unlike(column: Any, pattern: str) -> list[int]:
    """Return the first cell that a pattern does not match, if there is one; null matches."""
    at = pc.index(pc.match_substring_regex(column, pattern), value=False).as_py()
    return [] if at < 0 else [at]


def _numbers(name: str, column: Any, *, whole: bool) -> Any:
    """Return texts that are numbers in the narrowest type that holds every one exactly."""
    if whole:
        for kind in (pa.int64(), pa.uint64()):
            try:
                return column.cast(kind)
            except pa.ArrowInvalid:
                continue
    elif not _unlike(column, _DOUBLE):
        return column.cast(pa.float64())
    cells = [None if text is None else Decimal(text) for text in column.to_pylist()]
    return _decimals(name, cells)


def _decimals(name: str, cells: list[Decimal | None]) -> Any:
    shapes = [_shape(cell) for cell in cells if cell is not None]
    scale = max(fraction for _, fraction in shapes)
    digits = max(1, max(whole for whole, _ in shapes) + scale)
    if digits > _DECIMAL_DIGITS_MAX:
        raise FileFault(
            f"column {name!r} needs {digits} digits to be exact; at most {_DECIMAL_DIGITS_MAX} "
            f"are supported. Leave it as text, or round it"
        )
    kind: Callable[[int, int], Any] = pa.decimal128 if digits <= 38 else pa.decimal256
    return pa.chunked_array([pa.array(cells, kind(digits, scale))])


def _shape(number: Decimal) -> tuple[int, int]:
    """Count the digits before and after the point."""
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int), "the text was checked: neither NaN nor infinite"
    return max(0, len(digits) + exponent), max(0, -exponent)
