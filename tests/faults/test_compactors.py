"""Compactors that are killed: each row is in the table once, and no segment goes before it is."""

import random
import time
from pathlib import Path

import msgspec
import pytest
from deltalake import DeltaTable

from faults.oracle import end, start, times
from lakehouse.core.ids import new_id
from lakehouse.core.row_codec import add_crc, encode_line
from lakehouse.sessionlog.keeping.sealing import seal as seal_log
from support.rows import make_row

ROWS = times(100_000, 1_000_000)
SEGMENTS = times(50, 500)
KILLS = times(40, 400)
COMPACTORS = 4


def write_segments(root: Path, rows: int, segments: int) -> list[str]:
    """Write sealed segments of a foreign writer, quickly; gives the row ids."""
    root.mkdir(parents=True)
    (root / "active").mkdir()
    template = make_row()
    line = encode_line(template)
    ids = []
    for number in range(segments):
        lines = []
        for _ in range(rows // segments):
            row_id = new_id()
            body = line.replace(template.row_id.encode(), row_id.encode())
            lines.append(b"\n" + add_crc(body[:-18] + b"}") + b"\n")
            ids.append(row_id)
        (root / "active" / f"foreign-{number}.jsonl").write_bytes(b"".join(lines))
    root.chmod(0o700)
    (root / "active").chmod(0o700)
    seal_log(root)
    return ids


def versions(root: Path) -> int:
    """Count the commits of the table."""
    return len(list((root / "table" / "_delta_log").glob("*.json")))


def test_what_is_written_here_are_rows(tmp_path: Path):
    """The quick writer writes what the codec does."""
    (row_id, *_) = write_segments(tmp_path / "log", 4, 2)
    text = next((tmp_path / "log" / "sealed").glob("*-0.jsonl")).read_bytes().split(b"\n")[1]
    row = make_row(session_id=row_id, trace_id=row_id, row_id=row_id)
    assert encode_line(row) == text
    assert msgspec.json.decode(text)["row_id"] == row_id


@pytest.mark.timeout(times(900, 7_200))
def test_compactors_that_are_killed_lose_and_double_nothing(tmp_path: Path):
    """Four at a time, killed and started again; the segments are deleted as soon as may be."""
    root = tmp_path / "log"
    ids = write_segments(root, ROWS, SEGMENTS)
    chance = random.Random(5)
    compactors = [start("compactor.py", root) for _ in range(COMPACTORS)]
    killed = 0
    # On a slow disk they come to little before a kill: go on until they had a part in it.
    while killed < KILLS or (versions(root) < SEGMENTS // 5 and killed < KILLS * 10):
        victim = chance.randrange(COMPACTORS)
        stdout = compactors[victim].stdout
        assert stdout is not None
        assert stdout.readline() == b"begins\n"
        time.sleep(chance.uniform(0, 0.6))
        end(compactors[victim], kill=True)
        killed += compactors[victim].returncode == -9
        compactors[victim] = start("compactor.py", root)
    for compactor in compactors:
        end(compactor, kill=True)
    assert versions(root) >= SEGMENTS // 5, "the killed ones had hardly any part in it"
    last = start("compactor.py", root, "--once")
    end(last)
    assert last.returncode == 0
    table = DeltaTable(str(root / "table"))
    found = table.to_pyarrow_table(columns=["row_id"])["row_id"].to_pylist()
    assert len(found) == len(ids)
    assert set(found) == set(ids)
    assert not list((root / "sealed").glob("*.jsonl"))
    print(f"{killed} kills, {table.version()} versions")


@pytest.mark.timeout(times(300, 7_200))
def test_a_compactor_that_does_not_look_for_its_transaction_is_caught(tmp_path: Path):
    """The planted bug doubles rows when a plan is executed again."""
    root = tmp_path / "log"
    ids = write_segments(root, 400, 4)
    for _ in range(2):
        end(start("compactor.py", root, "--once", "--bug", "no_transaction_check"))
    assert DeltaTable(str(root / "table")).count() > len(ids)


@pytest.mark.timeout(times(300, 7_200))
def test_a_compactor_that_does_not_look_at_the_table_is_caught(tmp_path: Path):
    """The planted bug doubles a row that comes again in a later segment."""
    root = tmp_path / "log"
    ids = write_segments(root, 400, 4)
    again = next((root / "sealed").glob("*.jsonl")).read_bytes()
    end(start("compactor.py", root, "--once"))
    (root / "active" / "repeated-0.jsonl").write_bytes(again)
    seal_log(root)
    end(start("compactor.py", root, "--once", "--bug", "no_look_at_the_table"))
    assert DeltaTable(str(root / "table")).count() > len(ids)
