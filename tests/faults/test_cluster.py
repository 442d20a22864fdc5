"""A replay on a cluster: the same rows, the same books, and a kill -9 of whoever drives it."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from faults.oracle import ENVIRONMENT, PROGRAMS
from lakehouse.core.row_codec import decode_replay_run, decode_row
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.reading.reader import read_rows
from lakehouse.sessionlog.shared_file import whole_lines
from support.replays import log_sessions, write_project

COMPACTED = 600
NEWER = 200
# Namespaces of its own: no network but loopback, and every process ends with the first.
ALONE = [
    "unshare",
    "--user",
    "--map-root-user",
    "--net",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
]


def alone(what: str, directory: Path) -> Any:
    """Run the cluster's program in namespaces of its own; gives what it saw."""
    program = [sys.executable, str(PROGRAMS / "cluster.py"), what, str(directory)]
    with (directory / "errors.txt").open("wb") as errors:
        ran = subprocess.run(
            [*ALONE, *program],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=errors,
            timeout=840,
            check=False,
        )
    assert ran.returncode == 0, (directory / "errors.txt").read_text()[-2000:]
    seen = json.loads(ran.stdout.splitlines()[-1])
    assert seen["interfaces"] == ["lo"]
    return seen


@pytest.mark.timeout(900)
def test_a_cluster_leaves_each_pair_once_though_its_driver_is_killed(tmp_path: Path):
    """Sessions of the table and newer ones; two workers, and a token that keeps others out."""
    slow = [{"text": '{"city":"Bergen"}', "delay_ms": 50}]  # so that the kill finds work left
    config = write_project(tmp_path, new=slow)
    log_sessions(config, COMPACTED)
    seal(tmp_path / "log")
    compact(tmp_path / "log")
    log_sessions(config, NEWER)

    seen = alone("killed", tmp_path)

    assert seen["killed"] == -signal.SIGKILL
    assert 0 < seen["done_at_kill"] < COMPACTED + NEWER
    assert seen["resumed"] == 0, seen["errors"]
    assert seen["stranger"] == 3
    assert "RAY_AUTH_TOKEN" in seen["refusal"]
    seal(tmp_path / "log")
    runs = [decode_replay_run(line) for line in whole_lines(tmp_path / "log" / "replay_runs.jsonl")]
    rows = [decode_row(line) for line in read_rows(tmp_path / "log")]
    originals = {row.row_id for row in rows if row.daemon == "validatord"}
    replays = [row for row in rows if row.daemon == "replay"]
    assert len(originals) == len(runs) == COMPACTED + NEWER
    assert {run.row_id for run in runs} == originals
    assert {run.run_id for run in runs} == {seen["run_id"]}
    assert sorted(run.replay_row_id for run in runs) == sorted(row.row_id for row in replays)
    assert {(row.verdict, row.model) for row in replays} == {("accepted", "new-1")}
    assert verify(tmp_path / "log").sound


@pytest.mark.timeout(900)
def test_a_cluster_reads_a_table_in_an_object_store(tmp_path: Path):
    """No row is on the disk any more; asked again and judged again, each session once."""
    log_sessions(write_project(tmp_path), NEWER)

    seen = alone("in_object_store", tmp_path)

    assert seen["on_disk"] == 0
    assert [code for code, _ in seen["ends"]] == [0, 0], seen["ends"]
    assert f"{NEWER} of {NEWER} verdicts equal the logged ones" in seen["ends"][1][1]
    assert len(seen["originals"]) == NEWER
    assert sorted(seen["lines"]) == sorted(seen["originals"] * 2)
    assert seen["models"] == ["new-1"] * NEWER + ["old-1"] * NEWER
