"""The files of `lakehouse run`: inputs read one by one, results appended, what is done found again.

Every result is one JSON line that carries the input's number and digest, so a later run knows what
is done and notices when the input file has changed. A line torn by a crash is cut off and done
again; nothing else is ever taken back.
"""

import csv
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.core.finding import Finding
from lakehouse.core.session import SessionReply, Verdict

FORMATS: Final = (".csv", ".jsonl", ".ndjson", ".parquet")


class Input(msgspec.Struct, frozen=True):
    """One row of the input file: its number from 0, and the text of the chosen column."""

    index: int
    text: str

    @property
    def digest(self) -> str:
        """SHA-256 of the text, in hex: an input is done only while it is the same text."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the output or the rejects file; `verdict` and `findings` in rejects only."""

    index: int
    input_sha256: str
    session_id: str
    row_id: str
    verdict: Verdict | None = None
    artifact: msgspec.Raw
    findings: tuple[Finding, ...] = ()


class _Key(msgspec.Struct, frozen=True):
    index: int
    input_sha256: str


def read_inputs(path: Path, column: str) -> Iterator[Input]:
    """Read the inputs in file order, one at a time; the file may be larger than memory.

    Raises:
        SetupError: Not one of `FORMATS`, not readable, or without the column; naming the place.
    """
    if path.suffix.lower() not in FORMATS:
        raise SetupError(f"{path}: the name must end in one of {', '.join(FORMATS)}.")
    try:
        for index, row in enumerate(_rows(path)):
            if column not in row:
                known = ", ".join(map(str, row)) or "none"
                raise SetupError(f"{path}: row {index} has no column {column!r}; there is {known}.")
            value = row[column]
            yield Input(index, value if isinstance(value, str) else json.dumps(value))
    except (OSError, ValueError, csv.Error) as error:
        raise SetupError(f"{path}: cannot be read: {error}.") from error


class ResultFile:
    """A file of result lines, open for appending by this process alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = path.open("a+b", buffering=0)
        except OSError as error:
            raise SetupError(f"{path}: cannot be written: {error.strerror}.") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise SetupError(f"{path}: another run is writing to it.") from error

    def done(self) -> dict[int, str]:
        """Give index → digest of the results that are there, and cut a torn last line off.

        Raises:
            SetupError: A line that is none of ours: the file holds something else.
        """
        found: dict[int, str] = {}
        self._file.seek(0)
        end = 0
        for number, line in enumerate(self._file, start=1):
            if not line.endswith(b"\n"):
                break
            end += len(line)
            try:
                key = msgspec.json.decode(line, type=_Key)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise SetupError(
                    f"{self.path}, line {number}: not a result of `lakehouse run`.",
                    hint="Choose another --output, or move this file away.",
                ) from error
            found[key.index] = key.input_sha256
        self._file.truncate(end)
        return found

    def append(self, result: Result) -> None:
        """Write one line, whole.

        Raises:
            SetupError: The disk took only a part of it; the part is cut off by the next run.
        """
        line = msgspec.json.encode(result) + b"\n"
        try:
            written = self._file.write(line)
        except OSError as error:
            raise SetupError(f"{self.path}: cannot be written: {error.strerror}.") from error
        if written != len(line):
            raise SetupError(f"{self.path}: the disk is full.")

    def close(self) -> None:
        """Sync and close; the lock goes with it."""
        os.fsync(self._file.fileno())
        self._file.close()


def result_of(source: Input, reply: SessionReply) -> Result:
    """Make the line of a judged session."""
    accepted = reply.verdict == "accepted"
    return Result(
        index=source.index,
        input_sha256=source.digest,
        session_id=reply.session_id,
        row_id=reply.row_id,
        verdict=None if accepted else reply.verdict,
        artifact=reply.artifact,
        findings=reply.findings,
    )


def _rows(path: Path) -> Iterator[dict[str, object]]:
    suffix = path.suffix.lower()
    if suffix == ".csv":
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield from csv.DictReader(file, strict=True)
    elif suffix == ".parquet":
        import pyarrow.parquet as pq  # noqa: PLC0415  only Parquet needs it, and it takes 0.2 s

        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(1_000):
                yield from batch.to_pylist()
    else:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise ValueError(f"line {number} is not an object")
                    yield row
