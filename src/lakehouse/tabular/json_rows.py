"""JSON lines, read strictly: one object a line. See `rows` for the rules."""

from collections.abc import Iterator
from typing import Any

import msgspec

from lakehouse.core.json_text import JsonValue, parse_bytes
from lakehouse.tabular.rows import ROW_BYTES_MAX, BadRow, lines, without_mark


class JsonRow(msgspec.Struct, frozen=True):
    """One object: its members parsed, and the line's own bytes."""

    index: int
    line: int
    members: dict[str, JsonValue]
    raw: bytes


def json_rows(file: Any) -> Iterator[JsonRow | BadRow]:
    """Give the objects of a binary file that can seek, one at a time.

    Raises:
        FileFault: It is not UTF-8 text.
    """
    without_mark(file)
    index = 0
    for number, line in enumerate(lines(file), start=1):
        if not line.strip():
            continue
        yield _row(index, number, line.rstrip(b"\r\n"))
        index += 1


def _row(index: int, number: int, line: bytes) -> JsonRow | BadRow:
    if len(line) > ROW_BYTES_MAX:
        reason = f"it takes more than {ROW_BYTES_MAX >> 20} MiB"
        return BadRow(index, number, reason, line[:1_000])
    try:
        members = parse_bytes(line)
    except ValueError as error:
        return BadRow(index, number, str(error), line)
    if not isinstance(members, dict):
        return BadRow(index, number, "it is not an object", line)
    return JsonRow(index, number, members, line)
