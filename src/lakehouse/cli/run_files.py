"""The result files of `lakehouse run`: appended lines, from which finished rows are recognised.

Every result is one JSON line with the row's number and the prompt's digest, so a later run knows
what is done and notices a changed input file. A line torn by a crash is removed and its row run
again. A line of the rejects file is removed only when its row was run again.
"""

import contextlib
import os
from collections.abc import Collection
from pathlib import Path
from typing import IO, Final

import msgspec

from lakehouse.cli.run_inputs import Input, RefusedRow
from lakehouse.core.errors import LakehouseError, SetupError
from lakehouse.core.finding import Finding
from lakehouse.core.session import SessionReply, Verdict
from lakehouse.files.disk import replacing
from lakehouse.files.locks import try_lock


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the output or the rejects file; `verdict` and `findings` in rejects only.

    `kept` are the caller's columns. A row that could not be run has `refused`, the reason with its
    place, and neither a session nor an artifact.
    """

    index: int
    input_sha256: str | None = None
    session_id: str = ""
    row_id: str = ""
    verdict: Verdict | None = None
    artifact: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    findings: tuple[Finding, ...] = ()
    refused: str | None = None
    kept: dict[str, msgspec.Raw] = {}


_BEGINNING: Final = b'{"index":'  # of every line; a torn one may hold less


class _Key(msgspec.Struct, frozen=True):
    index: int
    input_sha256: str | None = None
    refused: str | None = None


class ResultFile:
    """A file of result lines, open for appending by this process alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = self._open()

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

    def done(self) -> dict[int, str | None]:
        """Return index → digest of the existing results, and remove a torn last line.

        A row that could not be run has no digest.

        Raises:
            SetupError: A line that `run` did not write: the file is something else.
        """
        found: dict[int, str | None] = {}
        self._file.seek(0)
        end = 0
        for number, line in enumerate(self._file, start=1):
            if not line.endswith(b"\n"):
                self._check_torn(line, number)
                break
            end += len(line)
            key = self._key(line, number)
            found[key.index] = key.input_sha256
        self._file.truncate(end)
        return found

    def _check_torn(self, line: bytes, number: int) -> None:
        """See that a line without an end is one that we began: nothing else may be cut off."""
        if not (line.startswith(_BEGINNING) or _BEGINNING.startswith(line)):
            raise self._foreign(number)
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            msgspec.json.decode(line)
            self._key(line, number)

    def keep_last(self, without: Collection[int]) -> None:
        """Drop the lines of rows that were run again: all but a row's last, and all of `without`.

        The file is replaced atomically: a crash leaves the old one or the new one.
        """
        self._file.seek(0)
        lines = list(self._file)
        last = {self._key(line, number).index: line for number, line in enumerate(lines, start=1)}
        kept = [line for index, line in last.items() if index not in without]
        if len(kept) == len(lines):
            return
        try:
            with replacing(self.path, mode=0o666) as file:
                file.writelines(kept)
        except OSError as error:
            raise SetupError(f"{self.path}: cannot be written: {error.strerror}.") from error
        old, self._file = self._file, self._open()
        old.close()

    def append(self, result: Result) -> None:
        """Write one line, whole.

        Raises:
            LakehouseError: The disk did not take all of it; the next run removes the partial line.
        """
        line = msgspec.json.encode(result) + b"\n"
        try:
            written = self._file.write(line)
        except OSError as error:
            raise self._not_written(error.strerror) from error
        if written != len(line):
            raise self._not_written("the disk is full")

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

    def _not_written(self, cause: str | None) -> LakehouseError:
        return LakehouseError(
            f"{self.path}: cannot be written: {cause}.",
            hint="Free some space, then run the same command: it continues where it stopped. The "
            "session of the last row is in the log.",
        )

    def _key(self, line: bytes, number: int) -> _Key:
        try:
            key = msgspec.json.decode(line, type=_Key)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._foreign(number) from error
        if key.input_sha256 is None and key.refused is None:
            raise self._foreign(number)
        return key

    def _foreign(self, number: int) -> SetupError:
        return SetupError(
            f"{self.path}, line {number}: not a result of `lakehouse run`.",
            hint="Choose another --output or --rejects, or move this file away.",
        )


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
        kept=source.kept,
    )


def refusal_of(row: RefusedRow) -> Result:
    """Make the line of a row that cannot be run."""
    return Result(index=row.index, refused=row.reason, kept=row.kept)
