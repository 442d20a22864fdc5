"""Cuts a row that is too long for one line, as contract section 4 says, and records the cuts in it.

It never cuts the final artifact, and cuts strictly in the contract's order.
"""

import hashlib
from typing import Final, TypeVar

import msgspec

from lakehouse.core.finding import Finding, Truncated
from lakehouse.core.json_text import NULL
from lakehouse.core.limits import CRC_BYTES, ROW_BYTES_MAX, TRUNCATED_TEXT_BYTES_MAX
from lakehouse.core.row import Row, Started
from lakehouse.core.session import Attempt

# The contract's limit first; control characters grow sixfold when escaped, and a row full of
# them gets shorter prefixes, which is better than no row.
_ROUNDS: Final = (
    (TRUNCATED_TEXT_BYTES_MAX, False),
    (TRUNCATED_TEXT_BYTES_MAX, True),
    (8_192, True),
    (1_024, True),
)

_Struct = TypeVar("_Struct", bound=msgspec.Struct)
_Record = TypeVar("_Record", bound=Row | Started)


class RowTooLongError(ValueError):
    """The parts that must not be cut exceed the row limit."""


def fit(record: _Record) -> _Record:
    """Cut a record until its line takes at most 8 MiB; one that fits is returned unchanged.

    Cuts one value at a time, in this order, only as far as needed: `artifact` of all attempts
    but the last → null; then, each to the longest whole-character prefix of at most 65,536 UTF-8
    bytes, every `thinking`, every `output`, every `told`, every finding's `message` (oldest attempt
    first, findings in order), `messages[].content` (oldest first), `system`, `prompt`. A value that
    is cut has `<name>_truncated` beside it. If that is not enough, the lists `findings` and
    `repairs` are cut to their first entries, and then the same again with shorter prefixes; only
    hostile sessions get that far.

    Raises:
        RowTooLongError: The final artifact, schema and metadata alone are too long.

    Cost: one encoding of the record and one of each value cut.
    """
    excess = len(msgspec.json.encode(record)) - 1 + CRC_BYTES - ROW_BYTES_MAX
    if excess <= 0:
        return record
    for limit, lists in _ROUNDS:
        cutter = _Cutter(excess, limit, lists=lists)
        cut = cutter.record(record)
        if cutter.excess <= 0:
            return cut
    raise RowTooLongError(f"{cutter.excess} bytes over the limit of {ROW_BYTES_MAX} after all cuts")


class _Cutter:
    """Cuts values while the row is too long; every method returns its argument, cut or not."""

    def __init__(self, excess: int, limit: int, *, lists: bool) -> None:
        self.excess = excess
        self._limit = limit
        self._lists = lists

    def record(self, record: _Record) -> _Record:
        if not isinstance(record, Row):
            return self._inputs(record)
        attempts = list(record.attempts)
        attempts[:-1] = [self._artifact(attempt) for attempt in attempts[:-1]]
        for name in ("thinking", "output", "told"):
            attempts = [self._text(attempt, name) for attempt in attempts]
        attempts = [self._findings(attempt) for attempt in attempts]
        record = self._inputs(msgspec.structs.replace(record, attempts=tuple(attempts)))
        if self._lists:
            for name in ("findings", "repairs"):
                attempts = [self._list(attempt, name) for attempt in attempts]
            record = msgspec.structs.replace(record, attempts=tuple(attempts))
        return record

    def _inputs(self, record: _Record) -> _Record:
        if record.messages is not None:
            messages = tuple(self._text(message, "content") for message in record.messages)
            record = msgspec.structs.replace(record, messages=messages)
        return self._text(self._text(record, "system"), "prompt")

    def _artifact(self, attempt: Attempt) -> Attempt:
        whole = bytes(attempt.artifact)
        if self.excess <= 0 or whole == b"null":
            return attempt
        return self._replace(attempt, "artifact", whole, NULL)

    def _text(self, owner: _Struct, name: str) -> _Struct:
        text: str | None = getattr(owner, name)
        # Every UTF-8 byte of a text takes at least one byte of the line, so a text of few
        # characters need not be encoded to be passed over.
        if self.excess <= 0 or text is None or len(text) * 4 <= self._limit:
            return owner
        whole = text.encode("utf-8")
        if len(whole) <= self._limit:
            return owner
        return self._replace(owner, name, whole, whole[: self._limit].decode("utf-8", "ignore"))

    def _findings(self, attempt: Attempt) -> Attempt:
        if self.excess <= 0:
            return attempt
        findings: tuple[Finding, ...] = tuple(
            self._text(finding, "message") for finding in attempt.findings
        )
        return msgspec.structs.replace(attempt, findings=findings)

    def _list(self, attempt: Attempt, name: str) -> Attempt:
        entries: tuple[msgspec.Struct, ...] = getattr(attempt, name)
        whole = msgspec.json.encode(entries)
        if self.excess <= 0 or len(whole) <= self._limit:
            return attempt
        kept, size = 0, 2
        for entry in entries:
            size += len(msgspec.json.encode(entry)) + 1
            if size > self._limit:
                break
            kept += 1
        return self._replace(attempt, name, whole, entries[:kept])

    def _replace(self, owner: _Struct, name: str, whole: bytes, value: object) -> _Struct:
        marker_name = f"{name}_truncated"
        changes: dict[str, object] = {name: value}
        self.excess -= _size(getattr(owner, name)) - _size(value)
        # A value that was cut before keeps its marker: the first marker describes the whole text.
        if getattr(owner, marker_name) is msgspec.UNSET:
            marker = Truncated(True, len(whole), hashlib.sha256(whole).hexdigest())
            changes[marker_name] = marker
            self.excess += _size({marker_name: marker}) - 1  # a comma more, two braces less
        return msgspec.structs.replace(owner, **changes)


def _size(value: object) -> int:
    return len(msgspec.json.encode(value))
