"""Threads for checks that may block: as many as are needed at once, and none that is waited for.

Nobody can stop a thread. One that is given up is counted until its check ends, and another takes
its place; the number of both is limited. (The executors of the standard library keep the
interpreter alive until every call has ended, and a few calls that hang use them up in silence.)
"""

import asyncio
import contextlib
import contextvars
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

import msgspec

from lakehouse.core.errors import InfraError
from lakehouse.core.limits import CHECK_THREADS_HUNG_MAX, CHECK_THREADS_MAX

R = TypeVar("R")

# One entry for each fork between the first process and this one: a thread is not copied by a fork.
_FORKS: Final[list[None]] = []
os.register_at_fork(after_in_child=partial(_FORKS.append, None))


class CallEnd(msgspec.Struct, Generic[R], frozen=True):
    """How a call ended: with a value, or with an error of any class."""

    value: R | None = None
    error: BaseException | None = None


class CheckThreads:
    """Runs blocking calls for any event loop. Safe to share between threads, and after a fork."""

    def __init__(
        self,
        *,
        threads_max: int = CHECK_THREADS_MAX,
        hung_max: int = CHECK_THREADS_HUNG_MAX,
    ) -> None:
        self._threads_max = threads_max
        self._hung_max = hung_max
        self._pools: dict[int, _Pool] = {}

    async def run(self, call: Callable[[], R], *, timeout_ms: int) -> CallEnd[R]:
        """Run a call in a thread, with the context variables of the caller.

        It waits while all threads are busy; the limit counts from when the call begins. A call that
        is given up, by the limit or because this task is cancelled, goes on in its thread unheeded.
        Cost: about 50 µs.

        Raises:
            TimeoutError: It took longer.
            InfraError: `overloaded`: too many calls were given up and still run, or no thread can
                be started; `shutdown`: after `close`.
        """
        pool = self._pool()
        job = _Job(call, timeout_ms / 1000)
        pool.begin(job)
        try:
            job.watch()
            return await job.future
        finally:
            job.unwatch()
            pool.give_up(job)

    def close(self) -> None:
        """End the threads, each as soon as its call has ended. Does not wait."""
        self._pool().close()

    def _pool(self) -> "_Pool":
        forks = len(_FORKS)
        found = self._pools.get(forks)
        # `setdefault` is atomic: two threads get one pool.
        return found or self._pools.setdefault(forks, _Pool(self._threads_max, self._hung_max))


class _Job:
    """One call, and the task that waits for it. `state` changes under the lock of the pool."""

    def __init__(self, call: Callable[[], Any], limit_s: float) -> None:
        self.call = call
        self.context = contextvars.copy_context()
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[CallEnd[Any]] = self.loop.create_future()
        self.started_s: float | None = None
        self.ended = self.given_up = False
        self._limit_s = limit_s
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Let the future raise `TimeoutError` at the limit, which begins with the call."""
        began_s = self.started_s
        left_s = self._limit_s if began_s is None else began_s + self._limit_s - time.monotonic()
        if left_s > 0:
            self._timer = self.loop.call_later(left_s, self.watch)
        elif not self.future.done():
            self.future.set_exception(TimeoutError())

    def unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def tell(self, ended: CallEnd[Any]) -> None:
        """Give the result to the task, from a thread; nobody may wait for it any more."""
        with contextlib.suppress(RuntimeError):  # its loop is closed
            self.loop.call_soon_threadsafe(self._set, ended)

    def _set(self, ended: CallEnd[Any]) -> None:
        if not self.future.done():
            self.future.set_result(ended)


class _Pool:
    """The threads of one process."""

    def __init__(self, threads_max: int, hung_max: int) -> None:
        self._threads_max = threads_max
        self._hung_max = hung_max
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()  # protects the five below, and the state of jobs
        self._waiting = 0  # jobs that no thread has taken
        self._idle = 0
        self._serving = 0  # threads that are idle, or run a job that somebody waits for
        self._hung = 0
        self._closed = False

    def begin(self, job: _Job) -> None:
        with self._lock:
            if self._closed:
                raise InfraError("shutdown", "The client was closed before an answer was checked.")
            if self._hung >= self._hung_max:
                raise InfraError(
                    "overloaded",
                    f"{self._hung} checks in Python were given up and still run.",
                    hint="Find the check that hangs, and give what it calls a time limit.",
                )
            self._waiting += 1
            try:
                self._grow()
            except RuntimeError as error:
                self._waiting -= 1
                text = f"No thread can be started for a check in Python: {error}"
                raise InfraError("overloaded", text) from error
            self._jobs.put(job)

    def give_up(self, job: _Job) -> None:
        """Let a job go on unheeded, or not begin; nothing if it has ended."""
        with self._lock:
            if job.ended:
                return
            job.given_up = True
            if job.started_s is not None:
                self._hung += 1
                self._serving -= 1
                with contextlib.suppress(RuntimeError):  # those that wait have their deadline
                    self._grow()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for _ in range(self._serving):
                self._jobs.put(None)

    def _grow(self) -> None:
        if self._waiting > self._idle and self._serving < self._threads_max:
            threading.Thread(target=self._work, name="lakehouse-check", daemon=True).start()
            self._serving += 1
            self._idle += 1

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._take(job):
                try:
                    ended = CallEnd(job.context.run(job.call))
                except BaseException as error:  # noqa: BLE001  the task judges it, whatever it is
                    ended = CallEnd(error=error)
                stays = self._end(job)
                job.tell(ended)
                del ended
                if not stays:
                    return
            del job  # an idle thread keeps nothing of a caller alive

    def _take(self, job: _Job) -> bool:
        with self._lock:
            self._waiting -= 1
            if job.given_up:
                return False
            self._idle -= 1
            job.started_s = time.monotonic()
            return True

    def _end(self, job: _Job) -> bool:
        """Return whether the thread goes on."""
        with self._lock:
            job.ended = True
            if job.given_up:
                self._hung -= 1
                if self._closed or self._serving >= self._threads_max:
                    return False
                self._serving += 1
            self._idle += 1
            return True
