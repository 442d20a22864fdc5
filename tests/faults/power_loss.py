"""What a disk may hold after the power went: synced data, and any part of the rest.

The model is that of POSIX, harsher than ext4: of what was not synced, each write may have reached
the disk or not, in any order, whole or torn at a block; each name may have been entered or not,
until its directory is synced. A rename happens as a whole or not at all.
"""

import random
from pathlib import Path
from typing import NamedTuple

import msgspec

BLOCKS = (512, 4096)


class Change(msgspec.Struct, frozen=True):
    """One line of a trace.

    `write` and `truncate` change a file, `enter`, `rename` and `leave` a directory; `sync` makes
    a node durable, `lost` is a sync that failed: its pages are dropped and count as clean.
    """

    what: str
    node: int
    offset: int = 0
    data: bytes = b""
    parent: int = 0
    name: str = ""
    to: int = 0
    new_name: str = ""
    directory: bool = False


class _Entry(NamedTuple):
    node: int
    directory: bool


class Disk:
    """The durable state of a traced disk, and the changes that nothing has made durable yet."""

    def __init__(self) -> None:
        self.directories: dict[int, dict[str, _Entry]] = {1: {}}
        self.files: dict[int, bytearray] = {}
        self.unsynced_names: list[Change] = []
        self.unsynced_data: dict[int, list[Change]] = {}

    def apply(self, change: Change) -> None:
        """Take the next line of the trace."""
        if change.what in {"write", "truncate"}:
            self.unsynced_data.setdefault(change.node, []).append(change)
        elif change.what == "sync":
            self._sync(change.node)
        elif change.what == "lost":
            self.unsynced_data.pop(change.node, None)
        else:
            self.unsynced_names.append(change)

    def _sync(self, node: int) -> None:
        for change in self.unsynced_data.pop(node, []):
            _write(self.files.setdefault(node, bytearray()), change)
        still: list[Change] = []
        for change in self.unsynced_names:
            if node in {change.parent, change.to}:
                _enter(self.directories, change)
            else:
                still.append(change)
        self.unsynced_names = still

    def cut(self, chance: random.Random) -> dict[str, bytes | None]:
        """Cut the power; gives files by path, and None for directories."""
        directories = {node: dict(names) for node, names in self.directories.items()}
        for change in _some(self.unsynced_names, chance):
            _enter(directories, change)
        files = {node: bytearray(data) for node, data in self.files.items()}
        for node, changes in self.unsynced_data.items():
            for change in _some(changes, chance):
                _write(files.setdefault(node, bytearray()), _torn(change, chance))
        found: dict[str, bytes | None] = {}
        _walk(directories, files, 1, "", found)
        return found


def _some(changes: list[Change], chance: random.Random) -> list[Change]:
    """Choose what reached the disk: nothing, everything, the first ones, or any."""
    match chance.randrange(4):
        case 0:
            return []
        case 1:
            return changes
        case 2:
            return changes[: chance.randint(0, len(changes))]
        case _:
            return [change for change in changes if chance.random() < 0.5]


def _torn(change: Change, chance: random.Random) -> Change:
    """Leave a write whole, or cut it at a block of the disk."""
    if change.what != "write" or chance.random() < 0.5:
        return change
    block = chance.choice(BLOCKS)
    first = block - change.offset % block
    cuts = range(first, len(change.data), block)
    if not cuts:
        return change
    return msgspec.structs.replace(change, data=change.data[: chance.choice(cuts)])


def _write(data: bytearray, change: Change) -> None:
    if change.what == "truncate":
        del data[change.offset :]
    data.extend(bytes(max(0, change.offset - len(data))))
    data[change.offset : change.offset + len(change.data)] = change.data


def _enter(directories: dict[int, dict[str, _Entry]], change: Change) -> None:
    names = directories.setdefault(change.parent, {})
    entry = _Entry(change.node, change.directory)
    if change.what == "enter":
        names[change.name] = entry
    elif change.what == "leave":
        names.pop(change.name, None)
    else:
        names.pop(change.name, None)
        directories.setdefault(change.to, {})[change.new_name] = entry


def _walk(
    directories: dict[int, dict[str, _Entry]],
    files: dict[int, bytearray],
    node: int,
    path: str,
    found: dict[str, bytes | None],
) -> None:
    for name, entry in directories.get(node, {}).items():
        inner = f"{path}/{name}"
        if entry.directory:
            found[inner] = None
            _walk(directories, files, entry.node, inner, found)
        else:
            found[inner] = bytes(files.get(entry.node, b""))


def materialize(found: dict[str, bytes | None], root: Path) -> None:
    """Write a state into a directory of a real file system."""
    root.mkdir(mode=0o700, parents=True)
    for path, data in found.items():
        target = root / path.lstrip("/")
        if data is None:
            target.mkdir(mode=0o700)
        else:
            target.write_bytes(data)
            target.chmod(0o600)


def read_trace(path: Path) -> list[Change]:
    """Read what `power_disk.py` wrote."""
    return msgspec.msgpack.decode(path.read_bytes(), type=list[Change])
