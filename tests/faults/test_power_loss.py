"""The power goes at any moment: with `durability = "commit"`, no acknowledged row is lost."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.oracle import (
    ENVIRONMENT,
    PROGRAMS,
    LogBroken,
    Told,
    check,
    check_rows,
    times,
    told,
    wait_until,
)
from faults.power_loss import Change, Disk, materialize, read_trace
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.reading.stats import stats

TRACES = times(2, 25)
CUTS = times(100, 200)  # of one trace


@pytest.fixture
def memory_path() -> Iterator[Path]:
    """Give a directory in memory where there is one: what is checked was cut, not synced."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as name:
        yield Path(name)


@contextlib.contextmanager
def power_disk(directory: Path, *options: object) -> Iterator[Path]:
    """Mount the file system that records; its trace is `directory / "trace"` afterwards."""
    if shutil.which("fusermount3") is None:
        pytest.fail("FUSE is not here: apt-get install fuse3")
    mount = directory / "disk"
    mount.mkdir()
    command = [sys.executable, PROGRAMS / "power_disk.py", mount, directory / "trace"]
    server = subprocess.Popen([*map(str, [*command, *options])], env=ENVIRONMENT)
    try:
        wait_until(lambda: os.path.ismount(mount), "the mount")
        yield mount
    finally:
        subprocess.run(["fusermount3", "-u", str(mount)], check=True)
        server.wait(60)


def record(directory: Path, *options: object, bug: str | None = None) -> list[Change]:
    """Let two writers live after one another on the disk; gives all that changed there.

    The first leaves sessions running, the second reaps and seals. What they say lies on the same
    disk, so that its place among the changes is known.
    """
    directory.mkdir()
    with power_disk(directory, *options) as mount:
        for lives in (["--rows", 6, "--left-running", 2], ["--rows", 24, "--tend"]):
            command = [sys.executable, PROGRAMS / "producer.py", mount / "log", *lives]
            command += ["--at-once", 2, "--segment-bytes", 4_000, "--row-bytes", 300]
            command += ["--mutation", bug] if bug else []
            with (mount / "said").open("ab") as said:
                done = subprocess.run(
                    [*map(str, command)], stdout=said, env=ENVIRONMENT, check=False, timeout=60
                )
            # 3: the sync of its first segment failed, so it refused to begin.
            assert done.returncode == 0 or (done.returncode == 3 and options)
    return read_trace(directory / "trace")


def said_before(changes: list[Change]) -> Told:
    """Read what the writers had acknowledged by then; started lines are not promised to last."""
    said = next((change.node for change in changes if change.name == "said"), None)
    text = b"".join(
        change.data for change in changes if change.what == "write" and change.node == said
    )
    return Told(set(), told(text.decode()).acked)


def check_sealed_rows(root: Path, said: Told) -> None:
    """Check the rows: a disk that lost a synced page leaves damage, which takes no row along."""
    seal(root)
    rows = check_rows(root, said)
    if stats(root).sessions != rows:
        raise LogBroken(f"SQL sees {stats(root).sessions} of {rows} rows")


def cut_everywhere(
    directory: Path,
    changes: list[Change],
    cuts: int,
    seed: int,
    *,
    hold: Callable[[Path, Told], object] = check,
) -> int:
    """Cut the power at random places and check each log; gives how often something was lost."""
    chance = random.Random(seed)
    struck = 0
    for number in range(cuts):
        place = chance.randrange(len(changes) + 1)
        disk = Disk()
        for change in changes[:place]:
            disk.apply(change)
        unsynced = bool(disk.unsynced_names or disk.unsynced_data)
        root = directory / f"{number}"
        materialize(disk.cut(chance), root)
        struck += unsynced
        said = said_before(changes[:place])
        try:
            if said.acked or (root / "log").exists():
                hold(root / "log", said)
        except (LogBroken, OSError) as broken:
            raise LogBroken(f"after change {place} of {len(changes)}: {broken}") from broken
        shutil.rmtree(root)
    return struck


@pytest.mark.timeout(times(1_800, 7_200))
def test_no_acknowledged_row_goes_with_the_power(tmp_path: Path, memory_path: Path):
    """Unsynced writes dropped, torn and out of order, names not there yet."""
    struck = acked = 0
    for seed in range(TRACES):
        changes = record(tmp_path / f"{seed}")
        assert {change.what for change in changes} >= {"write", "sync", "enter", "rename", "leave"}
        acked += len(said_before(changes).acked)
        struck += cut_everywhere(memory_path / f"cut-{seed}", changes, CUTS, seed)
    assert acked == 30 * TRACES
    assert struck >= TRACES * CUTS * 0.9, "there was hardly anything to lose"
    print(f"{struck} power cuts with something to lose, {acked} acknowledged rows")


@pytest.mark.timeout(times(300, 7_200))
def test_pages_that_a_failed_sync_dropped_are_written_again(tmp_path: Path, memory_path: Path):
    """Each sync fails in turn: what is acknowledged afterwards lies in pages that were synced."""
    fired = 0
    for number in range(1, times(13, 60)):
        changes = record(tmp_path / f"{number}", "--fail-sync", number)
        fired += any(change.what == "lost" for change in changes)
        cut_everywhere(memory_path / f"cut-{number}", changes, 5, number, hold=check_sealed_rows)
    assert fired == number


BUGS = [
    ("acknowledged_before_written", []),
    ("acknowledged_before_sync", []),
    ("no_directory_sync", []),
    ("sealed_before_synced", []),
    ("failed_sync_tried_again", ["--fail-sync", 9]),
]


@pytest.mark.parametrize(("bug", "options"), BUGS, ids=[bug for bug, _ in BUGS])
@pytest.mark.timeout(times(300, 7_200))
def test_a_planted_bug_is_caught(
    tmp_path: Path, memory_path: Path, bug: str, options: list[object]
):
    """By some power cut."""
    for seed in range(5):
        changes = record(tmp_path / f"{seed}", *options, bug=bug)
        try:
            hold = check_sealed_rows if options else check
            cut_everywhere(memory_path / f"cut-{seed}", changes, 100, seed, hold=hold)
        except LogBroken as broken:
            print(f"{bug}: {broken}")
            return
    pytest.fail(f"nothing caught {bug}")
