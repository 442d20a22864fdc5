"""What must hold of a log after any fault, and the processes that the faults strike."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import duckdb

from lakehouse.core.row_codec import decode_row
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.keeping.verify import Verification, verify
from lakehouse.sessionlog.reading.reader import read_rows
from lakehouse.sessionlog.reading.views import open_views

PROGRAMS = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(PROGRAMS.parents[1] / "src")}
LONG = os.environ.get("LAKEHOUSE_FAULTS") == "long"
# The longest that a process may take; one that hangs is told from a slow one by it alone.
END_S = 1_800.0 if LONG else 60.0
PIPE_BYTES = 1 << 20  # of what a process may say before anybody reads it


class LogBroken(AssertionError):
    """A promise of the log does not hold."""


class Told(NamedTuple):
    """What producers said before they ended."""

    started: set[str]
    acked: set[str]


def times(ci: int, long: int) -> int:
    """Choose a count by the tier."""
    return long if LONG else ci


class Program(subprocess.Popen[bytes]):
    """A process of ours, on pipes; `errors` is what it said on stderr, once it has ended."""

    errors = ""


def start(program: str, *arguments: object, before: Iterable[str] = ()) -> Program:
    """Start one of our programs."""
    command = [*before, sys.executable, str(PROGRAMS / program), *map(str, arguments)]
    pipe = subprocess.PIPE
    return Program(
        command, stdin=pipe, stdout=pipe, stderr=pipe, env=ENVIRONMENT, pipesize=PIPE_BYTES
    )


def end(process: Program, *, kill: bool = False) -> str:
    """Kill a process, or wait for it; gives what it printed on stdout."""
    if kill:
        process.send_signal(signal.SIGKILL)
    try:
        out, errors = process.communicate(timeout=END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise LogBroken("a process hangs") from None
    process.errors = errors.decode()
    return out.decode()


def told(*outputs: str) -> Told:
    """Read what producers said; a line that was cut by their end was not said."""
    result = Told(set(), set())
    for output in outputs:
        for line in output.split("\n")[:-1]:
            word, _, row_id = line.partition(" ")
            if word in {"started", "acked"}:
                (result.started if word == "started" else result.acked).add(row_id)
    return result


def wait_until(condition: Callable[[], bool], what: str, *, within_s: float = END_S) -> None:
    """Wait for something that must come, for a bounded time."""
    until = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > until:
            raise LogBroken(f"never came: {what}")
        time.sleep(0.005)


def check(root: Path, said: Told) -> Verification:
    """Hold a log whose writers are all dead against its promises; reaps and seals it.

    Raises:
        LogBroken: Naming the promise.
    """
    seal(root)
    rows = check_rows(root, said)
    with open_views(root) as connection:
        columns = "count(*), count(DISTINCT row_id), count(session_id), count(prompt)"
        try:
            found = connection.execute(f"SELECT {columns} FROM sessions").fetchone()
        except duckdb.Error as error:
            raise LogBroken(f"SQL fails: {error}") from error
    _hold(found == (rows,) * 4, f"SQL sees {found} of {rows} rows")
    verified = verify(root)
    _hold(verified.sound, f"damage that nobody lists: {verified.bad[:3]}")
    _hold(verified.unfinished == 0, f"{verified.unfinished} sessions without a row")
    active = [path.name for path in (root / "active").iterdir()]
    _hold(active == [], f"segments of dead writers are left: {active}")
    return verified


def check_rows(root: Path, said: Told) -> int:
    """Hold the rows that a log shows against what its writers said; gives their number."""
    lines = list(read_rows(root))
    rows = {row.row_id: row for row in map(decode_row, lines)}
    _hold(len(rows) == len(lines), "a reader shows a row twice")
    _hold(said.acked <= rows.keys(), f"lost {len(said.acked - rows.keys())} acknowledged rows")
    crashed = {row_id for row_id, row in rows.items() if row.error is not None}
    _hold(not said.acked & crashed, "an acknowledged session was reaped")
    _hold(said.started <= rows.keys(), "a started session has no row")
    for row_id, row in rows.items():
        _hold(row.prompt.startswith(row_id), "a row is not what was written")
        _hold(row.prompt.replace(row_id, "") == "", "a row is not what was written")
    return len(rows)


def _hold(condition: bool, promise: str) -> None:
    if not condition:
        raise LogBroken(promise)
