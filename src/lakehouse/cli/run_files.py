"""The result files of `lakehouse run`: appended lines, from which finished rows are recognised.

Every result is one JSON line with the row's number and the prompt's digest, so a later run knows
what is done and notices a changed input file. A line of the rejects file is removed only when its
row was run again.
"""

from collections.abc import Collection

import msgspec

from lakehouse.cli.run_inputs import Input, RefusedRow
from lakehouse.core.finding import Finding
from lakehouse.core.session import SessionReply, Verdict
from lakehouse.files.result_lines import ResultLines


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


class _Key(msgspec.Struct, frozen=True):
    index: int
    input_sha256: str | None = None
    refused: str | None = None


class ResultFile(ResultLines):
    """A file of result lines, open for appending by this process alone."""

    writer = "`lakehouse run`"
    moved = "Choose another --output or --rejects, or move this file away."
    continued = (
        "Free some space, then run the same command: it continues where it stopped. The "
        "session of the last row is in the log."
    )

    def done(self) -> dict[int, str | None]:
        """Return index → digest of the existing results, and remove a torn last line.

        A row that could not be run has no digest.

        Raises:
            SetupError: A line that `run` did not write: the file is something else.
        """
        keys = (self.check(line, number) for number, _, line in self.lines())
        return {key.index: key.input_sha256 for key in keys}

    def keep_last(self, without: Collection[int]) -> None:
        """Drop the lines of rows that were run again: all but a row's last, and all of `without`.

        The file is replaced atomically: a crash leaves the old one or the new one.
        """
        lines = [line for _, _, line in self.lines()]
        last = {self.check(line, number).index: line for number, line in enumerate(lines, start=1)}
        kept = [line for index, line in last.items() if index not in without]
        if len(kept) != len(lines):
            self.replace(kept)

    def append(self, result: Result) -> None:
        """Write one line; raises as `append_line`."""
        self.append_line(msgspec.json.encode(result) + b"\n")

    def check(self, line: bytes, number: int) -> _Key:
        try:
            key = msgspec.json.decode(line, type=_Key)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self.foreign(number) from error
        if key.input_sha256 is None and key.refused is None:
            raise self.foreign(number)
        return key


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
