"""A file system in memory that writes down everything that changes it, in order.

`power_loss.py` makes of that record what a disk may hold when the power goes at any point of it.

Usage: python power_disk.py MOUNT TRACE [--fail-sync N]; `fusermount3 -u MOUNT` ends it, and the
trace is written then. One request at a time, so that the order is that of the program.
"""

import argparse
import errno
import os
import stat
import time
from pathlib import Path
from typing import Any

import mfusepy
import msgspec

SPACE_BLOCKS = 1 << 20  # of 4 KiB: the log must not find the disk full


class Node:
    """A file or a directory; `names` of a directory, `data` of a file."""

    def __init__(self, number: int, mode: int) -> None:
        self.number = number
        self.mode = mode
        self.data = bytearray()
        self.names: dict[str, Node] = {}
        self.links = 1
        self.changed_ns = time.time_ns()


class PowerDisk(mfusepy.Operations):  # type: ignore[misc]  # it has no types
    """Answers the kernel, and keeps `record`: what `power_loss.Change` describes."""

    use_ns = True

    def __init__(self, trace: Path, fail_sync: int) -> None:
        self.trace = trace
        self.record: list[dict[str, Any]] = []
        self.nodes = {1: Node(1, stat.S_IFDIR | 0o700)}
        self.syncs = 0
        self.fail_sync = fail_sync

    def note(self, what: str, node: Node, **details: Any) -> None:
        self.record.append({"what": what, "node": node.number, **details})

    def find(self, path: str, fh: int | None = None) -> Node:
        if fh is not None:
            return self.nodes[fh]
        node = self.nodes[1]
        for name in Path(path).parts[1:]:
            if name not in node.names:
                raise mfusepy.FuseOSError(errno.ENOENT)
            node = node.names[name]
        return node

    def place(self, path: str) -> tuple[Node, str]:
        return self.find(str(Path(path).parent)), Path(path).name

    def add(self, path: str, mode: int) -> Node:
        node = Node(len(self.nodes) + 1, mode)
        self.nodes[node.number] = node
        self.put(path, node)
        return node

    def put(self, path: str, node: Node) -> None:
        parent, name = self.place(path)
        parent.names[name] = node
        directory = stat.S_ISDIR(node.mode)
        self.note("enter", node, parent=parent.number, name=name, directory=directory)

    # --- What the kernel asks for ---

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        node = self.find(path, fh)
        times = dict.fromkeys(("st_atime", "st_mtime", "st_ctime"), node.changed_ns)
        return {
            "st_mode": node.mode,
            "st_ino": node.number,
            "st_nlink": node.links,
            "st_size": len(node.data),
            "st_uid": os.getuid(),
            "st_gid": os.getgid(),
            **times,
        }

    def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
        # With their numbers: the kernel passes over an entry that has none.
        nodes = {".": self.find(path), "..": self.nodes[1], **self.find(path).names}
        return [
            (name, {"st_mode": node.mode, "st_ino": node.number}, 0) for name, node in nodes.items()
        ]

    def statfs(self, path: str) -> dict[str, int]:
        sizes = {"f_bsize": 4096, "f_frsize": 4096, "f_namemax": 255}
        return sizes | dict.fromkeys(("f_blocks", "f_bfree", "f_bavail"), SPACE_BLOCKS)

    def mkdir(self, path: str, mode: int) -> int:
        self.add(path, stat.S_IFDIR | mode)
        return 0

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        return self.add(path, stat.S_IFREG | stat.S_IMODE(mode)).number

    def open(self, path: str, flags: int) -> int:
        return self.find(path).number

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(self.find(path, fh).data[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        node = self.find(path, fh)
        node.data.extend(bytes(max(0, offset - len(node.data))))
        node.data[offset : offset + len(data)] = data
        node.changed_ns = time.time_ns()
        self.note("write", node, offset=offset, data=data)
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        node = self.find(path, fh)
        del node.data[length:]
        node.data.extend(bytes(length - len(node.data)))
        self.note("truncate", node, offset=length)
        return 0

    def fallocate(self, path: str, mode: int, offset: int, size: int, fh: int) -> int:
        node = self.find(path, fh)
        return self.truncate(path, max(len(node.data), offset + size), fh)

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self.syncs += 1
        if self.syncs == self.fail_sync:
            self.note("lost", self.find(path, fh))
            raise mfusepy.FuseOSError(errno.EIO)
        self.note("sync", self.find(path, fh))
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        self.note("sync", self.find(path))
        return 0

    def rename(self, old: str, new: str) -> int:
        parent, name = self.place(old)
        to, new_name = self.place(new)
        node = parent.names.pop(name)
        to.names[new_name] = node
        source = {"parent": parent.number, "name": name}
        self.note("rename", node, **source, to=to.number, new_name=new_name)
        return 0

    def link(self, target: str, source: str) -> int:
        node = self.find(source)
        node.links += 1
        self.put(target, node)
        return 0

    def unlink(self, path: str) -> int:
        parent, name = self.place(path)
        node = parent.names.pop(name)
        node.links -= 1
        self.note("leave", node, parent=parent.number, name=name)
        return 0

    def rmdir(self, path: str) -> int:
        if self.find(path).names:
            raise mfusepy.FuseOSError(errno.ENOTEMPTY)
        return self.unlink(path)

    def chmod(self, path: str, mode: int) -> int:
        node = self.find(path)
        node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)
        return 0

    def utimens(self, path: str, times: Any = None) -> int:
        return 0

    def destroy(self, path: str) -> None:
        self.trace.write_bytes(msgspec.msgpack.encode(self.record))


def main() -> None:
    """Serve until it is unmounted."""
    parser = argparse.ArgumentParser()
    parser.add_argument("mount", type=Path)
    parser.add_argument("trace", type=Path)
    parser.add_argument("--fail-sync", type=int, default=0)
    arguments = parser.parse_args()
    disk = PowerDisk(arguments.trace, arguments.fail_sync)
    options = {"foreground": True, "nothreads": True, "use_ino": True, "hard_remove": True}
    mfusepy.FUSE(disk, str(arguments.mount), **options)


if __name__ == "__main__":
    main()
