"""A compacted table in an object store: pages read what is here, and say what they leave out."""

from pathlib import Path

import pytest

from lakehouse.sessionlog.index.reader import LogReader
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.sealing import seal
from support.dead_writer import dead_writer
from support.faulty_store import BUCKET, object_store
from support.rows import make_row
from support.ui_pages import pages_over

COMPACTED = [make_row(timestamp=f"2026-01-0{day}T00:00:00.000000Z") for day in (1, 2, 3, 4)]
HERE = make_row(timestamp="2026-01-05T00:00:00.000000Z")


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    dead_writer(tmp_path, rows=COMPACTED)
    seal(tmp_path)
    with object_store(monkeypatch):
        assert compact(tmp_path, table=f"s3://{BUCKET}/{tmp_path.name}", retention_h=0).rows == 4
    assert not list((tmp_path / "sealed").glob("*.jsonl"))
    dead_writer(tmp_path, rows=[HERE])
    return tmp_path  # the store cannot be reached any more


def test_the_rows_of_this_machine_are_counted_and_the_others_are_told(log: Path):
    with LogReader(log) as reader:
        answer = reader.rates()
        assert (answer.total.sessions, answer.progress.compacted_elsewhere) == (1, True)
        assert reader.session(HERE.session_id).rows
        assert answer.progress.files_missing == 0


def test_every_page_says_so_and_a_file_is_refused(log: Path):
    with pages_over(log) as client:
        for page in ("", "/sessions", "/findings", "/values", "/latency", "/kinds", "/feedback"):
            text = client.get(f"/ui{page}").text
            assert "Compacted rows are in an object store and are not counted" in text, page
        gone = client.get(f"/ui/sessions/{COMPACTED[0].session_id}")
        assert gone.status_code == 404
        assert f"lakehouse show {COMPACTED[0].session_id}" in gone.text
        for suffix in ("csv", "jsonl", "parquet"):
            refused = client.get(f"/ui/sessions.{suffix}")
            assert refused.status_code == 400
            assert "compacted rows are in an object store" in refused.json()["detail"]
        assert client.get("/ui/sessions.sql").status_code == 200


def test_a_table_on_this_machine_is_read(tmp_path: Path):
    dead_writer(tmp_path, rows=COMPACTED)
    seal(tmp_path)
    assert compact(tmp_path, retention_h=0).rows == 4
    with LogReader(tmp_path) as reader:
        assert not reader.rates().progress.compacted_elsewhere
