"""Rows as Arrow records: the columns of the compacted table, in its own order.

Every member of a row is a column, and `line` has the row's own bytes, which keep numbers inside
JSON, the order of members, and members of newer versions.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
import pyarrow as pa

from lakehouse.core.clock import moment_of
from lakehouse.core.row import LoggedError
from lakehouse.sessionlog.reading.columns import SESSION_COLUMNS, TIME
from lakehouse.sessionlog.reading.compacted import day_of

_ROWS_MAX: Final = 10_000  # of one batch
_BYTES_MAX: Final = 32 << 20


class _Usage(msgspec.Struct):
    prompt_tokens: int | None
    completion_tokens: int | None


_JSON_TYPES: Final[dict[str, Any]] = {
    "VARCHAR": str | None,
    "BIGINT": int | None,
    "BOOLEAN": bool | None,
    "JSON": msgspec.Raw,
    TIME: str,
    SESSION_COLUMNS["error"]: LoggedError | None,
    SESSION_COLUMNS["usage"]: _Usage | None,
}
_ARROW_TYPES: Final[dict[str, pa.DataType]] = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "JSON": pa.string(),
    TIME: pa.timestamp("us", "UTC"),
    SESSION_COLUMNS["error"]: pa.struct(
        [("code", pa.string()), ("message", pa.string()), ("detail", pa.string())]
    ),
    SESSION_COLUMNS["usage"]: pa.struct(
        [("prompt_tokens", pa.int64()), ("completion_tokens", pa.int64())]
    ),
}
PARTITION: Final = "date"
SCHEMA: Final = pa.schema(
    [
        *((name, _ARROW_TYPES[column]) for name, column in SESSION_COLUMNS.items()),
        ("line", pa.string()),
        (PARTITION, pa.string()),
    ]
)
"""The table's schema. `date` is the UTC date of `timestamp`, and the partition.

A text that is no time is null as `timestamp`, with the `date` 9999-12-31; `line` has it as it is.
"""

_NOTHING: Final = msgspec.Raw(b"null")
_Record = msgspec.defstruct(
    "_Record",
    [
        (name, _JSON_TYPES[column], _NOTHING if column == "JSON" else None)
        for name, column in SESSION_COLUMNS.items()
    ],
)
_DECODER: Final = msgspec.json.Decoder(_Record)


def batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Part lines into lists that are small enough to hold in memory as records."""
    batch: list[bytes] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if len(batch) == _ROWS_MAX or size >= _BYTES_MAX:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def record_batch(lines: list[bytes]) -> pa.RecordBatch:
    """Make records of rows that were strictly read. Cost: about 20 µs a row."""
    records = [_DECODER.decode(line) for line in lines]
    columns: dict[str, Any] = {}
    for name, column in SESSION_COLUMNS.items():
        values = [getattr(record, name) for record in records]
        if column == TIME:
            values = [moment_of(value) for value in values]
            columns[PARTITION] = pa.array(map(day_of, values), pa.string())
        columns[name] = _array(values, column)
    columns["line"] = pa.array([line.decode("utf-8") for line in lines], pa.string())
    return pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _array(values: list[Any], column: str) -> pa.Array:
    if column == "JSON":
        texts = [None if value == _NOTHING else bytes(value).decode("utf-8") for value in values]
        return pa.array(texts, pa.string())
    if column.startswith("STRUCT"):
        members = [None if value is None else msgspec.structs.asdict(value) for value in values]
        return pa.array(members, _ARROW_TYPES[column])
    return pa.array(values, _ARROW_TYPES[column])
