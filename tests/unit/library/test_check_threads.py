"""Threads of checks: they grow, are given up, never hold the process, and are new after a fork."""

import asyncio
import contextvars
import subprocess
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from lakehouse.core.errors import InfraError
from lakehouse.library import check_threads
from lakehouse.library.check_threads import CallEnd, CheckThreads

LONG_MS = 60_000
HOUR_MS = 3_600_000
SHORT_MS = 20
WORD: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="none")


class Hanging:
    """A call that says when it begins and ends, and hangs until it is released."""

    def __init__(self, release: threading.Event) -> None:
        self.release = release
        self.begun = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)

    def __call__(self) -> str:
        self.begun.release()
        self.release.wait()
        self.ended.release()
        return "released"


def value_of(call: Callable[[], Any], threads: CheckThreads | None = None) -> CallEnd[Any]:
    used = threads or CheckThreads()
    try:
        return asyncio.run(used.run(call, timeout_ms=LONG_MS))
    finally:
        if threads is None:
            used.close()


def test_a_call_ends_with_its_value_in_a_daemon_thread():
    ended = value_of(lambda: (threading.current_thread().daemon, threading.get_ident()))

    assert ended.error is None
    assert ended.value is not None
    daemon, ident = ended.value
    assert daemon
    assert ident != threading.get_ident()


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        KeyboardInterrupt(),
        SystemExit(3),
        StopIteration(),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_call_ends_with_any_error(error: BaseException):
    def call() -> None:
        raise error

    assert value_of(call) == CallEnd(error=error)


def test_context_variables_of_the_caller_are_read_and_not_written():
    def call() -> str:
        read = WORD.get()
        WORD.set("thread")
        return read

    token = WORD.set("caller")
    try:
        assert value_of(call).value == "caller"
        assert WORD.get() == "caller"
    finally:
        WORD.reset(token)


def test_one_thread_serves_calls_after_each_other():
    threads = CheckThreads()
    idents = {value_of(threading.get_ident, threads).value for _ in range(20)}
    threads.close()

    assert len(idents) == 1


def test_sixty_four_calls_run_at_once():
    threads = CheckThreads()
    together = threading.Barrier(64)

    async def run() -> list[CallEnd[int]]:
        return await asyncio.gather(
            *(threads.run(together.wait, timeout_ms=LONG_MS) for _ in range(64))
        )

    assert sorted(ended.value or 0 for ended in asyncio.run(run())) == list(range(64))
    threads.close()


def test_more_calls_than_threads_wait_and_their_limit_has_not_begun(
    release: threading.Event, monkeypatch: pytest.MonkeyPatch
):
    """A waiting call passes although others took longer than its limit, once they end."""
    now_s = 0.0
    monkeypatch.setattr(check_threads, "time", SimpleNamespace(monotonic=lambda: now_s))
    threads = CheckThreads(threads_max=2)
    first = Hanging(release)

    async def run() -> list[CallEnd[Any]]:
        nonlocal now_s
        busy = [asyncio.create_task(threads.run(first, timeout_ms=HOUR_MS)) for _ in range(2)]
        for _ in busy:
            await asyncio.to_thread(first.begun.acquire)
        waiting = asyncio.create_task(threads.run(lambda: "waited", timeout_ms=SHORT_MS))
        await asyncio.sleep(0)
        now_s = 60.0  # and there it stands: the call itself takes no time
        done, _ = await asyncio.wait({waiting}, timeout=3 * SHORT_MS / 1000)
        assert not done
        release.set()
        return [*await asyncio.gather(*busy), await waiting]

    assert [ended.value for ended in asyncio.run(run())] == ["released", "released", "waited"]
    threads.close()


def test_a_hung_call_times_out_and_another_thread_takes_its_place(release: threading.Event):
    threads = CheckThreads(threads_max=1)
    hanging = Hanging(release)

    async def run() -> CallEnd[str]:
        with pytest.raises(TimeoutError):
            await threads.run(hanging, timeout_ms=SHORT_MS)
        return await threads.run(lambda: "served", timeout_ms=LONG_MS)

    assert asyncio.run(run()).value == "served"
    assert hanging.begun.acquire(blocking=False)
    threads.close()


def test_too_many_hung_calls_are_an_error_until_they_end(release: threading.Event):
    threads = CheckThreads(threads_max=1, hung_max=2)
    hanging = Hanging(release)

    async def run() -> None:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await threads.run(hanging, timeout_ms=SHORT_MS)
        with pytest.raises(InfraError, match="2 checks in Python were given up") as caught:
            await threads.run(lambda: None, timeout_ms=LONG_MS)
        assert caught.value.code == "overloaded"
        assert caught.value.retryable
        release.set()
        for _ in range(2):
            await asyncio.to_thread(hanging.ended.acquire)
        async with asyncio.timeout(LONG_MS / 1000):
            while True:  # a thread counts as hung for a moment after its call
                try:
                    await threads.run(lambda: None, timeout_ms=LONG_MS)
                except InfraError:
                    await asyncio.sleep(0)
                else:
                    return

    asyncio.run(run())
    threads.close()


def test_a_cancelled_task_gives_its_call_up(release: threading.Event):
    threads = CheckThreads(threads_max=1, hung_max=1)
    hanging = Hanging(release)

    async def run() -> None:
        task = asyncio.create_task(threads.run(hanging, timeout_ms=LONG_MS))
        await asyncio.to_thread(hanging.begun.acquire)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(InfraError, match="1 checks"):
            await threads.run(lambda: None, timeout_ms=LONG_MS)

    asyncio.run(run())
    threads.close()


def test_a_call_that_is_cancelled_while_it_waits_never_runs(release: threading.Event):
    threads = CheckThreads(threads_max=1)
    hanging, ran = Hanging(release), threading.Event()

    async def run() -> None:
        busy = asyncio.create_task(threads.run(hanging, timeout_ms=LONG_MS))
        await asyncio.to_thread(hanging.begun.acquire)
        waiting = asyncio.create_task(threads.run(ran.set, timeout_ms=LONG_MS))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        release.set()
        await busy
        await threads.run(lambda: None, timeout_ms=LONG_MS)  # the one thread is past it

    asyncio.run(run())
    assert not ran.is_set()
    threads.close()


def test_a_call_may_end_after_its_loop(release: threading.Event):
    threads = CheckThreads(threads_max=1)
    hanging = Hanging(release)

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await threads.run(hanging, timeout_ms=SHORT_MS)

    asyncio.run(run())
    release.set()
    hanging.ended.acquire()

    assert value_of(lambda: "another loop", threads).value == "another loop"
    threads.close()


def test_no_thread_outlives_close(release: threading.Event):
    """Idle ones end at once, a hung one with its call; a closed client runs nothing."""
    threads = CheckThreads()
    used: list[threading.Thread] = []
    hanging = Hanging(release)

    async def run() -> None:
        await threads.run(lambda: used.append(threading.current_thread()), timeout_ms=LONG_MS)

        def hangs() -> None:
            used.append(threading.current_thread())
            hanging()

        with pytest.raises(TimeoutError):
            await threads.run(hangs, timeout_ms=SHORT_MS)
        await threads.run(lambda: used.append(threading.current_thread()), timeout_ms=LONG_MS)
        threads.close()
        with pytest.raises(InfraError) as caught:
            await threads.run(lambda: None, timeout_ms=LONG_MS)
        assert caught.value.code == "shutdown"

    asyncio.run(run())
    release.set()
    assert len(set(used)) == 2
    for thread in used:
        thread.join(LONG_MS / 1000)
        assert not thread.is_alive()


def test_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch):
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threads = CheckThreads()
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(InfraError, match="can't start new thread") as caught:
        value_of(lambda: None, threads)
    assert caught.value.code == "overloaded"
    monkeypatch.undo()

    assert value_of(lambda: "served", threads).value == "served"
    threads.close()


HUNG_AT_EXIT = """
import asyncio, threading
from lakehouse.library.check_threads import CheckThreads

async def main():
    try:
        await CheckThreads().run(threading.Event().wait, timeout_ms=20)
    except TimeoutError:
        print("timeout", flush=True)

asyncio.run(main())
"""

FORKED = """
import asyncio, os, threading
from lakehouse.library.check_threads import CheckThreads

threads, busy, release = CheckThreads(threads_max=2), threading.Event(), threading.Event()

def hang():
    busy.set()
    release.wait()

async def call(work):
    return (await threads.run(work, timeout_ms=60_000)).value

asyncio.run(call(threading.get_ident))
hanging = threading.Thread(target=asyncio.run, args=[call(hang)], daemon=True)
hanging.start()
busy.wait()
with threads._pool()._lock:  # held by nobody in the child
    child = os.fork()
if child == 0:
    ends = [asyncio.run(call(lambda: "child")) for _ in range(3)]
    os._exit(0 if ends == ["child"] * 3 and not threads._pool()._hung else 1)
_, status = os.waitpid(child, 0)
assert asyncio.run(call(lambda: "parent")) == "parent"
release.set()
hanging.join()
print("child", os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize(("program", "says"), [(HUNG_AT_EXIT, "timeout"), (FORKED, "child 0")])
def test_a_program_ends(program: str, says: str):
    """With a check that hangs; and after a fork, where the child has threads of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert (ran.returncode, ran.stdout.strip()) == (0, says), ran.stderr
