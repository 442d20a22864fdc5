"""A process that has imported what commands need, and forks one process for each command.

`forked_commands.py` starts it and talks to it. It has one thread, or a fork would not be safe.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

LENGTH: Final = struct.Struct("!I")  # before a request
CODE: Final = struct.Struct("!i")  # the answer: an exit code, or a signal's number below zero
DESCRIPTORS: Final = 4  # the command's three, and the socket that its request comes on


class Command(NamedTuple):
    """What a process becomes."""

    arguments: list[str]
    directory: str
    environment: dict[str, str]
    descriptors: list[int]


class _Server:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(control, selectors.EVENT_READ)
        self._children: dict[int, socket.socket] = {}  # by process id

    def serve(self) -> Command | None:
        """Return the command in each child, and None here once nobody is left to ask."""
        while True:
            for key, _ in self._waiting.select():
                if key.fileobj is not self._control:
                    self._heard(key)
                    continue
                message, descriptors, _, _ = socket.recv_fds(self._control, 1, DESCRIPTORS)
                if not message:
                    for child in self._children:
                        os.killpg(child, signal.SIGKILL)
                    return None
                command = self._fork(descriptors)
                if command is not None:
                    return command

    def _heard(self, key: selectors.SelectorKey) -> None:
        """A command has ended, or who asked for it has gone or wants it killed."""
        child: int = key.data
        connection = self._children.get(child)
        if connection is None:
            return  # it has ended while who asked left
        if key.fileobj is connection:
            self._waiting.unregister(connection)
            os.killpg(child, signal.SIGKILL)
            return
        _, status = os.waitpid(child, 0)
        self._waiting.unregister(key.fileobj)
        os.close(key.fd)
        del self._children[child]
        if connection in self._waiting.get_map():
            self._waiting.unregister(connection)
            connection.sendall(CODE.pack(os.waitstatus_to_exitcode(status)))
        connection.close()

    def _fork(self, descriptors: list[int]) -> Command | None:
        connection = socket.socket(fileno=descriptors.pop())
        [length] = LENGTH.unpack(connection.recv(LENGTH.size, socket.MSG_WAITALL))
        asked = json.loads(connection.recv(length, socket.MSG_WAITALL))
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            self._waiting.close()
            for inherited in (self._control, connection, *self._children.values()):
                inherited.close()
            return Command(
                asked["arguments"], asked["directory"], asked["environment"], descriptors
            )
        os.setpgid(child, child)  # both do it: neither waits for the other
        for descriptor in descriptors:
            os.close(descriptor)
        self._children[child] = connection
        self._waiting.register(connection, selectors.EVENT_READ, child)
        self._waiting.register(os.pidfd_open(child), selectors.EVENT_READ, child)
        return None


def become(command: Command, module: str) -> NoReturn:
    """Be `python -m MODULE` with these arguments, to its end.

    The standard streams are those of the interpreter's start: they hold nothing yet, and what was
    imported may refer to them. Only the descriptors below them change.
    """
    for number, descriptor in enumerate(command.descriptors):
        os.dup2(descriptor, number)
    os.closerange(3, max(int(one.name) for one in Path("/proc/self/fd").iterdir()) + 1)
    os.chdir(command.directory)
    os.environ.clear()
    os.environ.update(command.environment)
    time.tzset()
    sys.path[0] = command.directory
    sys.argv = ["-m", *command.arguments]
    gc.enable()
    _end(lambda: runpy.run_module(module, run_name="__main__", alter_sys=True))


def _end(program: Callable[[], object]) -> NoReturn:
    """Run it and end as the interpreter does, but for what the server had imported.

    Taking that down would cost half a second of each command.
    """
    code = 0
    try:
        program()
    except SystemExit as ended:
        code = _exit_code(ended.code)
    except KeyboardInterrupt:
        traceback.print_exc()
        code = -signal.SIGINT
    except BaseException:  # noqa: BLE001  as the interpreter tells it
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # what the interpreter calls
    atexit._run_exitfuncs()
    gc.collect()  # the command's own: the server's is frozen
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _exit_code(told: object) -> int:
    if told is None:
        return 0
    if isinstance(told, int):
        return told & 0xFF
    print(told, file=sys.stderr)
    return 1


def main() -> None:
    """Serve who started this process: MODULE, which each command runs, and what to import first."""
    module, *imported = sys.argv[1:]
    sys.path[0] = ""  # as with `-m`; it was this file's directory
    for name in imported:
        importlib.import_module(name)
    gc.collect()
    gc.disable()
    gc.freeze()
    threads = [(one / "comm").read_text() for one in Path("/proc/self/task").iterdir()]
    assert len(threads) == 1, threads
    control = socket.socket(fileno=os.dup(0))
    control.send(b"s")  # it has started
    command = _Server(control).serve()
    if command is not None:
        become(command, module)
    os._exit(0)  # without taking down what was imported


if __name__ == "__main__":
    main()
