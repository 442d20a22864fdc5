"""`lakehouse ui` as a process of its own, and the process that reads the log for it."""

import fcntl
import http.client
import os
import re
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from support.processes import descendants

SHOWS = re.compile(r"http://127\.0\.0\.1:([0-9]+)/ui")


class UiServer:
    """A running `lakehouse ui`. `said` is what it wrote to stderr so far."""

    def __init__(self, process: subprocess.Popen[str], port: int, stderr: IO[str]) -> None:
        self.process = process
        self.port = port
        self._stderr = stderr

    def said(self) -> str:
        """Return what it wrote to stderr so far."""
        self._stderr.seek(0)
        return self._stderr.read()

    def get(self, path: str = "/ui.json", *, timeout_s: float = 60) -> tuple[int, str]:
        """Load a page; its status and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def reader(self) -> int:
        """Return the process that reads the log: there is one."""
        [found] = [one for one in descendants(self.process.pid) if is_reader(one)]
        return found


def is_reader(process: int) -> bool:
    """Whether a process reads a log for pages; not its supervisor, which has its command too."""
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"lakehouse.sessionlog.index.reader_child" in words and b"--" not in words


def unread_bytes(process: int) -> int:
    """Return how much lies in the pipe that is a process's stdin."""
    with open(f"/proc/{process}/fd/0", "rb", opener=_now) as pipe:
        count = bytearray(4)
        fcntl.ioctl(pipe, termios.FIONREAD, count)
        return int.from_bytes(count, sys.byteorder)


def _now(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


@contextmanager
def ui_server(log: Path, **environment: str) -> Iterator[UiServer]:
    """Run `lakehouse ui` over a log, at a free port."""
    command = [sys.executable, "-m", "lakehouse", "ui", "--log", str(log)]
    said = log.parent / f"{log.name}.stderr"
    with (
        said.open("w+") as stderr,
        subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, **environment},
        ) as process,
    ):
        try:
            assert process.stdout is not None
            found = SHOWS.search(process.stdout.readline())
            assert found is not None, said.read_text()
            with said.open() as heard:
                yield UiServer(process, int(found[1]), heard)
        finally:
            process.terminate()
            process.wait(60)
