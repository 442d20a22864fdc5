"""Reads lines of the files beside the segments: replay results and feedback.

Every reader of these files accepts a line with a valid crc that decodes completely. A crc is
required, because no other program writes here. The rest is damage.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from lakehouse.core.row_codec import RowError, crc_holds, decode_feedback, decode_replay_run
from lakehouse.files.regular import NotRegular, open_regular
from lakehouse.sessionlog.layout import FEEDBACK, REPLAY_RUNS
from lakehouse.sessionlog.lines import Line, LogLine, split_lines

_DECODERS: Final[dict[str, Callable[[bytes], object]]] = {
    REPLAY_RUNS: decode_replay_run,
    FEEDBACK: decode_feedback,
}


def classify_plain(descriptor: int, name: str) -> Iterator[LogLine]:
    """Classify each line of one of these files. Cost: 10 µs for a line that we wrote."""
    for line in split_lines(descriptor):
        if line.data.strip():
            reason = _fault(line, name)
            yield LogLine(name, line, "bad" if reason else "row", reason, checked=not reason)


def bad_plain_lines(root: Path) -> Iterator[LogLine]:
    """Return the damaged lines of both files; `odd_entries` reports what is not a file."""
    for name in _DECODERS:
        try:
            descriptor = open_regular(root / name)
        except (FileNotFoundError, NotRegular, PermissionError):
            continue
        try:
            yield from (one for one in classify_plain(descriptor, name) if one.kind == "bad")
        finally:
            os.close(descriptor)


def _fault(line: Line, name: str) -> str | None:
    holds = crc_holds(line.data)
    if holds is not True:
        return "no crc" if holds is None else "the crc does not match"
    try:
        _DECODERS[name](line.data)
    except RowError as error:
        return str(error)
    return None
