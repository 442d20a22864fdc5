"""Counts that several processes share: limits, workers that die, and who is woken."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lakehouse.workers.shared_counts import NAMES_MAX, SharedCounts, new_memory

WORKERS = 3


@pytest.fixture
def workers() -> Iterator[tuple[list[SharedCounts], list[int]]]:
    """Three workers' views of one memory, and the ends where each is woken."""
    memory = new_memory()
    pipes = [os.pipe() for _ in range(WORKERS)]
    for pipe in pipes:
        for end in pipe:
            os.set_blocking(end, False)
    wakes = [wake for _, wake in pipes]
    views = [SharedCounts(os.dup(memory), number, wakes) for number in range(WORKERS)]
    yield views, [woken for woken, _ in pipes]
    for view in views:
        view.close()
    for descriptor in (memory, *(end for pipe in pipes for end in pipe)):
        os.close(descriptor)


def woken(end: int) -> bool:
    try:
        return bool(os.read(end, 100))
    except BlockingIOError:
        return False


def test_a_limit_is_one_of_all(workers):
    (first, second, third), _ = workers
    assert [each.take("x", 2) for each in (first, second, third)] == [True, True, False]
    assert third.total("x") == 2
    assert third.take("y", 1), "another name is another count"
    first.give_back("x", 2)
    assert third.take("x", 2)
    assert not first.take("x", 2)


def test_who_waits_is_woken_and_nobody_else(workers):
    (first, second, third), ends = workers
    first.take("x", 1)
    assert not second.take("x", 1, wait=True)
    assert not third.take("x", 1)
    assert first.give_back("x", 1) is True
    assert [woken(end) for end in ends] == [False, True, False]
    second.stop_waiting("x")
    third.take("x", 1)
    assert third.give_back("x", 1) is False


def test_what_a_dead_worker_held_is_free_and_all_look_again(workers):
    (first, second, third), ends = workers
    first.take("x", 2)
    second.take("x", 2)
    second.publish("open", 7)
    assert not third.take("x", 2, wait=True)
    first.bury(1)
    assert third.total("x") == 1
    assert third.take("x", 2)
    assert third.published("open") == []
    assert all(woken(end) for end in ends)


def test_others_read_what_one_publishes_zero_too(workers):
    (first, second, third), _ = workers
    first.publish("open", 0)
    second.publish("open", 3)
    assert sorted(third.published("open")) == [0, 3]
    assert first.published("open") == [3]


def test_a_process_that_is_killed_within_a_lock_holds_up_nobody(workers):
    """The lock is the system's: it ends with the process."""
    (first, second, _), _ = workers
    first.take("x", 5)
    code = (
        "import os, signal, sys; from lakehouse.workers.shared_counts import SharedCounts; "
        "one = SharedCounts(int(sys.argv[1]), 2, [1, 1, 1])\n"
        "with one._lock(one._row('x')):\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    memory = first._descriptor
    ended = subprocess.run(
        [sys.executable, "-c", code, str(memory)], pass_fds=[memory], check=False
    )
    assert ended.returncode == -9
    assert second.take("x", 5)


def test_more_names_than_there_is_room_for_are_told(workers):
    (first, *_), _ = workers
    for number in range(NAMES_MAX):
        first.take(str(number), 1)
    with pytest.raises(RuntimeError, match="are shared already"):
        first.take("one more", 1)


def test_no_limit_is_passed_however_many_take_at_once(workers):
    """Three processes, a limit of 9, where the lock is needed now and then."""
    (first, *_), _ = workers
    code = (
        "import sys; from lakehouse.workers.shared_counts import SharedCounts\n"
        "one = SharedCounts(int(sys.argv[1]), int(sys.argv[2]), [1, 1, 1])\n"
        "highest = held = refused = 0\n"
        "for turn in range(30_000):\n"
        "    if turn % 7 < 4 and one.take('x', 9):\n"
        "        held += 1\n"
        "        highest = max(highest, one.total('x'))\n"
        "    elif held:\n"
        "        one.give_back('x', 9)\n"
        "        held -= 1\n"
        "    else:\n"
        "        refused += 1\n"
        "while held:\n"
        "    one.give_back('x', 9)\n"
        "    held -= 1\n"
        "print(highest, refused)"
    )
    memory = first._descriptor
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(memory), str(worker)],
            pass_fds=[memory],
            stdout=subprocess.PIPE,
            text=True,
        )
        for worker in range(WORKERS)
    ]
    told = [list(map(int, each.communicate()[0].split())) for each in running]
    assert max(highest for highest, _ in told) == 9
    assert first.total("x") == 0
