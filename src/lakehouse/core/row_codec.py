"""Encodes rows to bytes exactly as contract section 4 says, and decodes them.

`encode_line` writes our own rows. `decode_row` reads rows for use. `rewrite_row` decodes to our
types and encodes again without adding or losing a member: the parity gate compares that.
"""

import zlib
from collections.abc import Callable
from typing import Any, Final, TypeVar, get_args

import msgspec

from lakehouse.core.chat import Usage
from lakehouse.core.errors import LogUnavailable
from lakehouse.core.finding import Finding
from lakehouse.core.json_text import JsonError, parse_form, raw_members
from lakehouse.core.limits import CRC_BYTES, ROW_BYTES_MAX
from lakehouse.core.replay_row import Feedback, ReplayRun
from lakehouse.core.row import Row, SegmentHeader, Started
from lakehouse.core.row_limit import fit

_CRC_START = b',"crc":"'
_ROW_DEPTH_MAX = 80  # evidence has up to 64 levels, five levels deep in its row
_RAW_DEPTH_MAX = _ROW_DEPTH_MAX - 5  # anywhere in its row
_NUMBER_START = frozenset(b"-0123456789")
_LINE_BYTES: Final = 2_048  # of most lines: room for them is made at once
_ENCODER: Final = msgspec.json.Encoder()
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])

_SCHEMA_NAME: Final[dict[type[msgspec.Struct], str]] = {
    Row: "session.iterate.v1",
    Started: "session.started.v1",
    ReplayRun: "replay.run.v1",
    Feedback: "feedback.v1",
}
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class RowError(ValueError):
    """The bytes are not a valid row; the message says why."""


def encode_line(record: Row | Started | SegmentHeader | ReplayRun | Feedback) -> bytes:
    """Encode one line of the log, `crc` last, without its newlines.

    `tables` must be sorted by bytes already and raw values compact (`json_text.compact`).
    Cost: about 5 µs for a 2 KB row.
    """
    line = bytearray(_LINE_BYTES)
    _ENCODER.encode_into(record, line)
    del line[-1]
    line += b',"crc":"%08x"}' % zlib.crc32(line)
    return bytes(line)


def encode_fitting(record: Row | Started) -> bytes:
    """Encode a record as every sink does, cut to the row limit if necessary.

    Raises:
        LogUnavailable: It has a lone surrogate, or stays over the limit after every cut.
    """
    try:
        line = encode_line(record)
        if len(line) > ROW_BYTES_MAX:
            line = encode_line(fit(record))
    except ValueError as error:
        raise LogUnavailable(
            f"the row cannot be encoded: {error}",
            hint="The disk is well: this row has no form. Please report it with the daemon's log.",
        ) from error
    return line


def add_crc(body: bytes) -> bytes:
    """Add the `crc` member to an object's bytes: CRC-32 (IEEE) of all bytes before it."""
    head = body[:-1]
    return b'%b,"crc":"%08x"}' % (head, zlib.crc32(head))


def crc_holds(line: bytes) -> bool | None:
    """Check a line's `crc`; None if the line has no `crc`. Speed: about 1 GB/s."""
    if not has_crc(line):
        return None
    return line[-10:-2] == b"%08x" % zlib.crc32(line[:-CRC_BYTES])


def has_crc(line: bytes) -> bool:
    """Return whether a line ends in a `crc` member, right or wrong."""
    return line[-CRC_BYTES:].startswith(_CRC_START) and line.endswith(b'"}')


def decode_row(line: bytes) -> Row:
    """Read one row, strictly: `crc`, duplicates, types and every member of version 1.0.

    A line without `crc` is accepted here; the log's reader decides whether that is damage. Unknown
    members are ignored. Raw values keep their bytes. Cost: about 15 µs for 2.7 KB that this version
    could have written, 45 µs for any other.

    Raises:
        RowError: The bytes are not a valid row.
    """
    row = _as_written(line, Row, _raw_values)
    if row is None:
        value = _check_line(line, Row)
        row = _decode(line, Row)
        _check_usage([value, *value["attempts"]])
    _check_settings(row)
    for attempt in row.attempts:
        _check_nearest(attempt.findings)
    names = list(row.tables)
    if names != sorted(names, key=str.encode):
        tables = {name: row.tables[name] for name in sorted(names, key=str.encode)}
        row = msgspec.structs.replace(row, tables=tables)
    return row


def decode_started(line: bytes) -> Started:
    """Read one started line, as strictly as `decode_row`."""
    started = _as_written(line, Started, lambda record: {bytes(record.inline_schema)})
    if started is None:
        _check_line(line, Started)
        started = _decode(line, Started)
    _check_settings(started)
    return started


def decode_replay_run(line: bytes) -> ReplayRun:
    """Read one line of `replay_runs.jsonl`, as strictly as `decode_row`."""
    run = _as_written(line, ReplayRun, lambda _: set())
    if run is None:
        value = _check_line(line, ReplayRun)
        run = _decode(line, ReplayRun)
        _check_usage([value["baseline"], value["candidate"]])
    return run


def decode_feedback(line: bytes) -> Feedback:
    """Read one line of `feedback.jsonl`, as strictly as `decode_row`."""
    feedback = _as_written(line, Feedback, lambda record: {bytes(record.artifact)})
    if feedback is None:
        _check_line(line, Feedback)
        feedback = _decode(line, Feedback)
    return feedback


def rewrite_row(line: bytes) -> bytes:
    """Decode a row to our types and encode it again, with a `crc` of the result.

    Unknown members, at every level, follow the known ones in their original order, with the bytes
    of their names and values; missing members stay absent. White space between tokens is removed,
    raw values keep their bytes. Cost: about 0.25 ms for a row of 2.7 KB.

    Raises:
        RowError: The bytes are not a valid row.
    """
    encoded = _compact(msgspec.json.encode(decode_row(line)))
    source = _compact(line)
    if crc_holds(source) is not None:
        source = source[:-CRC_BYTES] + b"}"
    return add_crc(_merge(encoded, source, _ROW_SHAPE))


def _as_written(
    line: bytes, kind: type[_Struct], raw_values: Callable[[_Struct], set[bytes]]
) -> _Struct | None:
    """Read a line that this version would encode to the same bytes; None for any other.

    Such a line has no unknown, duplicate or malformed members, so only its raw values are left to
    check.
    """
    if len(line) > ROW_BYTES_MAX or b"\n" in line or b"\r" in line or crc_holds(line) is not True:
        return None
    try:
        record = msgspec.json.decode(line, type=kind)
        if msgspec.json.encode(record)[:-1] != line[:-CRC_BYTES]:
            return None
        for raw in raw_values(record):
            parse_form(raw, depth_max=_RAW_DEPTH_MAX)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, JsonError):
        return None
    return record


def _raw_values(row: Row) -> set[bytes]:
    found = {bytes(row.artifact), bytes(row.inline_schema)}
    for attempt in row.attempts:
        found.add(bytes(attempt.artifact))
        for finding in attempt.findings:
            for raw in (finding.got, finding.expected, finding.nearest):
                if raw is not msgspec.UNSET:
                    found.add(bytes(raw))
    return found


def _check_line(line: bytes, kind: type[msgspec.Struct]) -> dict[str, Any]:
    if len(line) > ROW_BYTES_MAX:
        raise RowError(f"{len(line)} bytes; a row has at most {ROW_BYTES_MAX}")
    if b"\n" in line or b"\r" in line:
        raise RowError("a line break inside the line")
    if crc_holds(line) is False:
        raise RowError("the crc does not match")
    try:
        value = parse_form(line, depth_max=_ROW_DEPTH_MAX)
    except JsonError as error:
        raise RowError(str(error)) from error
    if not isinstance(value, dict):
        raise RowError("not an object")
    if value.get("schema") != (expected := _SCHEMA_NAME[kind]):
        raise RowError(f"`schema` is {value.get('schema')!r}, not {expected!r}")
    if "crc" in value and crc_holds(line) is None:
        raise RowError("`crc` is not the last member, or not eight lowercase hex digits")
    return value


def _decode(line: bytes, kind: type[_Struct]) -> _Struct:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RowError(str(error)) from error


def _check_usage(owners: list[dict[str, Any]]) -> None:
    # The type has defaults, for providers that do not count; a row has every member.
    for owner in owners:
        for name in Usage.__struct_fields__:
            if name not in owner["usage"]:
                raise RowError(f"`usage` lacks `{name}`")


def _check_settings(record: Row | Started) -> None:
    temperature = bytes(record.settings.temperature)
    if temperature != b"null" and temperature[0] not in _NUMBER_START:
        raise RowError("`settings.temperature` is neither a number nor null")
    top_p = record.settings.top_p
    if top_p is not msgspec.UNSET and bytes(top_p)[0] not in _NUMBER_START:
        raise RowError("`settings.top_p` is not a number")
    if record.settings.assert_formats is False:
        raise RowError("`settings.assert_formats` is not true")


def _check_nearest(findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        if finding.nearest is msgspec.UNSET:
            continue
        nearest = bytes(finding.nearest)
        values = _raw_list(nearest) if nearest.startswith(b"[") else [b"null"]
        if any(value[0] not in _NUMBER_START and value[:1] != b'"' for value in values):
            raise RowError("`nearest` of a finding is not a list of strings and numbers")


# --- Members of other writers --------------------------------------------------------------------
# A shape maps the members that hold our objects (or lists of them) to their own shapes;
# everything else is copied whole. Raw members have no shape and are not parsed.

_Shape = dict[str, "_Shape"]

_NEAREST: Final[_Shape] = {}


def _shape_of(kind: type) -> _Shape:
    """Derive a shape from the types, so that the two cannot differ."""
    shape: _Shape = {}
    for field in msgspec.structs.fields(kind):
        if (found := _struct_in(field.type)) is not None:
            shape[field.encode_name] = _shape_of(found)
    if kind is Finding:
        shape["nearest"] = _NEAREST
    return shape


def _struct_in(annotation: object) -> type | None:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    inner = (_struct_in(part) for part in get_args(annotation))
    return next((found for found in inner if found is not None), None)


_ROW_SHAPE: Final = _shape_of(Row)


def _merge(encoded: bytes, source: bytes, shape: _Shape) -> bytes:
    """Merge the encoded object with its source: known members first, then the unknown ones."""
    known = _OBJECT.decode(encoded)
    came = raw_members(source)
    members = [
        b'"%b":%b' % (name.encode(), _merge_value(bytes(raw), came[name][1], shape.get(name)))
        for name, raw in known.items()
        if name in came
    ]
    members += [b"%b:%b" % member for name, member in came.items() if name not in known]
    return b"{%b}" % b",".join(members)


def _merge_value(encoded: bytes, source: bytes, shape: _Shape | None) -> bytes:
    if shape is None or encoded == b"null":
        return encoded
    if shape is _NEAREST:
        return b"[%b]" % b",".join(map(_scalar, _raw_list(encoded)))
    if encoded.startswith(b"["):
        pairs = zip(_raw_list(encoded), _raw_list(source), strict=True)
        return b"[%b]" % b",".join(_merge(ours, theirs, shape) for ours, theirs in pairs)
    return _merge(encoded, source, shape)


def _raw_list(data: bytes) -> list[bytes]:
    return [bytes(item) for item in _LIST.decode(data)]


def _scalar(raw: bytes) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(raw)) if raw.startswith(b'"') else raw


def _compact(data: bytes) -> bytes:
    return msgspec.json.format(data, indent=-1)
