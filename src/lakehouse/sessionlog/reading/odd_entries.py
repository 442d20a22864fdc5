"""Finds entries that do not belong in a log directory. Checks report them, readers skip them.

It never changes them: they may be somebody's mistake.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.files.disk import reason
from lakehouse.files.regular import open_regular, sort_of
from lakehouse.sessionlog.layout import (
    ACTIVE,
    FEEDBACK,
    INBOX,
    KEY_SHARDS,
    KEYS,
    QUARANTINE,
    REPLAY_RUNS,
    SEALED,
    WRITERS,
    is_segment_name,
)

_PLAIN: Final = (INBOX, REPLAY_RUNS, FEEDBACK)
_DIRECTORIES: Final = (ACTIVE, SEALED, WRITERS, QUARANTINE)
_ROWS: Final = ".jsonl"


class OddEntry(msgspec.Struct, frozen=True):
    """One entry: its path relative to the log, as text that can be shown, and what is wrong."""

    file: str
    reason: str


def odd_entries(root: Path) -> list[OddEntry]:
    """List them, by directory and name.

    Odd is what is no regular file, what this user may not read, and a `.jsonl` in `active` or
    `sealed` whose name is no segment's: its rows are not read. Cost: one `open` for each file.
    """
    found = [entry for name in _PLAIN if (entry := _look(root / name, name)) is not None]
    for directory in _DIRECTORIES:
        found += _no_directory(root, directory) or _in_directory(root / directory, directory)
    odd_keys = _no_directory(root, KEYS)
    found += odd_keys
    for directory in (f"{KEYS}/{shard}" for shard in KEY_SHARDS if not odd_keys):
        found += _no_directory(root, directory) or _in_directory(root / directory, directory)
    return found


def _no_directory(root: Path, directory: str) -> list[OddEntry]:
    path = root / directory
    sort = sort_of(path)
    if sort in {None, "a directory"} and not path.is_file():
        return []
    return [OddEntry(directory, f"it is {sort or 'a file'}, not a directory")]


def _in_directory(path: Path, directory: str) -> Iterator[OddEntry]:
    try:
        names = sorted(os.listdir(path))  # noqa: PTH208 - names only
    except FileNotFoundError:
        return
    except OSError as error:
        yield OddEntry(directory, f"it cannot be listed: {reason(error)}")
        return
    for name in names:
        label = f"{directory}/{shown(name)}"
        entry = _look(path / name, label)
        if entry is not None:
            yield entry
        elif directory in {ACTIVE, SEALED} and name.endswith(_ROWS) and not is_segment_name(name):
            yield OddEntry(label, "its name is not a segment's name, so it is not read")


def _look(path: Path, label: str) -> OddEntry | None:
    try:
        os.close(open_regular(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        return OddEntry(label, error.strerror or str(error))
    return None


def shown(name: str) -> str:
    """Return a file's name as text: bytes that are not UTF-8 in hex."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
