"""Idempotency keys: which session a key belongs to, and whether a process is at it.

One file for each key, named by the SHA-256 of the key. The process that runs the key's session
holds the file with flock(2), so that its death frees the key. The log is the truth: the file only
says where to look. Lines are appended, each with its crc, and the last whole one counts: to replace
the file would be to lose its lock. A file without a whole line, an expired one, and that of
a forgotten session count as new.

It does not run sessions or wait: a caller that finds a key held asks again. Blocks: call it from
a thread.
"""

import errno
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, Self

import msgspec

from lakehouse.core.errors import LogUnavailable
from lakehouse.core.row_codec import add_crc, crc_holds
from lakehouse.files.disk import Disk, reason
from lakehouse.files.locks import in_place, try_lock
from lakehouse.files.regular import NotRegular, open_regular
from lakehouse.sessionlog.forgotten import forgotten_sessions
from lakehouse.sessionlog.layout import KEY_SHARDS, KEYS, key_path
from lakehouse.sessionlog.reading.outcome import outcome_of
from lakehouse.sessionlog.writing import forks

KEPT_S: Final = 86_400.0  # since the last run of a key's session began
_LOOKED_AT_MAX: Final = 20_000  # files that one call of `expire` looks at: 0.1 s
_TAIL_BYTES: Final = 64 << 10  # the last line is within
_HINT_CHARS_MAX: Final = 4_096
_NAME: Final = re.compile(r"[0-9a-f]{64}")


class KeyReused(Exception):
    """The key was sent with another body before; `session_id` is the session it began then."""

    def __init__(self, session_id: str) -> None:
        super().__init__(session_id)
        self.session_id = session_id


class KeyLine(msgspec.Struct, frozen=True, kw_only=True):
    """`session_log.key.v1`: a line of a key's file, `crc` aside. `row_id` is of the last run."""

    schema: Literal["session_log.key.v1"] = "session_log.key.v1"
    body_sha256: str
    session_id: str
    row_id: str
    hint: str | None = None


class Claim:
    """A key that nobody else can claim until `release`, or the death of this process.

    `name` is what the session's started line and row have as `metadata.idempotency_key`. `row` is
    the final row of the last run, None if the log has none; `running` whether a living writer began
    that run and has not ended it: then the session is not to be run again, but looked at. `fresh`:
    no run was begun for the key before. Not thread-safe.
    """

    def __init__(self, root: Path, name: str, descriptor: int, disk: Disk) -> None:
        self.name = name
        self.row: bytes | None = None
        self.running = False
        self.fresh = False
        self._root = root
        self._disk = disk
        self._descriptor: int | None = descriptor
        self._line: KeyLine | None = None
        forks.watch(self)

    @property
    def session_id(self) -> str:
        return self._stored.session_id

    @property
    def row_id(self) -> str:
        return self._stored.row_id

    @property
    def hint(self) -> str | None:
        """What `told` stored of the last run."""
        return self._stored.hint

    def begin(self, stored: KeyLine | None, new: KeyLine) -> None:
        """Take what is stored, or make the key a new one; the line of a run to come is durable."""
        self._line = stored or new
        if stored is not None:
            self.look()
        else:
            self.fresh = True
            os.ftruncate(self._open, 0)
        if self.row is None and not self.running:
            # Also what is stored is written again: it may never have been synced, or in vain.
            self._write(self._stored)
            self._sync()

    def look(self) -> None:
        """Look again for the row. Costs as `outcome_of`."""
        outcome = outcome_of(self._root, self.row_id)
        self.row, self.running = outcome.row, outcome.running

    def renew(self, row_id: str) -> None:
        """Begin another run of the same session; its row id is durable when this returns.

        Raises:
            LogUnavailable: It is not; the session must not be run.
        """
        with _trouble_told():
            self._write(msgspec.structs.replace(self._stored, row_id=row_id, hint=None))
            self._sync()
        self.row, self.running = None, False

    def told(self, hint: str) -> None:
        """Store what the caller was advised when the last run failed; not synced.

        Raises:
            LogUnavailable: It could not be written.
        """
        with _trouble_told():
            self._write(msgspec.structs.replace(self._stored, hint=hint[:_HINT_CHARS_MAX]))

    def drop(self) -> None:
        """Free the key for another body, since no session was begun for it; then it is released.

        A file that cannot be removed keeps the key with this body.
        """
        if self._descriptor is not None:
            with suppress(OSError):
                key_path(self._root, self.name).unlink()
        self.release()

    def release(self) -> None:
        """Let the next caller have the key; once is enough."""
        forks.forget(self)
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def abandon_in_child(self) -> None:
        """Close the child's copy after a fork, or it would hold the key for a dead parent."""
        self.release()

    @property
    def _stored(self) -> KeyLine:
        assert self._line is not None, "a claim is given out with its line"
        return self._line

    @property
    def _open(self) -> int:
        if self._descriptor is None:
            raise OSError(errno.EBADF, "the claim was released")
        return self._descriptor

    def _write(self, line: KeyLine) -> None:
        data = b"\n%b\n" % add_crc(msgspec.json.encode(line))
        written = self._disk.write(self._open, data)
        if written != len(data):
            raise OSError(errno.ENOSPC, f"only {written} of {len(data)} bytes were written")
        self._line = line

    def _sync(self) -> None:
        self._disk.sync(self._open)
        self._disk.sync_directory(key_path(self._root, self.name).parent)


class KeyStore:
    """The idempotency keys of one log; for any number of threads and processes."""

    def __init__(self, root: Path, *, disk: Disk | None = None) -> None:
        self._root = root
        self._disk = disk or Disk()
        self._made = False
        self._next_shard = 0

    def claim(self, key: str, *, body: str, session_id: str, row_id: str) -> Claim | None:
        """Take a key for a call.

        Args:
            key: Any text; what two callers must not share is part of it.
            body: What must be the same whenever the key is sent.
            session_id: Of the session to run if the key is new.
            row_id: Likewise.

        Returns:
            None if somebody holds the key: ask again. A claim of a stored key has its ids.

        Raises:
            KeyReused: The key belongs to another body, whether or not it is held.
            LogUnavailable: The key could not be stored; nothing may be run for it.
            LakehouseError: The log cannot be read.

        Cost: two syncs if a run is to come; else as `outcome_of`.
        """
        name = _digest(key)
        wanted = KeyLine(body_sha256=_digest(body), session_id=session_id, row_id=row_id)
        path = key_path(self._root, name)
        with _trouble_told(), ExitStack() as undo:
            if not (self._made and path.parent.is_dir()):
                self._make_directories()
            descriptor = open_regular(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
            undo.callback(os.close, descriptor)
            # Before reading: its holder may write more before it lets go.
            held = try_lock(descriptor)
            stored = self._valid(descriptor)
            if stored is not None and stored.body_sha256 != wanted.body_sha256:
                raise KeyReused(stored.session_id)
            if not held or not in_place(descriptor, path):
                return None
            claim = Claim(self._root, name, descriptor, self._disk)
            undo.pop_all()
            undo.callback(claim.release)
            claim.begin(stored, wanted)
            undo.pop_all()
            return claim

    def ids_of(self, key: str) -> tuple[str, str] | None:
        """Return the session and row id of the last run of a key, held or not.

        None if there is none, as before its holder has written them.

        Raises:
            LogUnavailable: The file cannot be read.
        """
        with _trouble_told():
            try:
                descriptor = open_regular(key_path(self._root, _digest(key)))
            except FileNotFoundError:
                return None
            try:
                line = self._valid(descriptor)
            finally:
                os.close(descriptor)
            return None if line is None else (line.session_id, line.row_id)

    def keeps_from_claims(self, name: str, row_id: str, held: ExitStack) -> bool:
        """Make sure that nobody takes a crashed run over until `held` is closed.

        Returns:
            False if somebody may be at it. A key that is gone, or has come to another run, can not
            be claimed for this one any more.
        """
        if _NAME.fullmatch(name) is None:
            return True  # the caller's own metadata
        try:
            descriptor = open_regular(key_path(self._root, name), os.O_RDWR)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        held.callback(os.close, descriptor)
        try:
            line = _last_line(descriptor)
        except OSError:
            return False
        return line is None or line.row_id != row_id or try_lock(descriptor)

    def expire(self, now: datetime) -> int:
        """Remove files that are older than `KEPT_S` and that nobody holds; says how many.

        Each call goes on where the last one stopped, after `_LOOKED_AT_MAX` files or all of them.
        """
        oldest_s = now.timestamp() - KEPT_S
        looked_at = removed = 0
        for _ in KEY_SHARDS:
            shard = self._root / KEYS / KEY_SHARDS[self._next_shard]
            self._next_shard = (self._next_shard + 1) % len(KEY_SHARDS)
            for entry in _entries(shard):
                looked_at += 1
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest_s:
                        removed += _remove(
                            Path(entry.path), lambda key: os.fstat(key).st_mtime < oldest_s
                        )
            if looked_at >= _LOOKED_AT_MAX:
                break
        return removed

    def forget(self, session_id: str) -> None:
        """Remove the files of a session's keys that nobody holds; durable when this returns.

        Cost: reads the file of every key, about 50 µs each.
        """

        def is_of(descriptor: int) -> bool:
            line = _last_line(descriptor)
            return line is not None and line.session_id == session_id

        for name in KEY_SHARDS:
            shard = self._root / KEYS / name
            if [entry for entry in _entries(shard) if _remove(Path(entry.path), is_of)]:
                self._disk.sync_directory(shard)

    def _valid(self, descriptor: int) -> KeyLine | None:
        line = _last_line(descriptor)
        if line is None or time.time() - os.fstat(descriptor).st_mtime > KEPT_S:
            return None
        return None if line.session_id in forgotten_sessions(self._root) else line

    def _make_directories(self) -> None:
        """Make the directories that are missing; all are durable, also those of others."""
        keys = self._root / KEYS
        for place in (keys, *(keys / name for name in KEY_SHARDS)):
            if place.is_symlink():
                raise NotRegular(errno.ELOOP, "it is a symbolic link, not a directory", str(place))
            place.mkdir(mode=0o700, exist_ok=True)
        self._disk.sync_directory(keys)
        self._disk.sync_directory(self._root)
        self._made = True


def _last_line(descriptor: int) -> KeyLine | None:
    """Read the last whole line; None if there is none, as when its writer was killed."""
    size = os.fstat(descriptor).st_size
    data = os.pread(descriptor, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
    whole = (line for line in reversed(data.split(b"\n")) if crc_holds(line) is True)
    line = next(whole, None)
    try:
        return msgspec.json.decode(line, type=KeyLine) if line is not None else None
    except msgspec.MsgspecError as error:
        raise OSError(errno.EINVAL, f"a key's file is not understood: {error}") from error


def _remove(path: Path, unwanted: Callable[[int], bool]) -> bool:
    """Remove a key's file if it is unwanted, also under its lock, and nobody holds it."""
    try:
        descriptor = open_regular(path, os.O_RDWR)
    except OSError:
        return False  # gone, or none of a key: `odd_entries` tells
    try:
        if not unwanted(descriptor) or not try_lock(descriptor):
            return False
        if not unwanted(descriptor) or not in_place(descriptor, path):
            return False
        path.unlink()
        return True
    finally:
        os.close(descriptor)


def _entries(shard: Path) -> Iterator["os.DirEntry[str]"]:
    try:
        with os.scandir(shard) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


@contextmanager
def _trouble_told() -> Iterator[None]:
    """Turn a failed system call into the error that a session ends with, for a `with`."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise LogUnavailable(f"idempotency keys: {where}{reason(error)}") from error
