"""An index that cannot be built: the kind of cause comes with every answer that lacks rows."""

import errno
import json
from pathlib import Path

import pytest

from lakehouse.core.errors import LakehouseError
from lakehouse.sessionlog.index import builder
from lakehouse.sessionlog.index.builder import build
from lakehouse.sessionlog.index.packs import INDEX, Heads
from lakehouse.sessionlog.index.reader import LogReader
from lakehouse.sessionlog.index.records import records
from lakehouse.sessionlog.index.trouble import exit_code, trouble_code, trouble_of_exit
from lakehouse.sessionlog.keeping.compaction import compact
from support.indexed_log import waiting_log
from support.small_disk import on_small_disk
from support.waiting import wait_until


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "x"), "no_space"),
        (PermissionError(errno.EACCES, "x"), "not_allowed"),
        (OSError(errno.EROFS, "x"), "not_allowed"),
        (FileExistsError(errno.EEXIST, "x"), "place_taken"),
        (OSError(errno.EIO, "x"), "failed"),
        (OSError("Arrow's own"), "log_unreadable"),
        (LakehouseError("the table"), "log_unreadable"),
    ],
)
def test_an_error_has_one_kind_that_crosses_an_exit_code(error: OSError, code: str):
    found = trouble_of_exit(exit_code(trouble_code(error)))
    assert found.code == code
    assert found.message
    assert found.hint


def test_an_exit_code_that_is_none_of_ours_is_a_failure():
    assert trouble_of_exit(-9).code == trouble_of_exit(1).code == "failed"


def test_a_session_that_is_forgotten_during_a_build_costs_one_more_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """`forget_session` removes what is being written: that is no failure of the builder."""
    waiting_log(tmp_path)
    read = records
    forgotten: list[str] = []

    def forgetting(*arguments, **options):
        yield from read(*arguments, **options)
        if not forgotten:
            forgotten.append("one")
            builder.forget_session(tmp_path / INDEX, "one")

    monkeypatch.setattr(builder, "records", forgetting)
    assert build(tmp_path, tmp_path / INDEX).rows == 10
    assert forgotten == ["one"]
    assert [pack.head.rows for pack in Heads(tmp_path / INDEX).packs()] == [10]


FULL = """
import msgspec, time
from lakehouse.sessionlog.index.reader import LogReader
from lakehouse.sessionlog.index.records import records
from support.indexed_log import waiting_log

log = waiting_log(disk / "log")
ballast = fill()
found = []
with LogReader(log) as reader:
    until = time.monotonic() + 60
    while not (trouble := reader.rates().progress.index_trouble) and time.monotonic() < until:
        time.sleep(0.1)
    found.append(trouble.code)
    ballast.unlink()
    while not (last := reader.rates().progress).complete and time.monotonic() < until:
        time.sleep(0.1)
    found += [last.complete, last.index_trouble]
print(json.dumps(found))
"""


def test_a_full_disk_is_told_until_it_has_room(tmp_path: Path):
    printed = on_small_disk(tmp_path / "disk", "64M", FULL)
    assert json.loads(printed) == ["no_space", True, None]


def test_a_torn_file_of_the_table_is_told(tmp_path: Path):
    """Its rows are in no segment: they stay missing, and the answer says why."""
    waiting_log(tmp_path)
    compact(tmp_path, retention_h=0)
    (file,) = (tmp_path / "table").rglob("*.parquet")
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    with LogReader(tmp_path) as reader:
        wait_until(lambda: reader.rates().progress.index_trouble, "the trouble", every_s=0.1)
        progress = reader.rates().progress
        assert progress.index_trouble is not None
        assert (progress.index_trouble.code, progress.files_missing) == ("log_unreadable", 1)
        file.write_bytes(data)
    build(tmp_path, tmp_path / INDEX)
    with LogReader(tmp_path) as reader:
        assert (reader.rates().total.sessions, reader.rates().progress.complete) == (11, True)
