"""The columns that lists, filters, statistics and searches need, taken from the lines of rows.

They are derived: a row is shown from its own line. `source`, `offset` and `length` say where that
is. A row of the compacted table has its number in the file for an offset, and its length negated.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

import msgspec
import pyarrow as pa

from lakehouse.core.clock import ordering_moment
from lakehouse.core.metadata import CLIENT_MEMBER, DOOR_MEMBER, KEY_MEMBER, RETRY_MEMBER
from lakehouse.sessionlog.index.filters import folded

START_CHARS: Final = 300
"""Of a prompt or an output, for a list."""

_BETWEEN: Final = "\0"  # the texts that are searched; no needle holds it
_INDEX_PART: Final = re.compile(r"/[0-9]+(?=/|$)")

_WORD: Final = pa.string()
_FINDING: Final = pa.struct(
    [("code", _WORD), ("path", _WORD), ("place", _WORD), ("got", _WORD), ("nearest", _WORD)]
)
SCHEMA: Final = pa.schema(
    [
        ("source", _WORD),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("row_key", pa.int64()),
        ("session_id", _WORD),
        ("row_id", _WORD),
        ("trace_id", _WORD),
        ("timestamp", pa.timestamp("us", "UTC")),
        ("daemon", _WORD),
        ("kind", _WORD),
        ("kind_digest", _WORD),
        ("config_digest", _WORD),
        ("model", _WORD),
        ("model_alias", _WORD),
        ("provider", _WORD),
        ("verdict", _WORD),
        ("iterations", pa.int64()),
        ("accepted_iteration", pa.int64()),
        ("grounded", pa.bool_()),
        ("prompt_tokens", pa.int64()),
        ("completion_tokens", pa.int64()),
        ("duration_ms", pa.int64()),
        ("error_code", _WORD),
        ("conversation_id", _WORD),
        ("door", _WORD),
        ("client", _WORD),
        ("api_key", _WORD),
        ("retry", pa.bool_()),
        ("offered", _WORD),
        ("metadata", _WORD),
        ("codes", pa.list_(_WORD)),
        ("findings", pa.list_(_FINDING)),
        ("prompt_start", _WORD),
        ("output_start", _WORD),
        ("searched", _WORD),
    ]
)
"""One row for each row of the log. `row_key` is a hash of `row_id`, to find rows written twice."""


class _Finding(msgspec.Struct):
    code: str
    path: str
    got: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    nearest: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Narrowed(msgspec.Struct):
    mode: str


class _Attempt(msgspec.Struct):
    output: str
    findings: list[_Finding]
    narrowed: list[_Narrowed] = []


class _Code(msgspec.Struct):
    code: str


class _Message(msgspec.Struct):
    content: str


class _Usage(msgspec.Struct):
    prompt_tokens: int | None
    completion_tokens: int | None


class _Row(msgspec.Struct):
    session_id: str
    row_id: str
    trace_id: str
    timestamp: str
    daemon: str
    kind: str | None
    kind_digest: str
    config_digest: str
    model: str
    model_alias: str
    provider: str
    prompt: str
    messages: list[_Message] | None
    verdict: str
    iterations: int
    accepted_iteration: int | None
    grounded: bool | None
    attempts: list[_Attempt]
    error: _Code | None
    usage: _Usage
    duration_ms: int
    conversation_id: str | None
    metadata: dict[str, str]


_DECODER: Final = msgspec.json.Decoder(_Row)


class LinePlace(msgspec.Struct, frozen=True):
    """Where the line of a row lies. Negative `length`: in the compacted table, as row `offset`."""

    source: str
    offset: int
    length: int


def records(rows: Iterable[tuple[LinePlace, bytes]], *, at_once: int) -> Iterator[pa.RecordBatch]:
    """Turn the lines of rows into batches. The lines are rows already, by `classify`.

    Cost: about 10 µs a row.
    """
    found: list[tuple[Any, ...]] = []
    for place, line in rows:
        found.append(_values(place, _DECODER.decode(line)))
        if len(found) == at_once:
            yield _batch(found)
            found = []
    if found:
        yield _batch(found)


def row_key(row_id: str) -> int:
    """Hash a row id to a signed 64-bit number, the same in every process."""
    digest = hashlib.blake2b(row_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _batch(found: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = zip(*found, strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _values(place: LinePlace, row: _Row) -> tuple[Any, ...]:
    metadata = row.metadata
    findings = [
        {
            "code": one.code,
            "path": one.path,
            "place": _INDEX_PART.sub("/*", one.path),
            "got": _text(one.got),
            "nearest": _text(one.nearest),
        }
        for attempt in row.attempts
        for one in attempt.findings
    ]
    codes = {one["code"] for one in findings}
    last = row.attempts[-1].output if row.attempts else None
    others = [one.content for one in row.messages or () if one.content != row.prompt]
    texts = [row.prompt, *others, *(attempt.output for attempt in row.attempts)]
    modes = {one.mode for one in row.attempts[0].narrowed} if row.attempts else set()
    return (
        place.source,
        place.offset,
        place.length,
        row_key(row.row_id),
        row.session_id,
        row.row_id,
        row.trace_id,
        datetime.fromisoformat(ordering_moment(row.timestamp)),
        row.daemon,
        row.kind,
        row.kind_digest,
        row.config_digest,
        row.model,
        row.model_alias,
        row.provider,
        row.verdict,
        row.iterations,
        row.accepted_iteration,
        row.grounded,
        row.usage.prompt_tokens,
        row.usage.completion_tokens,
        row.duration_ms,
        row.error.code if row.error is not None else None,
        row.conversation_id,
        metadata.get(DOOR_MEMBER),
        metadata.get(CLIENT_MEMBER),
        metadata.get(KEY_MEMBER),
        RETRY_MEMBER in metadata,
        "+".join(sorted(modes)) or "none",
        msgspec.json.encode(metadata).decode() if metadata else None,
        sorted(codes),
        findings,
        row.prompt[:START_CHARS],
        last[:START_CHARS] if last is not None else None,
        folded(_BETWEEN.join(texts)),
    )


def _text(raw: msgspec.Raw | msgspec.UnsetType) -> str | None:
    return bytes(raw).decode() if isinstance(raw, msgspec.Raw) else None
