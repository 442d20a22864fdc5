"""The table in an object store: the same log, and the same answers from every reader."""

from pathlib import Path

import pytest

from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.forgetting import forget
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.reading.query import QueryFailed, query
from lakehouse.sessionlog.reading.reader import find_rows, read_rows
from lakehouse.sessionlog.reading.sessions import list_sessions
from lakehouse.sessionlog.reading.stats import stats
from support.dead_writer import dead_writer
from support.faulty_store import BUCKET, object_store
from support.rows import make_row


def test_a_table_in_s3_is_read_by_every_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Rows, lists, rates and SQL; and a session is forgotten there."""
    rows = [make_row(timestamp=f"2026-01-0{day}T00:00:00.000000Z") for day in (1, 2, 3, 4)]
    dead_writer(tmp_path, rows=rows)
    seal(tmp_path)
    with object_store(monkeypatch):
        assert compact(tmp_path, table=f"s3://{BUCKET}/table", retention_h=0).rows == 4
        assert not list((tmp_path / "sealed").glob("*.jsonl"))
        assert sorted(read_rows(tmp_path)) == sorted(map(encode_line, rows))
        assert len(list_sessions(tmp_path).rows) == 4
        assert find_rows(tmp_path, rows[0].row_id) == [encode_line(rows[0])]
        assert stats(tmp_path).sessions == 4
        answer = query(
            tmp_path, "SELECT count(*) AS n FROM sessions WHERE timestamp < '2026-01-03'"
        )
        assert answer.json() == b'[{"n":2}]'
        assert forget(tmp_path, rows[0].session_id).left == ()
        assert stats(tmp_path).sessions == 3
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(QueryFailed, match="cannot be read"):
        query(tmp_path, "SELECT 1", timeout_ms=200_000)
