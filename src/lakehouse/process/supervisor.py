"""The program between this process and a child: it ends the child when this process ends.

It has only the read end of a pipe from its owner. When the owner ends or closes the pipe, the child
gets SIGTERM, is killed after its grace period, and its directory is removed. This works for any
child, also one that is busy or not our code. On Linux the kernel kills the child if this program is
killed itself.

Usage: supervisor.py LIFELINE GRACE_S REMOVE -- COMMAND…, REMOVE a directory or nothing.

Imports nothing of Lakehouse, and little else: it starts in 10 ms.
"""

import os
import select
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
_POLL_MS = 1_000  # a bound for one wait; what it waits for wakes it
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> None:
    """Run the command and end as it ends."""
    lifeline, grace_s, directory = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    command = sys.argv[5:]
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    received: list[int] = []
    for caught in (*_FORWARDED, signal.SIGCHLD):
        signal.signal(caught, lambda got, _: received.append(got))
    child = _start(command, lifeline, os.getpid())
    poll = select.poll()
    poll.register(lifeline, select.POLLIN | select.POLLHUP)
    poll.register(woken, select.POLLIN)
    while (status := _ended(child)) is None:
        ready = [descriptor for descriptor, _ in poll.poll(_POLL_MS)]
        if lifeline in ready:
            status = _end(child, grace_s)
            _remove(directory)
            break
        if woken in ready:
            os.read(woken, 4096)
        while received:
            number = received.pop()
            if number in _FORWARDED:
                _signal(child, number)
    _end_as(status)


def _start(command: list[str], lifeline: int, owner: int) -> int:
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        os.close(lifeline)
        signal.set_wakeup_fd(-1)
        for number in (*_FORWARDED, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        if sys.platform == "linux":
            import ctypes  # noqa: PLC0415 - only in the child, and only there

            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != owner:
            os._exit(1)  # it was killed before the kernel knew of our wish
        os.execvp(command[0], command)  # noqa: S606 - the command of our own caller
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    os._exit(127)


def _ended(child: int) -> int | None:
    found, status = os.waitpid(child, os.WNOHANG)
    return status if found else None


def _end(child: int, grace_s: float) -> int:
    if grace_s > 0:
        _signal(child, signal.SIGTERM)
        until = time.monotonic() + grace_s
        while time.monotonic() < until:
            status = _ended(child)
            if status is not None:
                return status
            time.sleep(0.05)
    _signal(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _signal(child: int, number: int) -> None:
    try:
        os.killpg(child, number)
    except OSError:
        # Before its session began, or after its end.
        try:
            os.kill(child, number)
        except OSError:
            return


def _remove(directory: str) -> None:
    if directory:
        import shutil  # noqa: PLC0415 - only for the end that nobody wanted

        shutil.rmtree(directory, ignore_errors=True)


def _end_as(status: int) -> None:
    """End as the child did: with its exit code, or by its signal."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        os._exit(code)
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)


if __name__ == "__main__":
    main()
