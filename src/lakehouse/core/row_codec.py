"""Rows as bytes, byte for byte as contract section 4 says, and back.

`encode_line` writes what we make ourselves. `decode_row` reads for use. `rewrite_row` decodes to
our own types and encodes again without adding or losing a member: what the parity gate compares.
"""

import zlib
from typing import Final, TypeVar

import msgspec

from lakehouse.core.json_text import JsonError, parse_bytes
from lakehouse.core.limits import ROW_BYTES_MAX
from lakehouse.core.row import Row, SegmentHeader, Started

CRC_BYTES: Final = 18  # of `,"crc":"xxxxxxxx"}`, which every line of ours ends in
_CRC_START = b',"crc":"'
_ROW_DEPTH_MAX = 80  # an artifact of 64 levels stands four levels deep in its row

_SCHEMA_NAME: Final[dict[type[msgspec.Struct], str]] = {
    Row: "session.iterate.v1",
    Started: "session.started.v1",
}
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class RowError(ValueError):
    """Bytes that may not be a row; the message says why."""


def encode_line(record: Row | Started | SegmentHeader) -> bytes:
    """Encode one line of the log, `crc` last, without its newlines.

    `tables` must be sorted by bytes already and raw values compact (`json_text.compact`).
    Cost: about 5 µs for a 2 KB row.
    """
    return seal(msgspec.json.encode(record))


def seal(body: bytes) -> bytes:
    """Add the `crc` member to an object's bytes: CRC-32 (IEEE) of all bytes before it."""
    head = body[:-1]
    return b'%b,"crc":"%08x"}' % (head, zlib.crc32(head))


def crc_holds(line: bytes) -> bool | None:
    """Check a line's `crc`; None if the line carries none. Cost: about 1 GB/s."""
    tail = line[-CRC_BYTES:]
    if not (tail.startswith(_CRC_START) and tail.endswith(b'"}')):
        return None
    return tail[8:16] == b"%08x" % zlib.crc32(line[:-CRC_BYTES])


def decode_row(line: bytes) -> Row:
    """Read one row, strictly: `crc`, duplicates, types and every member of version 1.0.

    A line without `crc` is let through here; where that counts as damage, the log says so.
    Unknown members are ignored. Raw values keep their bytes.

    Raises:
        RowError: The bytes may not be a row.
    """
    _check_line(line, Row)
    row = _decode(line, Row)
    names = list(row.tables)
    if names != sorted(names, key=str.encode):
        tables = {name: row.tables[name] for name in sorted(names, key=str.encode)}
        row = msgspec.structs.replace(row, tables=tables)
    return row


def decode_started(line: bytes) -> Started:
    """Read one started line, as strictly as `decode_row`.

    Raises:
        RowError: The bytes may not be a started line.
    """
    _check_line(line, Started)
    return _decode(line, Started)


def rewrite_row(line: bytes) -> bytes:
    """Decode a row to our types and encode it again, with a `crc` of the result.

    Unknown members, at every level, come after the known ones in the order they came; what the
    row lacks stays absent. White space between tokens goes, raw values keep their bytes.

    Raises:
        RowError: The bytes may not be a row.
    """
    row = decode_row(line)
    source = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    source.pop("crc", None)
    return seal(_merge(msgspec.json.encode(row), source, _ROW_SHAPE))


def _check_line(line: bytes, kind: type[Row] | type[Started]) -> None:
    if len(line) > ROW_BYTES_MAX:
        raise RowError(f"{len(line)} bytes; a row has at most {ROW_BYTES_MAX}")
    if b"\n" in line or b"\r" in line:
        raise RowError("a line break inside the line")
    if crc_holds(line) is False:
        raise RowError("the crc does not match")
    try:
        value = parse_bytes(line, depth_max=_ROW_DEPTH_MAX)
    except JsonError as error:
        raise RowError(str(error)) from error
    if not isinstance(value, dict):
        raise RowError("not an object")
    if value.get("schema") != (expected := _SCHEMA_NAME[kind]):
        raise RowError(f"`schema` is {value.get('schema')!r}, not {expected!r}")
    if "crc" in value and crc_holds(line) is None:
        raise RowError("`crc` is not the last member, or not eight lowercase hex digits")


def _decode(line: bytes, kind: type[_Struct]) -> _Struct:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RowError(str(error)) from error


# --- Keeping what other writers add -------------------------------------------------------------
# A shape maps the members that hold objects (or lists of objects) of ours to their own shapes;
# everything else is copied whole. Raw members are absent here, so nothing looks into them.

_Shape = dict[str, "_Shape"]

_LEAF: Final[_Shape] = {}
_FINDING: Final[_Shape] = {"message_truncated": _LEAF}
_ATTEMPT: Final[_Shape] = {
    "findings": _FINDING,
    "told_truncated": _LEAF,
    "output_truncated": _LEAF,
    "thinking_truncated": _LEAF,
    "artifact_truncated": _LEAF,
    "repairs": _LEAF,
    "usage": _LEAF,
}
_ROW_SHAPE: Final[_Shape] = {
    "prompt_truncated": _LEAF,
    "messages": {"content_truncated": _LEAF},
    "system_truncated": _LEAF,
    "settings": _LEAF,
    "attempts": _ATTEMPT,
    "error": _LEAF,
    "usage": _LEAF,
}


def _merge(encoded: bytes, source: dict[str, msgspec.Raw], shape: _Shape) -> bytes:
    """Lay the encoded object over its source: known members first, then the unknown ones."""
    known = msgspec.json.decode(encoded, type=dict[str, msgspec.Raw])
    members = [
        (name, _merge_value(bytes(raw), bytes(source[name]), shape.get(name)))
        for name, raw in known.items()
        if name in source
    ]
    members += [(name, _compact(raw)) for name, raw in source.items() if name not in known]
    return b"{%b}" % b",".join(
        b"%b:%b" % (msgspec.json.encode(name), value) for name, value in members
    )


def _merge_value(encoded: bytes, source: bytes, shape: _Shape | None) -> bytes:
    if shape is None or encoded == b"null":
        return encoded if encoded[:1] not in b"{[" else _compact(msgspec.Raw(encoded))
    if encoded.startswith(b"["):
        pairs = zip(
            msgspec.json.decode(encoded, type=list[msgspec.Raw]),
            msgspec.json.decode(source, type=list[msgspec.Raw]),
            strict=True,
        )
        return b"[%b]" % b",".join(_merge_value(bytes(a), bytes(b), shape) for a, b in pairs)
    return _merge(encoded, msgspec.json.decode(source, type=dict[str, msgspec.Raw]), shape)


def _compact(raw: msgspec.Raw) -> bytes:
    return msgspec.json.format(bytes(raw), indent=-1)
