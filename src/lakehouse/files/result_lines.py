"""Files of results: JSON lines that one process appends, and from which a later one goes on.

A line is written by one call before its result is used, so that a killed process loses none; it is
synced when the file is closed. A line torn by a crash is cut off by the next reader. A file with
lines of somebody else is refused and stays as it is.
"""

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

import msgspec

from lakehouse.core.errors import LakehouseError, SetupError
from lakehouse.files.disk import replacing
from lakehouse.files.locks import try_lock

_BEGINNING: Final = b'{"index":'  # of every line; a torn one may hold less
_READ_BYTES: Final = 1 << 16


class ResultLines(ABC):
    """A file of result lines, open for appending by this process alone."""

    writer: str
    """Who writes such lines, for messages."""
    moved: str
    """What to do about a file that cannot be used, as a sentence."""
    continued: str
    """What to do after the disk was full, and where the last result is."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, and lock it until it is closed.

        Raises:
            SetupError: It cannot be written, or another process writes to it.
        """
        self.path = path
        self._file = self._open()

    @abstractmethod
    def check(self, line: bytes, number: int) -> object:
        """See that a line is one of ours.

        Raises:
            SetupError: `foreign(number)`.
        """

    def lines(self) -> Iterator[tuple[int, int, bytes]]:
        """Read number, offset and bytes of every line, and at the end cut off a torn one.

        Raises:
            SetupError: The torn line was not written by this program.
        """
        end = 0
        with os.fdopen(os.dup(self._file.fileno()), "rb") as file:
            file.seek(0)
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    self._check_torn(line, number)
                    break
                yield number, end, line
                end += len(line)
        self._file.truncate(end)

    def line_at(self, offset: int) -> bytes:
        """Read the line that begins at an offset."""
        parts = []
        while part := os.pread(self._file.fileno(), _READ_BYTES, offset):
            offset += len(part)
            line, end, _ = part.partition(b"\n")
            parts.append(line + end)
            if end:
                break
        return b"".join(parts)

    def append_line(self, line: bytes) -> None:
        """Write one line, whole. It ends in a line feed.

        Raises:
            LakehouseError: The disk did not take all of it; the next reader cuts it off.
        """
        try:
            written = self._file.write(line)
        except OSError as error:
            raise self._not_written(error.strerror) from error
        if written != len(line):
            raise self._not_written("the disk is full")

    def replace(self, lines: Iterable[bytes]) -> None:
        """Put other lines in the file's place; a crash leaves the old ones or the new ones."""
        try:
            with replacing(self.path, mode=0o666) as file:
                file.writelines(lines)
        except OSError as error:
            raise SetupError(f"{self.path}: cannot be written: {error.strerror}.") from error
        old, self._file = self._file, self._open()
        old.close()

    def close(self) -> None:
        """Sync and close; the lock goes with it.

        Raises:
            LakehouseError: What was written may not be on the disk.
        """
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._not_written(error.strerror) from error
        finally:
            self._file.close()

    def foreign(self, number: int) -> SetupError:
        """Return the error of a line that somebody else wrote."""
        return SetupError(
            f"{self.path}, line {number}: not a result of {self.writer}.", hint=self.moved
        )

    def _open(self) -> IO[bytes]:
        if self.path.exists() and not self.path.is_file():
            raise SetupError(
                f"{self.path}: not a regular file.",
                hint="The next run reads the results again: name a file, such as accepted.jsonl.",
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file: IO[bytes] = self.path.open("a+b", buffering=0)
        except OSError as error:
            raise SetupError(f"{self.path}: cannot be written: {error.strerror}.") from error
        try:
            same = try_lock(file.fileno()) and os.path.samestat(
                os.fstat(file.fileno()), self.path.stat()
            )
        except OSError:
            same = False
        if not same:
            file.close()
            raise SetupError(f"{self.path}: another run is writing to it.")
        return file

    def _check_torn(self, line: bytes, number: int) -> None:
        """See that a line without an end is one that we began: nothing else may be cut off."""
        if not (line.startswith(_BEGINNING) or _BEGINNING.startswith(line)):
            raise self.foreign(number)
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            msgspec.json.decode(line)
            self.check(line, number)

    def _not_written(self, cause: str | None) -> LakehouseError:
        return LakehouseError(f"{self.path}: cannot be written: {cause}.", hint=self.continued)
