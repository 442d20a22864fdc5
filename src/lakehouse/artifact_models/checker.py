"""Runs one model's validators in child processes: the `ArtifactCheck` of a Python kind.

Every check has a time limit; a child that exceeds it is killed, and the next answer gets a new one.
Children start with the first answer and end with `close`, or with this process.
"""

import asyncio
import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from lakehouse.core.errors import InfraError
from lakehouse.core.kind import ModelFault
from lakehouse.process.children import Child

CHECK_TIMEOUT_MS: Final = 10_000  # for one answer, waiting for a child included
START_TIMEOUT_MS: Final = 60_000  # for a child to import the model
_CHILDREN_MAX: Final = 2  # of one model
_PENDING_MAX: Final = 256  # answers that wait for a child; beyond, a session is not judged
_TEXT_CHARS_MAX: Final = 2_000


class _Reply(msgspec.Struct, frozen=True):
    """One line of a worker."""

    ready: bool = False
    failed: str | None = None
    broken: str | None = None
    faults: tuple[tuple[tuple[str | int, ...], str], ...] = ()


class ModelChecker:
    """Validates artifacts with `package.module:Model`. Safe to share, also between loops."""

    def __init__(self, reference: str, *, timeout_ms: int = CHECK_TIMEOUT_MS) -> None:
        self._reference = reference
        self._timeout_ms = timeout_ms
        self._threads = ThreadPoolExecutor(_CHILDREN_MAX, thread_name_prefix="lakehouse-models")
        self._lock = threading.Lock()  # protects the three below
        self._idle: list[_Worker] = []
        self._all: list[_Worker] = []
        self._closed = False
        self._pending = 0

    async def faults(self, artifact: bytes) -> list[ModelFault]:
        if self._pending >= _PENDING_MAX:
            raise InfraError("overloaded", "Too many answers wait for their model's validators.")
        self._pending += 1
        until_s = time.monotonic() + self._timeout_ms / 1000
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self._check, artifact, until_s
            )
        finally:
            self._pending -= 1

    def close(self) -> None:
        """End the children, also busy ones."""
        with self._lock:
            self._closed = True
            workers, self._all, self._idle = self._all, [], []
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.end()

    def _check(self, artifact: bytes, until_s: float) -> list[ModelFault]:
        if time.monotonic() >= until_s:
            raise self._too_long()
        worker = self._take()
        # A child that starts with this answer has its own time for that.
        until_s = max(until_s, time.monotonic() + self._timeout_ms / 1000)
        try:
            reply = worker.ask(artifact, until_s)
        except TimeoutError as error:
            self._drop(worker)
            raise self._too_long() from error
        except (OSError, EOFError) as error:
            self._drop(worker)
            raise self._broken("they ended their process") from error
        with self._lock:
            if not self._closed:
                self._idle.append(worker)
        if reply.broken is not None:
            raise self._broken(reply.broken)
        return [ModelFault(place, message) for place, message in reply.faults]

    def _take(self) -> "_Worker":
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
                self._all.remove(worker)
                worker.end()
        try:
            worker = _Worker(self._reference)
        except OSError as error:
            raise self._broken(f"no process can be started for them: {error}") from error
        with self._lock:
            if self._closed:
                worker.end()
                raise InfraError("shutdown", "The daemon stopped before the answer was judged.")
            self._all.append(worker)
        try:
            ready = worker.read(time.monotonic() + START_TIMEOUT_MS / 1000)
        except (OSError, EOFError, TimeoutError) as error:
            self._drop(worker)
            raise self._broken(f"the model cannot be imported: {error!r}") from error
        if not ready.ready:
            self._drop(worker)
            raise self._broken(f"the model cannot be imported: {ready.failed}")
        return worker

    def _drop(self, worker: "_Worker") -> None:
        with self._lock:
            known = worker in self._all
            if known:
                self._all.remove(worker)
        if known:
            worker.end()

    def _broken(self, why: str) -> InfraError:
        text = f"The validators of {self._reference!r} raise an unexpected error: {why}"
        return InfraError(
            "rule_broken",
            text[:_TEXT_CHARS_MAX],
            hint="Correct the model's code: a validator must reject with ValueError or "
            "AssertionError.",
        )

    def _too_long(self) -> InfraError:
        return InfraError(
            "timeout",
            f"The validators of {self._reference!r} took longer than {self._timeout_ms} ms.",
            hint="Make the validators of the model cheaper: they run for every answer.",
        )


class _Worker:
    """One child and its two pipes. One thread at a time asks it."""

    def __init__(self, reference: str) -> None:
        path = os.pathsep.join(part for part in sys.path if part)
        self._child = Child(
            [sys.executable, "-P", "-m", "lakehouse.artifact_models.worker", reference],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
            env={**os.environ, "PYTHONPATH": path},
        )
        process = self._child.process
        assert process.stdin is not None
        assert process.stdout is not None
        self._inlet, self._outlet = process.stdin, process.stdout
        os.set_blocking(self._inlet.fileno(), False)
        self._read = b""
        self._lock = threading.Lock()
        self._ended = False

    @property
    def alive(self) -> bool:
        return self._child.process.poll() is None

    def ask(self, artifact: bytes, until_s: float) -> _Reply:
        """Send one artifact and read the answer.

        Raises:
            TimeoutError: There was none in time.
            EOFError: The child ended; or `OSError`.
        """
        data = memoryview(artifact + b"\n")
        while data:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not select.select([], [self._inlet], [], left_s)[1]:
                raise TimeoutError("the child reads nothing")
            data = data[os.write(self._inlet.fileno(), data) :]
        return self.read(until_s)

    def read(self, until_s: float) -> _Reply:
        """Read one line; raises as `ask`."""
        descriptor = self._outlet.fileno()
        while b"\n" not in self._read:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
                raise TimeoutError("no answer in time")
            piece = os.read(descriptor, 1 << 16)
            if not piece:
                raise EOFError("the process ended")
            self._read += piece
        line, _, self._read = self._read.partition(b"\n")
        return msgspec.json.decode(line, type=_Reply)

    def end(self) -> None:
        """End the child, whatever it does; once."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
        self._child.end()
        for pipe in (self._inlet, self._outlet):
            with contextlib.suppress(OSError):
                pipe.close()
