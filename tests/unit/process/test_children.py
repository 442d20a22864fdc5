"""Children end with their parent, whatever ended that, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lakehouse.parity.fixtures import Fixture
from lakehouse.parity.peers import HelperPeer
from lakehouse.process.children import Child
from support.processes import descendants, wait_ended

# A child that says that it runs, and would run for ever; busy, deaf or with a child of its own.
SORTS = {
    "waiting": "import time\nprint('runs', flush=True)\ntime.sleep(1000)",
    "busy": "print('runs', flush=True)\nwhile True: pass",
    "deaf": "import signal, time\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\n"
    "print('runs', flush=True)\ntime.sleep(1000)",
    "parent": "import subprocess, sys, time\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
    "print('runs', flush=True)\ntime.sleep(1000)",
}
_OWNER = """
import sys
from pathlib import Path
from lakehouse.process.children import Child
child = Child([sys.executable, "-c", sys.argv[1]], stdout=None, remove=Path(sys.argv[2]))
child.process.wait()
"""


def start_owner(sort: str, directory: Path) -> subprocess.Popen[str]:
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, SORTS[sort], str(directory)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "runs\n"
    return owner


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("sort", SORTS)
def test_the_end_of_the_parent_is_the_end_of_its_children(
    tmp_path: Path, sort: str, number: signal.Signals
):
    """Its children's children too, and the directory that was theirs."""
    spill = tmp_path / "spill"
    (spill / "deep").mkdir(parents=True)
    (spill / "deep" / "file").write_text("x")
    owner = start_owner(sort, spill)
    running = descendants(owner.pid)
    assert len(running) >= 2, "a supervisor and a child"
    try:
        owner.send_signal(number)
        owner.communicate(timeout=60)
        assert wait_ended(running) == set()
    finally:
        owner.kill()
    assert not spill.exists()


def test_a_supervisor_that_is_killed_takes_its_child_along(tmp_path: Path):
    """By the kernel."""
    owner = start_owner("deaf", tmp_path / "none")
    running = descendants(owner.pid)
    [supervisor] = [one for one in running if descendants(one)]
    os.kill(supervisor, signal.SIGKILL)
    assert wait_ended(running) == set()
    owner.communicate(timeout=60)


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("raise SystemExit(0)", 0),
        ("raise SystemExit(7)", 7),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("import os; os.kill(os.getpid(), 15)", -15),
        ("import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.abort()", -6),
    ],
)
def test_it_ends_as_its_child_does(program: str, code: int):
    """So that a crash is told from an exit."""
    child = Child([sys.executable, "-c", program])
    child.process.wait(60)
    assert child.end() == code


def test_a_command_that_does_not_exist(tmp_path: Path):
    """127, as a shell says."""
    child = Child([str(tmp_path / "nothing")], stderr=subprocess.PIPE)
    child.process.wait(60)
    assert child.process.stderr is not None
    assert b"No such file" in child.process.stderr.read()
    assert child.end() == 127


def test_a_child_may_end_by_itself_within_its_grace():
    """It hears SIGTERM, finishes, and its exit code is heard."""
    program = (
        "import signal, time\n"
        "def end(*_):\n    time.sleep(0.3)\n    raise SystemExit(5)\n"
        "signal.signal(15, end)\nprint('runs', flush=True)\ntime.sleep(1000)"
    )
    child = Child([sys.executable, "-c", program], stdout=subprocess.PIPE, grace_s=30)
    assert child.process.stdout is not None
    assert child.process.stdout.readline() == b"runs\n"
    assert child.end() == 5


def test_a_deaf_child_is_killed_after_its_grace():
    """Not before, and not much later."""
    child = Child([sys.executable, "-c", SORTS["deaf"]], stdout=subprocess.PIPE, grace_s=0.5)
    assert child.process.stdout is not None
    assert child.process.stdout.readline() == b"runs\n"
    begun = time.monotonic()
    assert child.end() == -9
    assert time.monotonic() - begun >= 0.5


def test_a_supervisor_that_waits_takes_no_time():
    """After a signal too: what woke it is taken off."""
    child = Child([sys.executable, "-c", SORTS["deaf"]], stdout=subprocess.PIPE)
    assert child.process.stdout is not None
    assert child.process.stdout.readline() == b"runs\n"
    child.process.send_signal(signal.SIGTERM)
    ticks = Path(f"/proc/{child.process.pid}/stat")
    before = sum(map(int, ticks.read_text().rpartition(")")[2].split()[11:13]))
    time.sleep(1.0)  # the window to measure in
    after = sum(map(int, ticks.read_text().rpartition(")")[2].split()[11:13]))
    child.end()
    assert (after - before) / os.sysconf("SC_CLK_TCK") < 0.3


def test_helpers_of_other_runtimes_are_children_too(tmp_path: Path):
    """One that hangs is ended with what it started."""
    mark = tmp_path / "pids"
    program = (
        "import os, subprocess, sys, time\n"
        "one = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
        f"open({str(mark)!r}, 'a').write(f'{{os.getpid()}} {{one.pid}} ')\n"
        "time.sleep(1000)"
    )
    script = tmp_path / "helper.py"
    script.write_text(program)
    command = [sys.executable, str(script)]
    peer = HelperPeer("hanging", command, suites=("session_log",), timeout_s=3.0)
    [outcome] = peer.answers([Fixture("one", "session_log", "required", "", b"{}", None)])
    assert outcome.kind == "timeout"
    assert wait_ended({int(one) for one in mark.read_text().split()}) == set()
