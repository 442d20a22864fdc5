"""A forked command is what a process of its own would be, and leaves nothing for the next."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.forked_commands import ForkedCommands, as_text, run_command
from support.waiting import wait_until

# What commands can do, by their first argument.
PROGRAM = """
import atexit, fractions, json, os, signal, sys, threading, time

def told():
    return {
        "argv": sys.argv, "main": sys.modules["__main__"].__file__, "path": sys.path[0],
        "cwd": os.getcwd(), "mine": os.environ.get("MINE"), "home": os.environ.get("HOME"),
        "threads": os.environ.get("OPENBLAS_NUM_THREADS"), "zone": time.tzname,
        "streams": [
            (one.encoding, one.errors, one.line_buffering, one.isatty(), one.fileno())
            for one in (sys.stdin, sys.stdout, sys.stderr)
        ],
        "signals": {one.name: str(signal.getsignal(one)) for one in signal.valid_signals()
                    if isinstance(one, signal.Signals)},
        "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "files": sorted(int(one) for one in os.listdir("/proc/self/fd"))[:3],
        "open": len(os.listdir("/proc/self/fd")),
        "left": getattr(fractions, "left", None), "gc": __import__("gc").isenabled(),
        "before": os.path.exists("left.txt"), "umask": os.umask(0o22), "name": __name__,
    }

match sys.argv[1]:
    case "told":
        print(json.dumps(told()))
    case "read":
        text = sys.stdin.read()
        print(len(text), text[:20].encode())
    case "leave":
        fractions.left = 1
        os.environ["MINE"] = "left"
        os.umask(0o77)
        os.chdir("/")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.argv.append("left")
        sys.stdout.write("left without an end of line")
    case "exit":
        sys.exit(eval(sys.argv[2]))
    case "raise":
        raise eval(sys.argv[2])
    case "kill":
        os.kill(os.getpid(), int(sys.argv[2]))
    case "end":
        atexit.register(print, "at exit")
        threading.Thread(target=lambda: (time.sleep(0.1), print("thread"))).start()
        class Last:
            def __del__(self):
                print("collected")
        one = Last()
        one.itself = one
        del one
        print("begun")
    case "write":
        print("o" * 300_000, end="\\r\\nx\\ry")
        print("e" * 300_000 + "\\u00e9", file=sys.stderr)
    case "hang":
        child = os.fork()
        print("early", flush=True)
        if child:
            open("pids", "w").write(f"{os.getpid()} {child}\\n")
        time.sleep(600)
"""
SAME = (
    ("told", "a b", "\udcff"),
    ("exit", "None"),
    ("exit", "3"),
    ("exit", "256 + 7"),
    ("exit", "-1"),
    ("exit", "'a reason'"),
    ("exit", "True"),
    ("raise", "KeyboardInterrupt"),
    ("kill", "9"),
    ("kill", "15"),
    ("kill", "2"),
    ("end",),
    ("write",),
    ("leave",),
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("probe")
    (made / "probe.py").write_text(PROGRAM)
    return made


@pytest.fixture(scope="module")
def forked(directory: Path) -> Iterator[ForkedCommands]:
    commands = ForkedCommands("probe", ["fractions"])
    yield commands
    commands.close()


def apart(directory: Path, *argv: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "probe", *argv],
        cwd=directory,
        env={**os.environ, **more},
        capture_output=True,
        timeout=60,
        check=False,
    )


def parts(done: subprocess.CompletedProcess[Any]) -> tuple[object, ...]:
    return done.args, done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("argv", SAME, ids=" ".join)
def test_it_is_what_a_process_of_its_own_is(
    forked: ForkedCommands, directory: Path, argv: tuple[str, ...]
) -> None:
    """Its arguments, directory, environment, streams, signals and descriptors, and its end."""
    environment = {"MINE": "mine", "TZ": "Europe/Oslo"}
    own = apart(directory, *argv, **environment)
    done = forked.run(argv, cwd=directory, env={**os.environ, **environment}, timeout=60)
    if b"Traceback" in own.stderr:  # whose first lines are of who called
        assert done.returncode == own.returncode
        assert done.stderr.splitlines()[-1] == own.stderr.splitlines()[-1]
    else:
        assert parts(done) == parts(own)


def test_what_is_not_caught_is_a_traceback(forked: ForkedCommands, directory: Path) -> None:
    done = forked.run(["raise", "ValueError('no')"], cwd=directory, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(b"Traceback (most recent call last):\n")
    assert done.stderr.endswith(b"ValueError: no\n")


@pytest.mark.parametrize("text", ["", "short\r\n", "\u00e9" * 300_000])
def test_it_reads_what_it_is_given(forked: ForkedCommands, directory: Path, text: str) -> None:
    own = subprocess.run(
        [sys.executable, "-m", "probe", "read"],
        cwd=directory,
        input=text,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    done = forked.run(["read"], cwd=directory, input=text, timeout=60)
    assert parts(as_text(done)) == parts(own)


def test_a_reader_that_does_not_read_stops_nothing(forked: ForkedCommands, directory: Path) -> None:
    done = forked.run(["exit", "4"], cwd=directory, input="x" * 300_000, timeout=60)
    assert done.returncode == 4


def test_one_leaves_nothing_for_the_next(forked: ForkedCommands, directory: Path) -> None:
    """Module globals, environment, directory, signals, arguments, and what is not yet written."""
    before = parts(forked.run(["told"], cwd=directory, timeout=60))
    assert b"left" in forked.run(["leave"], cwd=directory, timeout=60).stdout
    assert parts(forked.run(["told"], cwd=directory, timeout=60)) == before


def test_one_that_takes_too_long_is_killed_with_its_group(
    forked: ForkedCommands, directory: Path
) -> None:
    with pytest.raises(subprocess.TimeoutExpired) as raised:
        forked.run(["hang"], cwd=directory, timeout=1)
    assert raised.value.cmd == [sys.executable, "-m", "probe", "hang"]
    assert raised.value.timeout == 1
    assert b"early" in (raised.value.stdout or b"")
    for process in (directory / "pids").read_text().split():
        wait_until(partial(_ended, process), "its end")
    assert forked.run(["exit", "5"], cwd=directory, timeout=60).returncode == 5


def _ended(process: str) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def test_two_run_at_a_time(forked: ForkedCommands, directory: Path) -> None:
    """A command that hangs keeps no other waiting."""
    with ThreadPoolExecutor() as pool:
        hanging = pool.submit(forked.run, ["hang"], cwd=directory, timeout=3)
        begun = time.monotonic()
        assert forked.run(["exit", "6"], cwd=directory, timeout=60).returncode == 6
        assert time.monotonic() - begun < 3
        with pytest.raises(subprocess.TimeoutExpired):
            hanging.result()


@pytest.mark.parametrize("name", ["PYTHONDONTWRITEBYTECODE", "LC_ALL", "LANG"])
def test_another_interpreter_is_refused(forked: ForkedCommands, directory: Path, name: str) -> None:
    environment = {**os.environ, name: "something else"}
    with pytest.raises(AssertionError, match="a process of its own"):
        forked.run(["told"], cwd=directory, env=environment, timeout=60)


def test_it_ends_with_who_started_it(directory: Path) -> None:
    """And so do its commands."""
    program = (
        "import os, threading, pathlib\n"
        "from support.forked_commands import ForkedCommands\n"
        "commands = ForkedCommands('probe')\n"
        "hang = lambda: commands.run(['hang'], cwd=pathlib.Path.cwd(), timeout=600)\n"
        "threading.Thread(target=hang, daemon=True).start()\n"
        "while not os.path.exists('pids') or not open('pids').read().endswith('\\n'): pass\n"
        "os._exit(0)\n"
    )
    (directory / "pids").unlink(missing_ok=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(
        [sys.executable, "-c", program], cwd=directory, env=environment, check=True, timeout=60
    )
    for process in (directory / "pids").read_text().split():
        wait_until(partial(_ended, process), "its end")


def test_lakehouse_is_run(tmp_path: Path) -> None:
    """As a process of its own would be; it says what Typer and the gateway's client say."""
    for argv in (["iterate", "--prompt", "x"], ["log", "verify"]):
        own = subprocess.run(
            [sys.executable, "-m", "lakehouse", *argv],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert parts(run_command(argv, cwd=tmp_path, timeout=60)) == parts(own)
