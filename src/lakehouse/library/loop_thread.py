"""An event loop in a thread of its own, for callers that have none, or whose own must not wait."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from typing import Any, Final, TypeVar

import uvloop

from lakehouse.core.errors import SetupError
from lakehouse.library.in_process import closed

_T = TypeVar("_T")
_CANCEL_S: Final = 10.0  # for a cancelled call to leave its row
_SIGNAL_S: Final = 0.5


def result_of(future: "Future[_T]") -> _T:
    """Wait for a future and return its result; raises its error, or what a signal raises.

    Waits in parts: a Ctrl-C that arrives just as a wait begins does not interrupt it, and Python
    runs its handler only after that wait.
    """
    while not future.done():
        with contextlib.suppress(TimeoutError):
            return future.result(_SIGNAL_S)
    return future.result()


class LoopThread:
    """Runs coroutines for any thread. The thread ends with the process."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._tasks: dict[Future[Any], asyncio.Task[Any]] = {}
        self._lock = threading.Lock()  # so that nothing is started behind the end
        self._ends = False
        self._thread = threading.Thread(target=self._run, name="lakehouse-loop", daemon=True)
        self._thread.start()

    @property
    def is_current(self) -> bool:
        """Whether the caller is in the loop: a hook, a check, or the end of garbage."""
        return threading.current_thread() is self._thread

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine to its end and return its result. Blocks.

        A Ctrl-C cancels it, and is raised when it has ended.
        """
        future = self.submit(work)
        try:
            return result_of(future)
        except BaseException:
            if not future.done():
                self.cancel(future)
            raise

    def submit(self, work: Coroutine[Any, Any, _T]) -> "Future[_T]":
        """Start a coroutine, with the caller's context variables; returns its result to come.

        Raises:
            SetupError: The caller is in the loop itself, where waiting would wait for ever; or the
                thread has ended or ends.
        """
        if self.is_current:
            work.close()
            raise SetupError(
                "A hook or an async check called the client that runs it, and would wait for ever.",
                hint="Use a client of lakehouse.open_async() there, or start a thread.",
            )
        future: Future[_T] = Future()
        context = contextvars.copy_context()
        with self._lock:
            if self._ends:
                work.close()
                raise closed()
            self._loop.call_soon_threadsafe(self._start, work, future, context)
        return future

    def finish(self, work: Coroutine[Any, Any, object]) -> None:
        """Run what ends something, unless all has ended; wait for it, except in the loop itself."""
        if self.is_current:
            self._start(work, Future(), contextvars.copy_context())
            return
        with contextlib.suppress(SetupError):
            self.run(work)

    def cancel(self, *futures: "Future[Any]") -> None:
        """Cancel what was submitted, and wait until all has ended, for 10 s at most."""
        left = [future for future in futures if not future.done()]
        if not left:
            return
        with contextlib.suppress(RuntimeError):  # stopped meanwhile, which cancels them too
            self._loop.call_soon_threadsafe(self._cancel, left)
        if not self.is_current:
            wait(left, _CANCEL_S)

    def stop(self) -> None:
        """End the thread; what still runs in it is cancelled, and waited for, for 10 s at most."""
        with self._lock:
            self._ends = True
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            while not self._ends:
                # What ends programs leaves the loop too. Its caller gets it; the others go on.
                with contextlib.suppress(SystemExit, KeyboardInterrupt):
                    self._loop.run_forever()
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            if left:
                self._loop.run_until_complete(asyncio.wait(left, timeout=_CANCEL_S))
        finally:
            self._loop.close()

    def _start(
        self, work: Coroutine[Any, Any, _T], future: "Future[_T]", context: contextvars.Context
    ) -> None:
        task = self._loop.create_task(work, context=context)
        self._tasks[future] = task
        task.add_done_callback(lambda ended: self._ended(ended, future))

    def _ended(self, task: asyncio.Task[_T], future: "Future[_T]") -> None:
        del self._tasks[future]
        if task.cancelled():
            future.cancel()
            future.set_running_or_notify_cancel()  # which `wait` waits for
        elif (error := task.exception()) is not None:
            future.set_exception(error)
        else:
            future.set_result(task.result())

    def _cancel(self, futures: "list[Future[Any]]") -> None:
        for future in futures:
            task = self._tasks.get(future)
            if task is not None:
                task.cancel()
