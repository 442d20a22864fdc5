"""The object store refuses, or does it and its answer is lost: each row is in the table once."""

from pathlib import Path

import pytest
from deltalake import DeltaTable

from lakehouse.core.errors import LakehouseError
from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.reading.reader import read_rows
from support.dead_writer import dead_writer
from support.faulty_store import BUCKET, object_store
from support.rows import make_row

# The requests of a first compaction that change something: the table, the data, the commit.
REQUESTS = ("table", "data", "commit")


@pytest.mark.parametrize("fault", ["503 before", "503 after", "cut before", "cut after"])
@pytest.mark.parametrize("request_", REQUESTS)
def test_each_row_is_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_: str, fault: str
):
    """Every changing request in turn: refused, or done and its answer lost."""
    rows = [make_row() for _ in range(5)]
    dead_writer(tmp_path, rows=rows)
    seal(tmp_path)
    uri = f"s3://{BUCKET}/{tmp_path.name}"
    with object_store(monkeypatch) as store:
        store.faults = ["none"] * REQUESTS.index(request_) + [fault]
        for _ in range(3):
            try:
                compact(tmp_path, table=uri)
                break
            except LakehouseError:
                continue
        assert store.fired == [fault]
        assert DeltaTable(uri).count() == 5
        assert sorted(read_rows(tmp_path)) == sorted(map(encode_line, rows))
