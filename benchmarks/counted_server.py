"""A server under a counter of instructions, which the server's own functions tell how far it is.

Run by `bench_instructions.py`: `valgrind --tool=callgrind --instr-atstart=no python
counted_server.py [--points] up`, or the path of another program in place of `up`. A line on
standard input is answered by the same line, after the counter has noted it with the counts so far;
counting begins with the first. With `--points`, the functions in `POINTS` note their names when
they are called: what is counted between two notes ran between the two calls. Without valgrind the
notes do nothing, so that the same program can be traced.

Python's functions cannot be seen on a stack of C, since its interpreter calls them by itself.
"""

import asyncio
import ctypes
import functools
import gc
import importlib
import inspect
import mmap
import os
import platform
import runpy
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple

# Valgrind's sequence that does nothing on a real machine: rol rdi by 3, 13, 61 and 51, which is by
# 128 in all; xchg rbx, rbx. See valgrind.h, `__SPECIAL_INSTRUCTION_PREAMBLE`.
_SPECIAL: Final = bytes.fromhex("48c1c703 48c1c70d 48c1c73d 48c1c733 4887db")
_PRINT: Final = 0x1403  # VG_USERREQ__PRINTF_VALIST_BY_REF
_MONITOR: Final = 0x1202  # VG_USERREQ__GDB_MONITOR_COMMAND
_START: Final = 0x43540004  # VG_USERREQ__START_INSTRUMENTATION of callgrind
# What callgrind tells its debugger about each thread: the only way to read its counts as it runs.
_STATUS: Final = b"status internal"
_METH_NOARGS: Final = 4
# How much slower Python is under callgrind: threads would take the interpreter from each other in
# the middle of what is one turn otherwise, and what comes every second would be a part of sessions.
SLOWER: Final = 50
UP: Final = "up"  # the program that is Lakehouse itself


class Point(NamedTuple):
    """A function of ours, by its module and its name there, and the stage that its call begins."""

    where: str
    stage: str
    modules: str
    budget: tuple[int, int]  # thousand instructions of a first shot, and of one retry


POINTS: Final = (
    Point(
        "lakehouse.transport.inbound:Inbound.data_received",
        "request read, checked",
        "transport/inbound.py, server.py",
        (95, 115),
    ),
    Point(
        "lakehouse.transport.server:decode",
        "body decoded",
        "transport/request_body.py",
        (16, 19),
    ),
    Point(
        "lakehouse.admission.admission:Admission.answer",
        "session admitted, planned, begun",
        "admission/, validatord/service.py, engine/task.py",
        (36, 43),
    ),
    Point(
        "lakehouse.engine.run:Run.started",
        "started line built",
        "engine/run.py",
        (11, 13),
    ),
    Point(
        "lakehouse.sessionlog.writing.writer:SessionLogWriter.started",
        "started line encoded, written",
        "core/row_codec.py, sessionlog/writing/",
        (33, 40),
    ),
    Point(
        "lakehouse.validatord.service:iterate",
        "attempt begun: offer, slot",
        "engine/iterate.py, offers.py, chatd/",
        (26, 32),
    ),
    Point(
        "lakehouse.providers.openai:OpenAiProvider.complete",
        "model's request built",
        "providers/openai.py, endpoint.py",
        (29, 75),
    ),
    Point(
        "lakehouse.transport.client:HttpClient.post",
        "model's request sent; the loop, until its answer",
        "transport/client.py, connection.py, uvloop",
        (30, 72),
    ),
    Point(
        "lakehouse.transport.connection:Connection.data_received",
        "model's answer read",
        "transport/connection.py, providers/completion.py",
        (60, 148),
    ),
    Point(
        "lakehouse.engine.iterate:judge",
        "answer judged",
        "engine/judge.py, validation/",
        (40, 200),
    ),
    Point(
        "lakehouse.engine.run:Run.add",
        "attempt kept; what the next one is told",
        "engine/iterate.py, prompt.py",
        (5, 72),
    ),
    Point(
        "lakehouse.engine.run:Run.row",
        "row built",
        "engine/run.py",
        (26, 40),
    ),
    Point(
        "lakehouse.sessionlog.writing.writer:SessionLogWriter.append",
        "row encoded, written; the loop, until it is synced",
        "core/row_codec.py, sessionlog/writing/, uvloop",
        (40, 64),
    ),
    Point(
        "lakehouse.validatord.service:ValidatorService._tell",
        "session told to observers",
        "transport/observers.py, metrics/",
        (14, 24),
    ),
    Point(
        "lakehouse.validatord.service:session_reply",
        "reply built, encoded",
        "engine/run.py, validatord/routes.py, transport/server.py",
        (64, 94),
    ),
    Point(
        "lakehouse.transport.observers:Observers.request",
        "request told to observers; reply sent; the loop, until the next request",
        "metrics/, transport/, uvloop",
        (12, 18),
    ),
)
SYNC: Final = "lakehouse.files.disk:Disk.sync"  # noted once, for its thread
SYNC_BUDGET: Final = (26, 56)
BY_THE_CLOCK: Final = (  # seconds between what sessions and the loop do every now and then
    "lakehouse.sessionlog.writing.writer:SPACE_INTERVAL_S",
    "lakehouse.sessionlog.writing.row_queue:WATCH_INTERVAL_S",
)
COLLECTION, COLLECTED = "collection begins", "collection ended"


class _Method(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("code", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class Notes:
    """Makes functions that ask valgrind, from within the program that it runs, to note something.

    They are machine code that Python calls as it calls a function of C: through ctypes, a note
    would cost 3,000 instructions.
    """

    def __init__(self) -> None:
        if platform.machine() not in {"x86_64", "AMD64"}:
            sys.exit(f"the counter speaks to valgrind on x86-64 only, not on {platform.machine()}")
        access = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        self._page = mmap.mmap(-1, 16 * mmap.PAGESIZE, prot=access)
        self._at = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self._kept: list[object] = []  # what machine code has the addresses of
        self._status = self._request(_MONITOR, _STATUS)
        self.start = self._function(self._request(_START, b""))

    def named(self, name: str) -> Callable[[], object]:
        """Return a function that notes a name, and every thread's count."""
        return self._function(self._request(_PRINT, f"point {name}\n".encode()), self._status)

    def _request(self, number: int, text: bytes) -> int:
        """Make the array that a request is, and return its address."""
        held = ctypes.create_string_buffer(text)
        words = (ctypes.c_size_t * 6)(number, ctypes.addressof(held), ctypes.addressof(held))
        self._kept += [held, words]
        return ctypes.addressof(words)

    def _function(self, *requests: int) -> Callable[[], object]:
        """Make a function of the requests; it returns `own`, which Python gives it in rdi."""
        asked = [b"\x48\xb8%b%b" % (each.to_bytes(8, "little"), _SPECIAL) for each in requests]
        code = b"".join([*asked, bytes.fromhex("48ff07 4889f8 c3")])  # one more reference; return
        at = self._at + self._page.tell()
        self._page.write(code)
        method, own = _Method(b"note", at, _METH_NOARGS, None), object()
        self._kept += [method, own]
        make = ctypes.pythonapi.PyCFunction_NewEx
        make.argtypes = (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
        make.restype = ctypes.py_object
        made: Callable[[], object] = make(ctypes.addressof(method), own, None)
        return made


def find(where: str) -> tuple[Any, str, Any]:
    """Find a thing of ours: what it belongs to, its name there, and itself; exits if it is gone."""
    module, _, path = where.partition(":")
    try:
        owner: Any = importlib.import_module(module)
        *outer, name = path.split(".")
        for each in outer:
            owner = getattr(owner, each)
        return owner, name, inspect.getattr_static(owner, name)
    except (ImportError, AttributeError):
        sys.exit(f"{where} is not there any more: name what took its place in {__file__}")


def hook(where: str, note: Callable[[], object], *, once: bool = False) -> None:
    """Let a function of ours make a note when it is called."""
    owner, name, function = find(where)

    @functools.wraps(function)
    def noted(*arguments: Any, **named: Any) -> Any:
        note()
        if once:
            setattr(owner, name, function)
        return function(*arguments, **named)

    setattr(owner, name, noted)


def watch_collections(notes: Notes) -> None:
    """Note when the garbage collector begins and ends."""
    noting = {"start": notes.named(COLLECTION), "stop": notes.named(COLLECTED)}
    gc.callbacks.append(lambda phase, _: noting[phase]())


def answer_lines(notes: Notes, program: str) -> None:
    """Note each line of standard input, and answer with it; end the process after the last."""
    counting = False
    for line in sys.stdin:
        if not counting:
            counting = True
            notes.start()
            if program == UP:
                hook(SYNC, notes.named(SYNC), once=True)
        notes.named(line.strip())()
        sys.stdout.write(line)
        sys.stdout.flush()
    os._exit(0)  # nothing of it is kept, and a drain under valgrind takes its time


def slow_down() -> None:
    """Let what comes by the clock come as often a session as on the real machine."""
    for where in BY_THE_CLOCK:
        owner, name, interval_s = find(where)
        setattr(owner, name, SLOWER * interval_s)
    sleep = asyncio.sleep

    def longer(delay: float, result: object = None) -> Coroutine[Any, Any, object]:
        return sleep(SLOWER * delay, result)

    setattr(asyncio, "sleep", longer)  # noqa: B010  it is no type's own


def main() -> None:
    notes = Notes()
    with_points = sys.argv[1] == "--points"
    sys.argv = sys.argv[2 if with_points else 1 :]
    program, *arguments = sys.argv
    if with_points:
        for point in POINTS:
            hook(point.where, notes.named(point.where))
        watch_collections(notes)
    sys.setswitchinterval(SLOWER * sys.getswitchinterval())
    threading.Thread(target=answer_lines, args=(notes, program), daemon=True).start()
    if program == UP:
        slow_down()
        sys.argv = ["lakehouse", UP, *arguments]
        runpy.run_module("lakehouse", run_name="__main__")
    else:
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
