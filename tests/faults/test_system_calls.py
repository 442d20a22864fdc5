"""A kill or an error at every system call with which the log changes anything on the disk."""

import itertools
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from deltalake import DeltaTable

from faults.oracle import END_S, LogBroken, Told, check, check_rows, end, start, times, told

CALLS = "write,fdatasync,fsync,openat,rename,link,linkat,unlink,unlinkat,mkdir,fallocate,flock"
ERRNOS = ("EIO", "ENOSPC", "EDQUOT", "EINTR", "EMFILE")
WORKERS = 2
FAILED_SYNC = re.compile(r"fdatasync\(.*\(INJECTED\)")
LINE = re.compile(r"^(?P<thread>\d+) +(?P<call>[a-z]+)\(")


class Point(NamedTuple):
    """The n-th call of its kind in a thread of the program, which touches the log."""

    call: str
    number: int


@pytest.fixture(scope="module", autouse=True)
def _strace():
    if shutil.which("strace") is None:
        pytest.fail("strace is not here: apt-get install strace")


def producer_options(root: Path, bug: str | None = None) -> list[object]:
    """A short life with everything in it: rotation, reaping, sealing, sessions left running."""
    options = [root, "--rows", 6, "--at-once", 1, "--segment-bytes", 2_000, "--left-running", 1]
    return [*options, "--tend", *(["--mutation", bug] if bug else [])]


def traced(root: Path, trace: Path, *inject: str, bug: str | None = None) -> str:
    """Run a producer under strace; gives what it said."""
    options = [f"--inject={fault}" for fault in inject]
    # Strings are shown to their 64th byte: enough for what a producer says.
    command = ["strace", "-f", "-y", "-qq", "-s", "64", "-o", str(trace), f"--trace={CALLS}"]
    command += options
    return end(start("producer.py", *producer_options(root, bug), before=command))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    """Leave a log of a dead writer, so that there is somebody to reap, and what it said."""
    root = tmp_path_factory.mktemp("template") / "log"
    return root, told(end(start("producer.py", root, "--rows", 2, "--left-running", 2)))


def points(directory: Path, template: Path, bug: str | None = None) -> list[Point]:
    """Run once without a fault, and list the calls that touched the log."""
    root, trace = directory / "log", directory / "trace"
    shutil.copytree(template, root)
    traced(root, trace, bug=bug)
    return _points_in(trace, root)


def _points_in(trace: Path, root: Path) -> list[Point]:
    counts: dict[tuple[str, str], int] = {}
    found = []
    for line in trace.read_text().splitlines():
        match = LINE.match(line)
        if match is None:
            continue
        key = match["thread"], match["call"]
        counts[key] = counts.get(key, 0) + 1
        changes = match["call"] != "openat" or "O_CREAT" in line
        if str(root) in line and changes:
            found.append(Point(match["call"], counts[key]))
    return sorted(set(found))


def strike(
    directory: Path,
    template: tuple[Path, Told],
    point: Point,
    fault: str,
    bug: str | None = None,
) -> bool:
    """Run with one fault and check the log; says whether the fault fired."""
    root, trace = directory / "log", directory / "trace"
    shutil.copytree(template[0], root)
    said = told(traced(root, trace, f"{point.call}:{fault}:when={point.number}", bug=bug))
    said = Told(said.started | template[1].started, said.acked | template[1].acked)
    text = trace.read_text()
    try:
        check(root, said)
    except LogBroken as broken:
        raise LogBroken(f"{fault} at {point}: {broken}") from broken
    shutil.rmtree(directory)
    return "(INJECTED)" in text or "killed by SIGKILL" in text


def strike_all(
    directory: Path, template: tuple[Path, Told], struck: list[tuple[Point, str]]
) -> int:
    """Strike at each point, two at a time; gives how many faults fired."""
    with ThreadPoolExecutor(WORKERS) as pool:
        jobs = [
            pool.submit(strike, directory / str(number), template, point, fault)
            for number, (point, fault) in enumerate(struck)
        ]
        return sum(job.result(timeout=END_S * 4) for job in jobs)


@pytest.mark.timeout(times(900, 7_200))
def test_a_kill_at_every_call(tmp_path: Path, template: tuple[Path, Told]):
    """Writing, rotating, reaping, sealing, removing locks."""
    struck = [(point, "signal=KILL") for point in points(tmp_path, template[0])]
    assert {point.call for point, _ in struck} >= {
        "write",
        "fdatasync",
        "fsync",
        "rename",
        "unlink",
    }
    assert len(struck) >= 60
    fired = strike_all(tmp_path, template, struck)
    # The threads take turns a little differently each time: a point may lie past the end.
    assert fired >= len(struck) * 0.9
    print(f"{fired} of {len(struck)} kills fired")


@pytest.mark.timeout(times(1200, 7_200))
def test_an_error_at_every_call(tmp_path: Path, template: tuple[Path, Told]):
    """Each point with each error in turn; in the long tier, every error at every point."""
    places = points(tmp_path, template[0])
    every = list(itertools.product(places, ERRNOS))
    ci = [
        (place, ERRNOS[(index + turn) % len(ERRNOS)])
        for turn in range(3)
        for index, place in enumerate(places)
    ]
    struck = [(place, f"error={name}") for place, name in (every if times(0, 1) else ci)]
    fired = strike_all(tmp_path, template, struck)
    assert fired >= max(300, len(struck) * 0.9)
    print(f"{fired} of {len(struck)} errors fired")


BUGS = ["manifest_after_the_rename"]


@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.timeout(times(600, 7_200))
def test_a_planted_bug_is_caught(tmp_path: Path, template: tuple[Path, Told], bug: str):
    """By a kill at some call that opens or renames a file."""
    calls = [point for point in points(tmp_path, template[0], bug) if point.call == "openat"]
    for number, point in enumerate(reversed(calls)):
        try:
            strike(tmp_path / str(number), template, point, "signal=KILL", bug)
        except LogBroken as broken:
            print(f"{bug}: {broken}")
            return
    pytest.fail(f"nothing caught {bug}")


@pytest.mark.parametrize("after", ["", "+"], ids=["once", "for ever"])
@pytest.mark.timeout(times(300, 7_200))
def test_a_failed_sync_is_never_acknowledged(
    tmp_path: Path, template: tuple[Path, Told], after: str
):
    """Once: the rows go into another segment. For ever: nothing is acknowledged any more."""
    numbers = [point.number for point in points(tmp_path, template[0]) if point.call == "fdatasync"]
    assert len(numbers) >= 6
    fired = 0
    for number in numbers:
        root, trace = tmp_path / f"log-{number}", tmp_path / f"{number}.trace"
        shutil.copytree(template[0], root)
        said = told(traced(root, trace, f"fdatasync:error=EIO:when={number}{after}"))
        text = trace.read_text()
        check(root, Told(said.started | template[1].started, said.acked | template[1].acked))
        if number == 1 and after:
            assert not said.acked
        if "(INJECTED)" not in text:
            continue
        fired += 1
        if after:
            thread = FAILED_SYNC.search(text)
            assert thread is not None
            later = text[thread.end() :]
            assert not re.search(r'write\(1<[^>]*>, "acked ', later), "acknowledged without a sync"
        elif number > 1:
            assert len(said.acked) == 6, "the next segment took the rows"
    assert fired >= len(numbers) * 0.9


@pytest.mark.timeout(times(1_200, 7_200))
def test_a_kill_at_every_call_of_a_compaction(tmp_path: Path):
    """Readers see every row once as it was left, and the next compaction ends the work."""
    sealed = tmp_path / "sealed"
    said = told(end(start("producer.py", sealed, "--rows", 12, "--segment-bytes", 8_000)))
    check(sealed, said)
    clean = tmp_path / "clean"
    shutil.copytree(sealed, clean)
    command = ["strace", "-f", "-y", "-qq", "-o", str(tmp_path / "trace"), f"--trace={CALLS}"]
    end(start("compactor.py", clean, "--once", before=command))
    struck = _points_in(tmp_path / "trace", clean)
    assert {point.call for point in struck} >= {"write", "fsync", "rename", "unlink"}
    with ThreadPoolExecutor(WORKERS) as pool:
        jobs = [
            pool.submit(_kill_compactor, tmp_path / f"{number}", sealed, said, point)
            for number, point in enumerate(struck)
        ]
        fired = sum(job.result(timeout=END_S * 4) for job in jobs)
    # The Delta library's threads share their work anew each time.
    assert fired >= len(struck) * 0.5
    print(f"{fired} of {len(struck)} kills fired")


def _kill_compactor(directory: Path, sealed: Path, said: Told, point: Point) -> bool:
    root, trace = directory / "log", directory / "trace"
    shutil.copytree(sealed, root)
    command = ["strace", "-f", "-qq", "-o", str(trace), f"--trace={CALLS}"]
    command += [f"--inject={point.call}:signal=KILL:when={point.number}"]
    end(start("compactor.py", root, "--once", before=command))
    again = None
    try:
        check_rows(root, said)
        again = start("compactor.py", root, "--once")
        end(again)
        assert check_rows(root, said) == DeltaTable(str(root / "table")).count()
        assert not list((root / "sealed").glob("*.jsonl"))
    except (LogBroken, AssertionError) as broken:
        errors = again.errors if again is not None else ""
        raise LogBroken(f"kill at {point}: {broken} {errors}") from broken
    killed = "killed by SIGKILL" in trace.read_text()
    shutil.rmtree(directory)
    return killed


def test_strace_reaches_what_it_is_asked_to(tmp_path: Path):
    """The tool itself: an injected error is what the program sees."""
    done = subprocess.run(
        [
            *["strace", "-qq", "-o", "/dev/null", "--inject=mkdir:error=EDQUOT", "mkdir"],
            tmp_path / "x",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "quota" in done.stderr
