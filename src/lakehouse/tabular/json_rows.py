"""Reads JSON lines strictly: one object per line. See `rows` for the rules."""

import io
from collections.abc import Collection, Iterator
from typing import IO, Final

import msgspec

from lakehouse.core.json_text import JsonValue, parse_bytes
from lakehouse.tabular.rows import (
    ROW_BYTES_MAX,
    BadRow,
    FileFault,
    TableRow,
    check_columns,
    lines,
    without_mark,
)

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Parsed(msgspec.Struct, frozen=True):
    """One object: its members parsed, and the line's own bytes."""

    index: int
    line: int
    members: dict[str, JsonValue]
    raw: bytes


def rows(file: IO[bytes], columns: Collection[str]) -> Iterator[TableRow | BadRow]:
    """Return the objects of a file in its order; see `rows.read_rows`.

    A member may be missing from a line; if no line has it, its name is misspelled.
    """
    missing, met = set(columns), dict[str, None]()
    clean = True
    for row in _parsed(file):
        if isinstance(row, BadRow):
            clean = False
            yield row
            continue
        if missing:
            missing -= row.members.keys()
            met.update(dict.fromkeys(row.members))
        members = _OBJECT.decode(row.raw)
        cells = {name: members[name] for name in columns if name in members}
        yield TableRow(row.index, row.line, cells)
    if missing and met and clean:
        check_columns(missing, tuple(met))


def table(content: bytes) -> dict[str, list[JsonValue]]:
    """Read a whole file as cells by column, null if a line lacks the member; blocks."""
    columns: dict[str, list[JsonValue]] = {}
    count = 0
    for row in _parsed(io.BytesIO(content)):
        if isinstance(row, BadRow):
            raise FileFault(row.told)
        for name, cell in row.members.items():
            cells = columns.setdefault(name, [])
            cells.extend([None] * (count - len(cells)))
            cells.append(cell)
        count += 1
    for cells in columns.values():
        cells.extend([None] * (count - len(cells)))
    return columns


def _parsed(file: IO[bytes]) -> Iterator[_Parsed | BadRow]:
    without_mark(file)
    index = 0
    for number, line in enumerate(lines(file), start=1):
        if not line.strip():
            continue
        yield _row(index, number, line.rstrip(b"\r\n"))
        index += 1


def _row(index: int, number: int, line: bytes) -> _Parsed | BadRow:
    if len(line) > ROW_BYTES_MAX:
        reason = f"it is larger than {ROW_BYTES_MAX >> 20} MiB"
        return BadRow(index, number, reason, line[:1_000])
    try:
        members = parse_bytes(line)
    except ValueError as error:
        return BadRow(index, number, str(error), line)
    if not isinstance(members, dict):
        return BadRow(index, number, "it is not an object", line)
    return _Parsed(index, number, members, line)
