"""What an artifact's value must look like to stand in a column that JSON has no type for."""

import asyncio
import json
import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.core.errors import TableUnavailable
from lakehouse.core.kind import GroundingRule, SqlRule
from lakehouse.grounding.settings import TableSettings
from lakehouse.grounding.tables import TableFiles
from support.grounding import check_with, kind_of, prepared

RULE = GroundingRule(path="/v", column="t.v")
NOON = datetime(2024, 5, 1, 12, 0, 0, 500_000)  # noqa: DTZ001
ID = uuid.UUID("0af76519-16cd-43dd-8448-eb211c80319c")


def findings(path: Path, value: Any, rule: GroundingRule = RULE, **types: Any) -> list[Any]:
    source = TableFiles({"t": TableSettings(str(path), types)})
    try:
        snapshot = asyncio.run(source.snapshot(kind_of([rule])))
        return list(check_with(snapshot, [rule], {"v": value}).findings)
    finally:
        source.close()


def parquet(path: Path, column: pa.Array) -> Path:
    pq.write_table(pa.table({"v": column}), path / "t.parquet")
    return path / "t.parquet"


@pytest.mark.parametrize(
    ("column", "right", "wrong"),
    [
        (pa.array([0.1, None], pa.float32()), [0.1, 1e-1], [0.10000000149011612, 0.11, "0.1"]),
        (pa.array([0.1, 3.3], pa.float16()), [0.1, 3.3], [0.0999755859375, "0.1"]),
        (pa.array([16777216.0, 1e20, 3.4e38], pa.float32()), [16777216, 1e20, 3.4e38], [1]),
        (pa.array([0.1]), [0.1], [0.10000000149011612]),
        (pa.array([Decimal("1.10")]), [1.1, Decimal("1.10")], ["1.10", 1.11]),
        (pa.array([True, None]), [True], [False, "true", 1]),
        (pa.array([False, True]), [True, False], ["false", 0]),
        (pa.array([date(2024, 5, 1)]), ["2024-05-01"], ["2024-5-1", "2024-05-02", 19844]),
        (pa.array([date(2024, 5, 1)], pa.date64()), ["2024-05-01"], ["2024-05-01T00:00:00"]),
        (
            pa.array([NOON], pa.timestamp("us")),
            ["2024-05-01T12:00:00.5", "2024-05-01 12:00:00.500000"],
            ["2024-05-01T12:00:00.5Z", "2024-05-01", "2024-05-01T12:00:00"],
        ),
        (
            pa.array([NOON.replace(tzinfo=UTC)], pa.timestamp("ns", "Europe/Berlin")),
            [
                "2024-05-01T12:00:00.5Z",
                "2024-05-01T14:00:00.500+02:00",
                "2024-05-01t12:00:00.5z",
                "2024-04-30T23:00:00.5-13:00",
            ],
            ["2024-05-01T12:00:00.5", "2024-05-01T12:00:00.5+02:00", "2024-05-01T12:00:00Z"],
        ),
        (pa.array([time(8, 30)], pa.time32("ms")), ["08:30:00", "08:30"], ["8:30", "08:30:01"]),
        (
            pa.array([ID.bytes], pa.uuid()),
            [str(ID), str(ID).upper()],
            [ID.hex, str(uuid.UUID(int=1)), 1],
        ),
        (pa.array(["ZRH", "BSL"]).dictionary_encode(), ["ZRH"], ["zrh"]),
        (pa.array([date(2024, 5, 1)]).dictionary_encode(), ["2024-05-01"], ["2024-05-02"]),
        (pa.array(["ZRH"], pa.string_view()), ["ZRH"], ["zrh", True]),
    ],
)
def test_a_value_grounds_by_its_json_form(
    tmp_path: Path, column: pa.Array, right: list[Any], wrong: list[Any]
) -> None:
    path = parquet(tmp_path, column)
    for value in right:
        assert findings(path, value) == [], value
    for value in wrong:
        (found,) = findings(path, value)
        assert found.code == "ungrounded"


def test_near_values_stand_in_the_form_to_be_copied(tmp_path: Path) -> None:
    cases = [
        (pa.array([0.1], pa.float32()), 0.2, b"[0.1]"),
        (pa.array([True]), False, b"[true]"),
        (pa.array([NOON], pa.timestamp("us", "UTC")), "x", b'["2024-05-01T12:00:00.5Z"]'),
    ]
    for column, value, nearest in cases:
        (found,) = findings(parquet(tmp_path, column), value)
        assert bytes(found.nearest) == nearest
    (found,) = findings(parquet(tmp_path, pa.array([True])), "true")
    assert "it must be true or false" in found.message


def test_within_works_on_narrow_floats_and_is_refused_on_dates(tmp_path: Path) -> None:
    near = GroundingRule(path="/v", column="t.v", match="within", tolerance=0.1)
    path = parquet(tmp_path, pa.array([0.1], pa.float32()))
    assert findings(path, 0.2, near) == []
    assert len(findings(path, 0.21, near)) == 1
    parquet(tmp_path, pa.array([date(2024, 5, 1)]))
    with pytest.raises(TableUnavailable) as caught:
        findings(path, 0.2, near)
    assert "needs numbers" in caught.value.internal


@pytest.mark.parametrize(
    "column", [pa.array([b"x"]), pa.array([[1]]), pa.array([1], pa.duration("s"))]
)
def test_a_column_without_a_json_form_is_refused_by_its_type(
    tmp_path: Path, column: pa.Array
) -> None:
    with pytest.raises(TableUnavailable) as caught:
        findings(parquet(tmp_path, column), "x")
    assert str(column.type).split("<")[0] in caught.value.internal


def test_what_duckdb_writes(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    duckdb.execute(f"COPY (SELECT 'a'::ENUM('a', 'b') AS v) TO '{path}'")
    assert findings(path, "a") == []
    duckdb.execute(f"COPY (SELECT '{ID}'::UUID AS v) TO '{path}'")
    assert findings(path, str(ID)) == []
    duckdb.execute(f"COPY (SELECT 0.1::FLOAT AS v) TO '{path}'")
    assert findings(path, 0.1) == []
    duckdb.execute(f"COPY (SELECT '2024-05-01 10:00:00+02'::TIMESTAMPTZ AS v) TO '{path}'")
    assert findings(path, "2024-05-01T10:00:00+02:00") == []


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32()])
def test_a_rule_in_sql_sees_the_float_that_grounding_sees(tmp_path: Path, kind: Any) -> None:
    path = parquet(tmp_path, pa.array([0.1], kind))
    rule = SqlRule("SELECT $v IN (SELECT v FROM t)", "m")
    source = TableFiles({"t": TableSettings(str(path))}, prepared([rule]))
    snapshot = asyncio.run(source.snapshot(kind_of([], [rule])))
    assert asyncio.run(snapshot.outcomes([rule], {"v": 0.1}))[0].holds
    source.close()


def test_booleans_of_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"v":true}\n{"v":null}\n{}\n')
    assert findings(path, True) == []
    assert len(findings(path, False)) == len(findings(path, "true")) == 1


@pytest.mark.parametrize(
    ("cell_type", "cells", "right", "wrong"),
    [
        ("integer", ["7", "", "-12"], [7, 7.0, -12], [8, "7"]),
        ("integer", [str(2**63), str(2**64 - 1)], [2**64 - 1], [2**64]),
        ("integer", [str(10**30)], [10**30], [10**30 + 1]),
        ("number", ["0.1", "-2.5e3", "7"], [0.1, -2500, 7], [0.2, "0.1"]),
        ("number", ["0.1000000000000000000001"], [Decimal("0.1000000000000000000001")], [0.1]),
        ("number", [str(2**53 + 1), "1.5"], [2**53 + 1, 1.5], [2**53]),
        ("number", ["9999999999999999"], [10**16 - 1], [10**16]),
        ("number", ["99999999999999.9", "-999999999999999"], [1 - 10**15], [10**14]),
        ("boolean", ["true", "False", ""], [True, False], ["true", 1]),
        ("text", ["007"], ["007"], [7]),
    ],
)
def test_csv_columns_of_a_configured_type(
    tmp_path: Path, cell_type: str, cells: list[str], right: list[Any], wrong: list[Any]
) -> None:
    for quote in ("", '"'):
        path = tmp_path / "t.csv"
        path.write_text("n,v\n" + "".join(f"{quote}x{quote},{cell}\n" for cell in cells))
        for value in right:
            assert findings(path, value, v=cell_type) == [], value
        for value in wrong:
            assert len(findings(path, value, v=cell_type)) == 1, value


@pytest.mark.parametrize(
    ("cell_type", "cell"),
    [
        ("integer", "007"),
        ("integer", "1.5"),
        ("integer", " 7"),
        ("integer", "x"),
        ("number", "NaN"),
        ("number", "1e400x"),
        ("number", "0x10"),
        ("number", "1,5"),
        ("boolean", "yes"),
    ],
)
def test_a_cell_of_another_type_is_named_with_its_row(
    tmp_path: Path, cell_type: str, cell: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"v\n\n{'true' if cell_type == 'boolean' else 1}\n{json.dumps(cell)}\n")
    with pytest.raises(TableUnavailable) as caught:
        findings(path, 1, v=cell_type)
    assert f"row 1: column 'v' is {cell!r}; types says {cell_type}" in caught.value.internal


def test_types_of_a_column_that_is_not_there_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("v\n1\n")
    with pytest.raises(TableUnavailable) as caught:
        findings(path, "1", w="integer")
    assert "types names column 'w'; its columns are v" in caught.value.internal


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_cell_of_many_megabytes_is_a_cell(tmp_path: Path, suffix: str, quote: str) -> None:
    long = "x" * 3_000_000
    path = tmp_path / f"t{suffix}"
    if suffix == ".csv":
        path.write_text(f"w,v\n1,A\n{quote}{long}{quote},B\n2,C\n")
    else:
        path.write_text(json.dumps({"w": long, "v": "A"}) + '\n{"v":"B"}\n{"v":"C"}\n')
    assert [findings(path, value) for value in "ABC"] == [[], [], []]


def test_a_row_beyond_the_limit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehouse.tabular.csv_rows.ROW_BYTES_MAX", 1 << 21)
    monkeypatch.setattr("lakehouse.tabular.rows.ROW_BYTES_MAX", 1 << 21)
    path = tmp_path / "t.csv"
    path.write_text('v\n"A"\n' + "x" * 3_000_000 + "\n")
    with pytest.raises(TableUnavailable) as caught:
        findings(path, "A")
    assert "row 1 (line 3): it is larger than 2 MiB" in caught.value.internal
