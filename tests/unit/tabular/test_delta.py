"""Delta tables: what the scan honours is read right, everything else is refused by its name."""

import json
import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.tabular import delta
from support.delta_logs import (
    MAPPED,
    PLAIN,
    commit,
    data_file,
    field,
    inline_vector,
    metadata,
    protocol,
    stored_vector,
)

TWO = [field("code", physical="col-1", column_id=1), field("city", physical="col-2", column_id=2)]
CELLS = {"col-1": ["A", "B"], "col-2": ["x", "y"]}


def rows(path: Path) -> list[dict[str, Any]]:
    table = delta.read(delta.newest(path))
    return sorted(table.to_pylist(), key=str)


def refused(path: Path) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        delta.read(delta.newest(path))
    return str(caught.value)


@pytest.mark.parametrize("mode", ["name", "id"])
@pytest.mark.parametrize("partitions", [[], ["year"]])
def test_what_the_library_writes_under_column_mapping(
    tmp_path: Path, mode: str, partitions: list[str]
) -> None:
    table = pa.table({"code": ["A", "B"], "year": [2020, 2021], "s": [{"x": 1}, {"x": 2}]})
    write_deltalake(
        tmp_path / "t",
        table,
        configuration={"delta.columnMapping.mode": mode},
        partition_by=partitions or None,
    )
    assert "code" not in pq.read_schema(next((tmp_path / "t").rglob("*.parquet"))).names
    assert rows(tmp_path / "t") == sorted(table.to_pylist(), key=str)


@pytest.mark.parametrize("first", [MAPPED, protocol("columnMapping")])
def test_mapping_by_name_with_a_partition_and_a_column_that_came_later(
    tmp_path: Path, first: dict[str, Any]
) -> None:
    fields = [*TWO, field("year", "integer", physical="col-3", column_id=3)]
    described = metadata(fields, partitions=["year"], columnMapping_mode="name")
    old = data_file(
        tmp_path, {"col-1": ["C"]}, name="old file.parquet", partition={"col-3": "2019"}
    )
    old["add"]["path"] = "old%20file.parquet"
    new = data_file(tmp_path, CELLS, partition={"col-3": None})
    commit(tmp_path, [first, described, old, new])
    assert rows(tmp_path) == [
        {"code": "A", "city": "x", "year": None},
        {"code": "B", "city": "y", "year": None},
        {"code": "C", "city": None, "year": 2019},
    ]


def test_members_of_structs_lists_and_maps_are_mapped_too(tmp_path: Path) -> None:
    inner = {"type": "struct", "fields": [field("x", physical="p-x", column_id=3)]}
    element = {"type": "struct", "fields": [field("y", physical="p-y", column_id=5)]}
    fields = [
        field("s", inner, physical="p-1", column_id=1),
        field(
            "l",
            {"type": "array", "elementType": element, "containsNull": True},
            physical="p-2",
            column_id=2,
        ),
    ]
    described = metadata(fields, columnMapping_mode="name")
    good = data_file(tmp_path / "a", {"p-1": [{"p-x": "in"}], "p-2": [[{"p-y": "el"}]]})
    commit(tmp_path / "a", [MAPPED, described, good])
    assert rows(tmp_path / "a") == [{"s": {"x": "in"}, "l": [{"y": "el"}]}]
    bad = data_file(tmp_path / "b", {"p-1": [{"p-x": "in"}], "p-2": [[{"y": "el"}]]})
    commit(tmp_path / "b", [MAPPED, described, bad])
    assert "has column 'y' as 'y' instead of 'p-y'" in refused(tmp_path / "b")


def test_mapping_by_id_where_names_agree_is_read(tmp_path: Path) -> None:
    add = data_file(tmp_path, CELLS, ids={"col-1": 1, "col-2": 2})
    commit(tmp_path, [MAPPED, metadata(TWO, columnMapping_mode="id"), add])
    assert [row["code"] for row in rows(tmp_path)] == ["A", "B"]


@pytest.mark.parametrize(
    ("columns", "ids", "told"),
    [
        ({"c": ["A"], "d": ["x"]}, {"c": 1, "d": 2}, "has none of the table's columns"),
        ({"c": ["A"], "col-2": ["x"]}, {"c": 1, "col-2": 2}, "(id 1) as 'c' instead of 'col-1'"),
        ({"col-1": ["A"], "col-2": ["x"]}, {"col-1": 2, "col-2": 1}, "instead of 'col-1'"),
        ({"col-1": ["A"], "col-2": ["x"]}, {"col-1": 9, "col-2": 2}, "id of another column"),
    ],
)
def test_mapping_by_id_alone_is_refused_and_never_read_as_null(
    tmp_path: Path, columns: dict[str, Any], ids: dict[str, int], told: str
) -> None:
    add = data_file(tmp_path, columns, ids=ids)
    commit(tmp_path, [MAPPED, metadata(TWO, columnMapping_mode="id"), add])
    if "c" in columns:  # the library alone reads nulls, without a word
        assert pa.table(DeltaTable(tmp_path).scan())["code"].to_pylist() == [None]
    assert told in refused(tmp_path)


@pytest.mark.parametrize(
    ("first", "described", "columns", "told"),
    [
        (PLAIN, metadata([field("code")]), {"CODE": ["A"]}, "none of the table's columns"),
        (
            PLAIN,
            metadata([field("code"), field("n")]),
            {"CODE": ["A"], "n": ["1"]},
            "has column 'code' as 'CODE'",
        ),
        (PLAIN, metadata([field("code")]), {"other": ["A"]}, "none of the table's columns"),
        (
            MAPPED,
            metadata(TWO, columnMapping_mode="name"),
            {"code": ["A"], "col-2": ["x"]},
            "has column 'code' as 'code' instead of 'col-1'",
        ),
        (
            PLAIN,
            metadata(TWO, columnMapping_mode="name"),
            CELLS,
            "its protocol does not have the feature",
        ),
        (
            PLAIN,
            metadata([field("code", nullable=False), field("n")]),
            {"n": ["1"]},
            "lacks column 'code'",
        ),
    ],
)
def test_a_file_under_other_names_is_refused_and_never_read_as_null(
    tmp_path: Path, first: Any, described: Any, columns: dict[str, Any], told: str
) -> None:
    commit(tmp_path, [first, described, data_file(tmp_path, columns)])
    assert told in refused(tmp_path)


@pytest.mark.parametrize("how", ["inline", "file", "folder"])
def test_deleted_rows_are_left_out(tmp_path: Path, how: str) -> None:
    vectors = {
        "inline": lambda: inline_vector([1, 3]),
        "file": lambda: stored_vector(tmp_path, [1, 3]),
        "folder": lambda: stored_vector(tmp_path, [1, 3], folder="ab"),
    }
    add = data_file(tmp_path, {"code": ["A", "B", "C", "D"]}, deleted=vectors[how]())
    commit(tmp_path, [protocol("deletionVectors"), metadata([field("code")]), add])
    assert rows(tmp_path) == [{"code": "A"}, {"code": "C"}]


def test_deleted_rows_under_column_mapping(tmp_path: Path) -> None:
    add = data_file(tmp_path, CELLS, deleted=inline_vector([0]))
    first = protocol("deletionVectors", "columnMapping")
    commit(tmp_path, [first, metadata(TWO, columnMapping_mode="name"), add])
    assert rows(tmp_path) == [{"code": "B", "city": "y"}]


def test_a_deletion_vector_that_is_gone_makes_the_table_unreadable(tmp_path: Path) -> None:
    add = data_file(tmp_path, {"code": ["A", "B"]}, deleted=stored_vector(tmp_path, [0]))
    commit(tmp_path, [protocol("deletionVectors"), metadata([field("code")]), add])
    next(tmp_path.glob("*.bin")).unlink()
    with pytest.raises((ValueError, OSError, pa.ArrowException)):
        delta.read(delta.newest(tmp_path))


def test_what_the_library_writes_with_deletion_vectors_switched_on(tmp_path: Path) -> None:
    """It lists the feature `variantType` too, without a column of that type."""
    table = pa.table({"code": ["A", "B", "C"]})
    write_deltalake(tmp_path, table, configuration={"delta.enableDeletionVectors": "true"})
    DeltaTable(tmp_path).delete("code = 'B'")
    assert "deletionVectors" in (DeltaTable(tmp_path).protocol().reader_features or ())
    assert rows(tmp_path) == [{"code": "A"}, {"code": "C"}]


def test_timestamps_without_a_zone(tmp_path: Path) -> None:
    when = datetime(2024, 5, 1, 8, 30)  # noqa: DTZ001
    columns = {
        "ntz": pa.array([when], pa.timestamp("us")),
        "tz": pa.array([when.replace(tzinfo=UTC)], pa.timestamp("us", "UTC")),
    }
    fields = [field("ntz", "timestamp_ntz"), field("tz", "timestamp")]
    add = data_file(tmp_path, columns)
    commit(tmp_path, [protocol("timestampNtz"), metadata(fields), add])
    assert rows(tmp_path) == [{"ntz": when, "tz": when.replace(tzinfo=UTC)}]


@pytest.mark.parametrize("sidecar", [False, True])
def test_checkpoints_of_the_second_version(tmp_path: Path, sidecar: bool) -> None:
    head = [protocol("v2Checkpoint"), metadata([field("code")], checkpointPolicy="v2")]
    first = data_file(tmp_path, {"code": ["A"]}, name="a.parquet")
    second = data_file(tmp_path, {"code": ["B"]}, name="b.parquet")
    commit(tmp_path, [*head, first])
    commit(tmp_path, [{"commitInfo": {}}, second], version=1)
    top = [{"checkpointMetadata": {"version": 1}}, *head]
    log = tmp_path / "_delta_log"
    if sidecar:
        (log / "_sidecars").mkdir()
        parts = [("path", pa.string()), ("partitionValues", pa.map_(pa.string(), pa.string()))]
        parts += [
            ("size", pa.int64()),
            ("modificationTime", pa.int64()),
            ("dataChange", pa.bool_()),
        ]
        schema = pa.schema([("add", pa.struct(parts))])
        side = log / "_sidecars" / f"{uuid.uuid4()}.parquet"
        pq.write_table(pa.Table.from_pylist([first, second], schema=schema), side)
        size = side.stat().st_size
        told = {"path": side.name, "sizeInBytes": size, "modificationTime": 0}
        top.append({"sidecar": told})
    else:
        top += [first, second]
    name = f"{1:020}.checkpoint.{uuid.uuid4()}.json"
    (log / name).write_text("\n".join(map(json.dumps, top)))
    (log / f"{0:020}.json").unlink()
    assert rows(tmp_path) == [{"code": "A"}, {"code": "B"}]


@pytest.mark.parametrize(
    "feature",
    [
        "typeWidening",
        "typeWidening-preview",
        "vacuumProtocolCheck",
        "variantShredding-preview",
        "catalogManaged",
        "collations",
        "aFeatureOfTomorrow",
    ],
)
def test_a_feature_that_is_not_honoured_is_named(tmp_path: Path, feature: str) -> None:
    add = data_file(tmp_path, {"code": ["A"]})
    commit(tmp_path, [protocol(feature), metadata([field("code")]), add])
    assert repr(feature) in refused(tmp_path)


def test_a_widened_column_is_refused_by_the_feature(tmp_path: Path) -> None:
    n = field("n", "long")
    n["metadata"]["delta.typeChanges"] = [{"toType": "long", "fromType": "integer"}]
    add = data_file(tmp_path, {"n": pa.array([1], pa.int32())})
    commit(tmp_path, [protocol("typeWidening"), metadata([n], enableTypeWidening="true"), add])
    assert "typeWidening" in refused(tmp_path)


def test_a_variant_column_is_refused_by_its_type(tmp_path: Path) -> None:
    cells = pa.array([{"metadata": b"\x01\x00\x00", "value": b"\x00"}])
    add = data_file(tmp_path, {"code": ["A"], "v": cells})
    fields = [field("code"), field("v", "variant")]
    commit(tmp_path, [protocol("variantType"), metadata(fields), add])
    assert "variant" in refused(tmp_path)


def test_a_data_file_that_is_gone_is_named(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", pa.table({"code": ["A"]}))
    next((tmp_path / "t").glob("*.parquet")).unlink()
    assert "part-" in refused(tmp_path / "t")


def test_a_shallow_clone_reads_the_files_of_its_source(tmp_path: Path) -> None:
    add = data_file(tmp_path / "source", {"code": ["A"]})
    add["add"]["path"] = (tmp_path / "source" / "part-0.parquet").as_uri()
    commit(tmp_path / "clone", [PLAIN, metadata([field("code")]), add])
    assert rows(tmp_path / "clone") == [{"code": "A"}]
    shutil.rmtree(tmp_path / "source")
    assert "part-0.parquet" in refused(tmp_path / "clone")


@pytest.mark.parametrize(
    "line", ['{"add":', "no JSON", '{"metaData":{"id":1}}', '{"add":{"path":1}}']
)
def test_a_broken_log_is_one_line_and_no_stack(tmp_path: Path, line: str) -> None:
    """The library writes the stack of its own code below some of its errors."""
    write_deltalake(tmp_path / "t", pa.table({"code": ["A"]}))
    (tmp_path / "t" / "_delta_log" / "00000000000000000001.json").write_text(line)
    told = refused(tmp_path / "t")
    assert told.strip()
    assert "\n" not in told
    assert "unknown>" not in told
