"""The `lakehouse` command in a process forked from one that has its modules already.

Starting Python and importing them costs a command more than a second of processor time. See
`command_server.py`. A test of a start, of signals, terminals or limits needs a process of its own:
`subprocess`.
"""

import contextlib
import functools
import io
import json
import os
import pkgutil
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NotRequired, TypedDict, Unpack

from lakehouse import cli
from support import command_server
from support.command_server import CODE, LENGTH

_CHUNK_BYTES: Final = 65_536
# A server's own: with them its libraries start no threads. No command sees them.
_ONE_THREAD: Final = {
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "OPENBLAS_NUM_THREADS": "1",
    "_RJEM_MALLOC_CONF": "background_thread:false",
}
# What commands load only when they get there. Whatever is missing here costs time, no more.
_HEAVY: Final = (
    *("deltalake", "duckdb", "junitparser", "pandas", "pyarrow.parquet", "pydantic.types"),
    *("lakehouse.comparison.statistics", "lakehouse.comparison.gate", "lakehouse.reports.junit"),
    *("lakehouse.providers.scripted", "lakehouse.stack", "rich._emoji_codes", "scipy.stats"),
    *("typer._adapters", "xml.etree.ElementTree", "zoneinfo"),
)


class ForkedCommands:
    """A server of commands that are `python -m MODULE`. It ends with this process.

    It imports `imported` when it starts, so that no command has to.
    """

    def __init__(self, module: str, imported: Iterable[str] = ()) -> None:
        self._module = module
        self._environment = _of_the_interpreter(os.environ)
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, command_server.__file__, module, *imported],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={**os.environ, **_ONE_THREAD},
                start_new_session=True,
            )
        assert self._control.recv(1), "the server of commands did not start"

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Return whether Python itself would start alike in this environment."""
        return _of_the_interpreter(environment) == self._environment

    def close(self) -> None:
        """End the server, and what it runs."""
        self._control.close()
        self._process.wait(60)

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        input: str | None = None,  # noqa: A002  as in `subprocess.run`
        timeout: float,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end, as `subprocess.run` does that captures output.

        Raises `TimeoutExpired` after `timeout` seconds, when its process group has been killed.
        """
        environment = dict(os.environ if env is None else env)
        assert self.fits(environment), "needs a process of its own"
        request = json.dumps(
            {"arguments": list(argv), "directory": os.fspath(cwd), "environment": environment}
        ).encode()
        with contextlib.ExitStack() as stack:
            ours, theirs = socket.socketpair()
            stack.enter_context(ours)
            out, err = _pipe(stack), _pipe(stack)
            written = [out[1], err[1]]
            stdin = None if input is None else _pipe(stack)
            with theirs:
                given = [0 if stdin is None else stdin[0].fileno()]
                given += [*(one.fileno() for one in written), theirs.fileno()]
                socket.send_fds(self._control, [b"r"], given)
            for one in written if stdin is None else [*written, stdin[0]]:
                one.close()
            ours.sendall(LENGTH.pack(len(request)) + request)
            talk = _Talk(ours, out[0], err[0], stdin and (stdin[1], (input or "").encode()))
            ended = talk.until(time.monotonic() + timeout)
        command = [sys.executable, "-m", self._module, *argv]
        if not ended:
            raise subprocess.TimeoutExpired(command, timeout, bytes(talk.out), bytes(talk.err))
        [code] = CODE.unpack(talk.code)
        return subprocess.CompletedProcess(command, code, bytes(talk.out), bytes(talk.err))


class _Talk:
    """What is exchanged with a running command."""

    def __init__(
        self,
        server: socket.socket,
        out: BinaryIO,
        err: BinaryIO,
        stdin: tuple[BinaryIO, bytes] | None,
    ) -> None:
        self.out, self.err, self.code = bytearray(), bytearray(), bytearray()
        self._server = server
        self._waiting = selectors.DefaultSelector()
        for file, into in ((server, self.code), (out, self.out), (err, self.err)):
            self._waiting.register(file, selectors.EVENT_READ, into)
        if stdin is not None:
            os.set_blocking(stdin[0].fileno(), False)
            self._stdin = memoryview(stdin[1])
            self._waiting.register(stdin[0], selectors.EVENT_WRITE)

    def until(self, deadline_s: float) -> bool:
        """Talk until all has been said. False: the time was over first, and it has been killed."""
        with self._waiting:
            while self._waiting.get_map():
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    self._server.shutdown(socket.SHUT_WR)
                    while self._server.recv(1):
                        pass
                    return False
                for key, _ in self._waiting.select(left_s):
                    self._move(key)
        return True

    def _move(self, key: selectors.SelectorKey) -> None:
        if key.data is None:
            with contextlib.suppress(BrokenPipeError):
                written = os.write(key.fd, self._stdin[:_CHUNK_BYTES])
                self._stdin = self._stdin[written:]
                if self._stdin:
                    return
        elif chunk := os.read(key.fd, _CHUNK_BYTES):
            key.data.extend(chunk)
            return
        self._waiting.unregister(key.fileobj)
        if key.data is None:
            key.fileobj.close()  # type: ignore[union-attr]  # it is the pipe


def _pipe(stack: contextlib.ExitStack) -> tuple[BinaryIO, BinaryIO]:
    reading, writing = os.pipe()
    return (
        stack.enter_context(os.fdopen(reading, "rb", buffering=0)),
        stack.enter_context(os.fdopen(writing, "wb", buffering=0)),
    )


def as_text(done: subprocess.CompletedProcess[bytes]) -> subprocess.CompletedProcess[str]:
    """Give the same with text, as `subprocess.run` reads it."""
    out, err = (io.TextIOWrapper(io.BytesIO(data)).read() for data in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def _of_the_interpreter(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that Python itself reads when it starts."""
    return {
        name: value
        for name, value in environment.items()
        if name in {"LANG", "LANGUAGE"} or name.startswith(("LC_", "PYTHON"))
    }


@functools.cache
def _lakehouse(process: int) -> ForkedCommands:  # a fork has a server of its own
    commands = (found.name for found in pkgutil.iter_modules(cli.__path__, "lakehouse.cli."))
    return ForkedCommands("lakehouse", [*commands, *_HEAVY])


class CommandOptions(TypedDict):
    """As `subprocess.run` has them."""

    cwd: Path
    env: NotRequired[Mapping[str, str] | None]
    input: NotRequired[str | None]
    timeout: float


def run_command(
    argv: Sequence[str], **options: Unpack[CommandOptions]
) -> subprocess.CompletedProcess[str]:
    """Run `lakehouse` with these arguments to its end: see `ForkedCommands.run`."""
    return as_text(run_command_bytes(argv, **options))


def run_command_bytes(
    argv: Sequence[str], **options: Unpack[CommandOptions]
) -> subprocess.CompletedProcess[bytes]:
    """Run it likewise, and give what it wrote as it wrote it.

    Where Python itself is asked for something else (its path, a language), in a process of its own.
    """
    server = _lakehouse(os.getpid())
    env, given = options.get("env"), options.get("input")
    if server.fits(os.environ if env is None else env):
        return server.run(argv, **options)
    return subprocess.run(
        [sys.executable, "-m", "lakehouse", *argv],
        cwd=options["cwd"],
        env=env,
        input=None if given is None else given.encode(),
        capture_output=True,
        timeout=options["timeout"],
        check=False,
    )
