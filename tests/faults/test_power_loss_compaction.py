"""The power goes during a compaction or soon after: readers show every row, the table heals."""

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from faults.oracle import (
    ENVIRONMENT,
    PROGRAMS,
    LogBroken,
    Told,
    check,
    check_rows,
    end,
    start,
    times,
    told,
)
from faults.power_loss import Change, Disk, materialize, read_trace
from faults.test_power_loss import power_disk
from lakehouse.core.errors import LakehouseError
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.reading import compacted
from lakehouse.sessionlog.reading.views import open_views

CUTS = times(60, 1_000)
CUTS_WHILE_HEALING = times(20, 300)
SEGMENTS_MIN = 5  # so that small files are merged


class Recorded(NamedTuple):
    """What changed on the disk: all before `first` is durable. `said` is of the rows to keep."""

    changes: list[Change]
    first: int
    said: Told
    forgotten: str


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    """Leave a log of several sealed segments, and what its writer said."""
    root = tmp_path_factory.mktemp("sealed") / "log"
    options = ["--rows", 18, "--at-once", 1, "--segment-bytes", 8_000]
    said = told(end(start("producer.py", root, *options)))
    check(root, said)
    assert len(list((root / "sealed").glob("*.jsonl"))) >= SEGMENTS_MIN
    return root, said


def record(directory: Path, log: Path, said: Told, *, bug: str | None = None) -> Recorded:
    """Compact a copy of a log, one segment a commit, and forget a session of it."""
    directory.mkdir()
    forgotten = min(said.acked)
    with power_disk(directory) as mount:
        shutil.copytree(log, mount / "log")
        command = [sys.executable, PROGRAMS / "compactor.py", mount / "log", "--once"]
        command += ["--plan-bytes", 1, "--forget", forgotten, *(["--bug", bug] if bug else [])]
        with (mount / "said").open("ab") as output:
            subprocess.run(
                [*map(str, command)], stdout=output, env=ENVIRONMENT, check=True, timeout=120
            )
    changes = read_trace(directory / "trace")
    first = next(at for at, change in enumerate(changes) if change.name == "said")
    return Recorded(changes, first, Told(set(), said.acked - {forgotten}), forgotten)


def disk_before(recorded: Recorded, place: int) -> Disk:
    """Give the disk as it is when a change comes."""
    disk = Disk()
    durable = recorded.changes[: recorded.first]
    for change in durable:
        disk.apply(change)
    for node in {node for change in durable for node in (change.node, change.parent)}:
        disk.apply(Change("sync", node))
    for change in recorded.changes[recorded.first : place]:
        disk.apply(change)
    return disk


def likelihoods(recorded: Recorded) -> Iterator[int]:
    """Weigh the places of a cut: most changes are of segments that go, and endanger no table."""
    weight = 1
    for change in recorded.changes[recorded.first :]:
        yield weight
        if change.what == "enter" and re.fullmatch(r"[0-9]{20}\.json", change.name):
            weight = 20
        if change.new_name == "durable.json":
            weight = 1
    yield weight


def cut_everywhere(
    directory: Path,
    recorded: Recorded,
    cuts: int,
    seed: int,
    hold: Callable[[Path, Recorded, bool], None],
) -> tuple[int, int]:
    """Cut the power, mostly where a commit is made and not yet marked; hold each log.

    Returns:
        How often something was lost, and how often the table's newest version was unreadable.
    """
    chance = random.Random(seed)
    places = range(recorded.first, len(recorded.changes) + 1)
    weights = list(likelihoods(recorded))
    answer = f"forgot {recorded.forgotten}".encode()
    struck = torn = 0
    for number, place in enumerate(chance.choices(places, weights, k=cuts)):
        disk = disk_before(recorded, place)
        struck += bool(disk.unsynced_names or disk.unsynced_data)
        root = directory / f"{number}"
        materialize(disk.cut(chance), root)
        torn += not newest_version_is_whole(root / "log" / "table")
        forgotten = any(answer in change.data for change in recorded.changes[:place])
        try:
            hold(root / "log", recorded, forgotten)
        except (LogBroken, LakehouseError, duckdb.Error) as broken:
            raise LogBroken(f"before change {place} of {places.stop}: {broken}") from broken
        shutil.rmtree(root)
    return struck, torn


def newest_version_is_whole(table: Path) -> bool:
    """Say whether an engine that knows nothing of marks, as ours once, can read the table."""
    try:
        DeltaTable(str(table)).to_pyarrow_table()
    except TableNotFoundError:
        return True  # there is none yet
    except (DeltaError, OSError, pa.ArrowException):
        return False
    return True


def hold_readers(root: Path, recorded: Recorded, forgotten: bool) -> None:
    """Hold what readers show as the power cut left it: every row once, and nothing forgotten."""
    rows = check_rows(root, recorded.said)
    with open_views(root) as connection:
        found = connection.execute("SELECT count(*), count(DISTINCT row_id) FROM sessions")
        if found.fetchone() != (rows, rows):
            raise LogBroken("SQL sees other rows than readers do")
    if forgotten and rows != len(recorded.said.acked):
        raise LogBroken("a forgotten session is shown")


def hold_table(root: Path, recorded: Recorded, forgotten: bool) -> None:
    """Hold the table that the next compaction leaves: whole, every row once."""
    compact(root, retention_h=0)
    hold_readers(root, recorded, forgotten)
    table = DeltaTable(str(root / "table"))
    found = table.to_pyarrow_table(columns=["row_id"])["row_id"].to_pylist()
    if len(found) != len(set(found)) or set(found) - {recorded.forgotten} != recorded.said.acked:
        raise LogBroken("a row is not in the table once")
    if list((root / "sealed").glob("*.jsonl")):
        raise LogBroken("the work is not ended")
    if forgotten:
        for path in (root / "table").rglob("*=*/*.parquet"):
            rows = pq.ParquetFile(path).read(columns=["row_id"])["row_id"].to_pylist()
            if recorded.forgotten in rows:
                raise LogBroken(f"{path.name} holds what was forgotten")


def hold_all(root: Path, recorded: Recorded, forgotten: bool) -> None:
    """Hold what readers show before the next compaction, then what it leaves."""
    hold_readers(root, recorded, forgotten)
    hold_table(root, recorded, forgotten)


@pytest.mark.timeout(times(1_800, 7_200))
def test_readers_see_every_row_and_the_table_heals(tmp_path: Path, sealed: tuple[Path, Told]):
    """Commits, a merge, segments deleted at once, a session forgotten: cut anywhere."""
    recorded = record(tmp_path / "record", *sealed)
    assert {change.what for change in recorded.changes} >= {"write", "sync", "rename", "leave"}
    struck, torn = cut_everywhere(tmp_path / "cut", recorded, CUTS, 1, hold_all)
    assert struck >= CUTS * 0.8, "there was hardly anything to lose"
    assert torn, "an engine that reads the newest version was not harmed"
    print(f"{struck} power cuts with something to lose, {torn} tore the newest version")


@pytest.mark.timeout(times(900, 7_200))
def test_the_power_may_go_again_while_the_table_heals(tmp_path: Path, sealed: tuple[Path, Told]):
    """A table that is torn is restored, and the restoring is cut anywhere."""
    recorded = record(tmp_path / "record", *sealed)
    torn = first_torn(tmp_path / "torn", recorded)
    healing = record(tmp_path / "healing", torn, sealed[1])
    aside = [change for change in healing.changes if change.name == "set_aside"]
    assert aside, "nothing was restored"
    struck, _ = cut_everywhere(tmp_path / "cut", healing, CUTS_WHILE_HEALING, 2, hold_all)
    assert struck >= CUTS_WHILE_HEALING * 0.8


def first_torn(directory: Path, recorded: Recorded) -> Path:
    """Cut the power until the table's newest version is unreadable; gives that log."""
    chance = random.Random(3)
    for number in range(1_000):
        disk = disk_before(recorded, chance.randrange(recorded.first, len(recorded.changes)))
        root = directory / f"{number}"
        materialize(disk.cut(chance), root)
        if not newest_version_is_whole(root / "log" / "table"):
            return root / "log"
        shutil.rmtree(root)
    raise LogBroken("no power cut tears the table")


@pytest.mark.parametrize("bug", ["marked_before_synced", "never_synced"])
@pytest.mark.timeout(600)
def test_a_planted_bug_of_the_compactor_is_caught(
    tmp_path: Path, sealed: tuple[Path, Told], bug: str
):
    """By some power cut."""
    recorded = record(tmp_path / "record", *sealed, bug=bug)
    with pytest.raises(LogBroken, match="before change") as caught:
        cut_everywhere(tmp_path / "cut", recorded, 400, 4, hold_all)
    print(f"{bug}: {caught.value}")


@pytest.mark.timeout(600)
def test_readers_that_do_not_heed_the_mark_are_caught(
    tmp_path: Path, sealed: tuple[Path, Told], monkeypatch: pytest.MonkeyPatch
):
    """As all were once: they fail until somebody repairs the table."""
    recorded = record(tmp_path / "record", *sealed)
    monkeypatch.setattr(compacted, "durable_version", lambda uri: None)
    with pytest.raises(LogBroken, match="before change") as caught:
        cut_everywhere(tmp_path / "cut", recorded, 400, 5, hold_readers)
    print(f"no heed of the mark: {caught.value}")
