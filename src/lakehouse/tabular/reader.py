"""Rows of a file in one form, whatever its format: chosen columns, each cell as raw JSON.

For callers that take rows one by one, such as `lakehouse run`; the file may be larger than memory.
A cell keeps its own bytes where it came as JSON: `1.10` stays `1.10`. Cells of Parquet are in the
JSON form of their type (`arrow_forms`).
"""

import math
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from lakehouse.core.json_text import ENCODER, NULL
from lakehouse.core.suggestion import did_you_mean
from lakehouse.tabular.csv_rows import CsvRows
from lakehouse.tabular.json_rows import json_rows
from lakehouse.tabular.rows import BadRow, FileFault, check_regular

FORMATS: Final = (".csv", ".jsonl", ".ndjson", ".parquet", ".pq")

_SEPARATORS: Final = (";", "\t", "|")  # of files that are called CSV and are not
_BATCH_ROWS: Final = 1_000
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Row(msgspec.Struct, frozen=True):
    """One row: the chosen columns that it has, each as raw JSON, null included.

    `index` counts rows from 0, `line` lines from 1, where the format has lines.
    """

    index: int
    line: int | None
    cells: Mapping[str, msgspec.Raw]


def read_rows(path: Path, columns: Collection[str]) -> Iterator[Row | BadRow]:
    """Read the rows of a file in its order; the format is told by the name.

    Raises:
        FileFault: It is none of `FORMATS`, or cannot be read as what its name says, or has no
            column of a name that is asked for, or one whose type has no form in JSON.
        OSError: It cannot be opened or read.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise FileFault(f"its name must end in one of {', '.join(FORMATS)}")
    check_regular(path)
    with path.open("rb") as file:
        if suffix == ".csv":
            yield from _csv(file, columns)
        elif suffix in {".parquet", ".pq"}:
            yield from _parquet(file, columns)
        else:
            yield from _json_lines(file, columns)


def _csv(file: IO[bytes], columns: Collection[str]) -> Iterator[Row | BadRow]:
    rows = CsvRows(file)
    try:
        check_columns(columns, rows.names)
    except FileFault as fault:
        mark = next((one for one in _SEPARATORS if one in rows.names[0]), None)
        if mark is None or len(rows.names) > 1:
            raise
        raise FileFault(
            f"its header is one column, {rows.names[0]!r}: it seems to be separated by {mark!r}; "
            "save it with commas"
        ) from fault
    chosen = [(name, rows.names.index(name)) for name in columns]
    for index, cells in enumerate(rows):
        if isinstance(cells, BadRow):
            yield cells
        else:
            yield Row(index, rows.line, {name: _raw(cells[at]) for name, at in chosen})


def _json_lines(file: IO[bytes], columns: Collection[str]) -> Iterator[Row | BadRow]:
    """A member may be missing from a line; one that no line has is a slip in a name."""
    missing, met = set(columns), dict[str, None]()
    clean = True
    for row in json_rows(file):
        if isinstance(row, BadRow):
            clean = False
            yield row
            continue
        if missing:
            missing -= row.members.keys()
            met.update(dict.fromkeys(row.members))
        members = _OBJECT.decode(row.raw)
        cells = {name: members[name] for name in columns if name in members}
        yield Row(row.index, row.line, cells)
    if missing and met and clean:
        check_columns(missing, tuple(met))


def _parquet(file: IO[bytes], columns: Collection[str]) -> Iterator[Row | BadRow]:
    import pyarrow as pa  # noqa: PLC0415  only Parquet needs it, and it takes 0.2 s
    import pyarrow.parquet as pq  # noqa: PLC0415  likewise

    from lakehouse.tabular.arrow_forms import FormFault, plain  # noqa: PLC0415  likewise

    index = 0
    try:
        with pq.ParquetFile(file) as parquet:
            names = parquet.schema_arrow.names
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise FileFault(f"it has more than one column {twice[0]!r}")
            check_columns(columns, names)
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=list(columns)):
                cells: dict[str, list[Any]] = {}
                for name in columns:
                    try:
                        cells[name] = _cells(plain(batch.column(name)).column)
                    except FormFault as fault:
                        raise FileFault(f"column {name!r}: {fault}") from fault
                for offset in range(batch.num_rows):
                    yield _row_of(index, {name: cells[name][offset] for name in columns})
                    index += 1
    except pa.ArrowException as error:
        raise FileFault(str(error)) from error


def _cells(column: Any) -> list[Any]:
    """Give Python values; a text that is not UTF-8 becomes its error."""
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


def _row_of(index: int, values: Mapping[str, Any]) -> Row | BadRow:
    for name, value in values.items():
        if isinstance(value, UnicodeDecodeError):
            return BadRow(index, None, f"column {name!r}: invalid UTF-8 at byte {value.start}")
        if isinstance(value, float) and not math.isfinite(value):
            return BadRow(index, None, f"column {name!r} is {value}, which is no number of JSON")
    return Row(index, None, {name: _raw(value) for name, value in values.items()})


def _raw(value: object) -> msgspec.Raw:
    if value is None:
        return NULL
    if isinstance(value, Decimal):
        return msgspec.Raw(f"{value:f}".encode("ascii"))
    return msgspec.Raw(ENCODER.encode(value))


def check_columns(wanted: Collection[str], known: Collection[str]) -> None:
    """See that a file has all columns that are asked for.

    Raises:
        FileFault: It lacks one; naming those it has and the nearest.
    """
    for name in wanted:
        if name not in known:
            there = ", ".join(known) or "none"
            raise FileFault(
                f"it has no column {name!r}{did_you_mean(name, known)}; there is {there}"
            )
