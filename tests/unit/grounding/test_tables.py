"""Tables from files: formats, reloading, held snapshots, broken files, and size."""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.core.errors import TableUnavailable
from lakehouse.core.json_text import JsonValue
from lakehouse.core.kind import GroundingRule, SqlRule
from lakehouse.grounding import loading
from lakehouse.grounding.settings import TableSettings
from lakehouse.grounding.tables import TableFiles
from support.grounding import check_with, kind_of, prepared

CODE = GroundingRule(path="/code", column="t.code")
IN_TABLE = SqlRule("SELECT $code IN (SELECT code FROM t)", "m")


def files(path: Path, rules: Sequence[SqlRule] = ()) -> TableFiles:
    return TableFiles({"t": TableSettings(str(path))}, prepared(rules))


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def unavailable(path: Path, *grounding: GroundingRule) -> TableUnavailable:
    with pytest.raises(TableUnavailable) as caught:
        asyncio.run(files(path).snapshot(kind_of(grounding or [CODE])))
    assert caught.value.table == "t"
    assert str(path) not in caught.value.public
    return caught.value


def test_csv_columns_are_text_and_an_empty_cell_is_null(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes('\ufeffcode,"na ""me"\n007,"line\nbreak"\n,x\n"",é\n1.10,NULL\n'.encode())
    rules = [CODE, GroundingRule(path="/name", column='t.na "me')]
    snapshot = asyncio.run(files(path).snapshot(kind_of(rules)))
    code, name = snapshot.columns["t.code"], snapshot.columns['t.na "me']
    assert code.holds == "text"
    assert [list(code.rows(v, "exact", None)) for v in ("007", "", "1.10", "1.1", 7)] == [
        [0], [2], [3], [], [],
    ]  # fmt: skip
    assert [list(name.rows(v, "exact", None)) for v in ("line\nbreak", "NULL")] == [[0], [3]]
    assert snapshot.digests["t"] == sha256(path.read_bytes())


def test_json_lines_keep_types_exact(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"code":"2020-01-01","n":18446744073709551617,"x":0.5}\n\n{"n":1,"x":2}\n'
        '{"code":null,"n":1,"flag":true}\n'
    )
    columns = [GroundingRule(path="/a", column=f"t.{name}") for name in ("code", "n", "x")]
    snapshot = asyncio.run(files(path).snapshot(kind_of(columns)))
    assert list(snapshot.columns["t.code"].rows("2020-01-01", "exact", None)) == [0]
    assert list(snapshot.columns["t.n"].rows(2**64 + 1, "exact", None)) == [0]
    assert list(snapshot.columns["t.n"].rows(1.0, "exact", None)) == [1, 2]
    assert list(snapshot.columns["t.x"].rows(2, "exact", None)) == [1]
    path.write_text('{"flag":1}\n{"flag":true}\n')
    error = unavailable(path, GroundingRule(path="/a", column="t.flag"))
    assert "neither all strings nor all numbers" in error.internal


@pytest.mark.parametrize("kind", ["text", "int", "uint", "big", "float", "mixed", "bool", "nested"])
def test_json_lines_of_many_rows_work_like_those_of_few(tmp_path: Path, kind: str) -> None:
    cells = {
        "text": lambda i: f"v{i}",
        "int": lambda i: i,
        "uint": lambda i: 2**63 + i,
        "big": lambda i: 2**100 + i,
        "float": lambda i: i + 0.25,
        "mixed": lambda i: i if i % 2 else i + 0.5,
        "bool": lambda i: i % 2 == 0,
        "nested": lambda i: [i],
    }[kind]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps({"code": cells(i)}) + "\n" for i in range(10_050)))
    rule = SqlRule("SELECT count(DISTINCT code) > 1 FROM t", "m")
    source = files(path, [rule])

    async def run() -> None:
        grounding = [] if kind in {"bool", "nested"} else [CODE]
        snapshot = await source.snapshot(kind_of(grounding, [rule]))
        assert (await snapshot.outcomes([rule], {}))[0].holds
        if grounding:
            column = snapshot.columns["t.code"]
            assert list(column.rows(cells(10_049), "exact", None)) == [10_049]
            assert len(column.rows(cells(20_000), "exact", None)) == 0

    asyncio.run(run())
    source.close()


def test_delta_digest_names_table_and_version_and_follows_it(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write_deltalake(str(path), pa.table({"code": ["A"]}))
    source = files(path)
    before = asyncio.run(source.snapshot(kind_of([CODE])))
    table_id = DeltaTable(str(path)).metadata().id
    assert before.digests["t"] == sha256(f"{table_id}@0".encode())
    write_deltalake(str(path), pa.table({"code": ["B"]}), mode="append")
    after = asyncio.run(source.snapshot(kind_of([CODE])))
    assert after.digests["t"] == sha256(f"{table_id}@1".encode())
    assert check_with(after, [CODE], {"code": "B"}).findings == ()
    assert len(check_with(before, [CODE], {"code": "B"}).findings) == 1


def test_delta_without_its_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_deltalake(str(tmp_path / "t"), pa.table({"code": ["A"]}))
    monkeypatch.setitem(sys.modules, "deltalake", None)
    assert "lakehouse-stack[delta]" in unavailable(tmp_path / "t").internal


def test_a_changed_file_is_read_again_and_a_held_snapshot_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"code": ["A", "B"]}), path)
    source = files(path, [IN_TABLE])
    kind = kind_of([CODE], [IN_TABLE])

    async def run() -> None:
        held = await source.snapshot(kind)
        assert await source.snapshot(kind) is held
        pq.write_table(pa.table({"code": ["A", "C"]}), tmp_path / "new")
        (tmp_path / "new").replace(path)
        fresh = await source.snapshot(kind)
        assert fresh.digests["t"] == sha256(path.read_bytes()) != held.digests["t"]
        for snapshot, code in ((held, "B"), (fresh, "C")):
            assert len(snapshot.columns["t.code"].rows(code, "exact", None)) == 1
            assert (await snapshot.outcomes([IN_TABLE], {"code": code}))[0].holds
        assert len(fresh.columns["t.code"].rows("B", "exact", None)) == 0
        assert not (await fresh.outcomes([IN_TABLE], {"code": "B"}))[0].holds

    asyncio.run(run())
    source.close()


def test_a_change_within_one_tick_of_the_clock_is_seen(tmp_path: Path) -> None:
    """In place, same size, same times: what was read so soon after a change is not trusted."""
    path = tmp_path / "t.csv"
    path.write_text("code\nA\n")
    source = files(path)

    async def run() -> None:
        assert len(
            (await source.snapshot(kind_of([CODE]))).columns["t.code"].rows("A", "exact", None)
        )
        times = path.stat()
        path.write_text("code\nB\n")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert len(
            (await source.snapshot(kind_of([CODE]))).columns["t.code"].rows("B", "exact", None)
        )

    asyncio.run(run())


def test_the_same_bytes_again_are_the_same_version(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("code\nA\n")
    source = files(path)

    async def run() -> None:
        held = await source.snapshot(kind_of([CODE]))
        path.write_text("code\nA\n")
        assert await source.snapshot(kind_of([CODE])) is held

    asyncio.run(run())


def test_many_who_ask_at_once_share_one_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("code\nA\n")
    monkeypatch.setattr(loading, "is_settled", lambda _: True)
    source = files(path)
    loads: list[str] = []
    real = loading.load

    def counted(*arguments: Any, **options: Any) -> object:
        loads.append(arguments[0])
        return real(*arguments, **options)

    monkeypatch.setattr("lakehouse.grounding.tables.load", counted)

    async def run() -> None:
        snapshots = await asyncio.gather(*(source.snapshot(kind_of([CODE])) for _ in range(20)))
        assert {s.digests["t"] for s in snapshots} == {sha256(path.read_bytes())}

    asyncio.run(run())
    assert loads == ["t"]


def test_a_session_that_leaves_does_not_stop_the_load(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("code\nA\n")
    source = files(path)

    async def run() -> None:
        first = asyncio.create_task(source.snapshot(kind_of([CODE])))
        second = asyncio.create_task(source.snapshot(kind_of([CODE])))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).digests
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(run())


@pytest.mark.parametrize("load", ["the file", "the column", "its folding"])
def test_a_session_that_is_ended_as_a_load_ends_is_ended(tmp_path: Path, load: str) -> None:
    """A drain ends it once. `asyncio.wait_for` of Python 3.11 would lose that."""
    path = tmp_path / "t.csv"
    path.write_text("code\nA\n")
    left = ["the file", "the column", "its folding"]

    async def run() -> None:
        session = asyncio.create_task(files(path).snapshot(kind_of([CODE])))

        def noticed(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> Any:
            task = asyncio.Task[Any](work, loop=loop, **options)
            if work.__name__ == "to_thread" and left.pop(0) == load:
                task.add_done_callback(lambda _: session.cancel())
            return task

        asyncio.get_running_loop().set_task_factory(noticed)
        with pytest.raises(asyncio.CancelledError):
            await session

    asyncio.run(run())
    assert load not in left


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("t.parquet", b"PAR1 but not really PAR1", "parquet"),
        ("t.parquet", b"", "parquet"),
        ("t.csv", b"", "header"),
        ("t.csv", b"code,b\nA\n", "row 0 (line 2): it has 1 cells"),
        ("t.csv", b"code,code\nA,B\n", "more than one column 'code'"),
        ("t.csv", b"code\n\xff\n", "utf"),
        ("t.jsonl", b'{"code":"A"}\n{"code":\n', "line 2"),
        ("t.jsonl", b"[1]\n", "row 0 (line 1): it is not an object"),
        ("t.jsonl", b'{"code":"A","code":"B"}\n', "duplicate"),
        ("t.jsonl", b"", "no such column"),
        ("t.xlsx", b"x", ".parquet, .pq, .csv"),
    ],
)
def test_a_broken_file_is_an_unavailable_table(
    tmp_path: Path, name: str, content: bytes, cause: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert cause in unavailable(tmp_path / name).internal.lower()


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_pipe_is_no_table_and_is_never_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    assert "not a regular file" in unavailable(tmp_path / name).internal


def test_a_missing_file_heals_when_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    source = files(path)
    assert "No such file" in unavailable(path).internal
    with pytest.raises(TableUnavailable):
        asyncio.run(source.snapshot(kind_of([CODE])))
    path.write_text("code\nA\n")
    assert asyncio.run(source.snapshot(kind_of([CODE]))).digests
    path.unlink()
    with pytest.raises(TableUnavailable):
        asyncio.run(source.snapshot(kind_of([CODE])))


def test_a_broken_file_is_not_read_twice_and_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("code,b\nA\n")
    monkeypatch.setattr("lakehouse.grounding.tables.is_settled", lambda _: True)
    source = files(path)
    causes = []
    for _ in range(2):
        with pytest.raises(TableUnavailable) as caught:
            asyncio.run(source.snapshot(kind_of([CODE])))
        causes.append(caught.value.internal)
        monkeypatch.setattr("lakehouse.grounding.tables.load", None)
    assert causes[0] == causes[1]
    monkeypatch.undo()
    path.write_text("code\nA\n")
    assert asyncio.run(source.snapshot(kind_of([CODE]))).digests


def test_a_directory_that_is_no_delta_table_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    assert "_delta_log" in unavailable(tmp_path / "t").internal
    (tmp_path / "t" / "_delta_log").mkdir()
    assert unavailable(tmp_path / "t").internal


def test_a_file_that_keeps_changing_while_it_is_read_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("code\nA\n")
    size = 0

    def changing(_: Path) -> loading.FileStamp:
        nonlocal size
        size += 1
        return loading.FileStamp(1, 1, 1, size)

    monkeypatch.setattr(loading, "stamp_of", changing)
    with pytest.raises(TableUnavailable) as caught:
        loading.load("t", path)
    assert "kept changing" in caught.value.internal


def test_a_column_type_that_cannot_be_grounded_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"code": [b"A", b"B"]}), path)
    assert "binary" in unavailable(path).internal


def test_an_unknown_table_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(TableUnavailable) as caught:
        asyncio.run(TableFiles({}).snapshot(kind_of([CODE])))
    assert "not configured" in caught.value.internal


def test_many_rows_are_asked_by_look_up(tmp_path: Path) -> None:
    """Rows of a value are a view, membership a comparison: nothing grows with the table."""
    count = 200_000
    path = tmp_path / "t.parquet"
    numbers = pa.array(range(count), pa.int64())
    codes = pa.compute.binary_join_element_wise("key", numbers.cast(pa.string()), "-")
    few = pa.compute.bit_wise_and(numbers, 7)
    pq.write_table(pa.table({"code": codes, "n": numbers, "few": few}), path)
    rules = [
        CODE,
        GroundingRule(
            path="/n", column="t.n", match="within", tolerance=0.5, with_={"/few": "t.few"}
        ),
    ]
    snapshot = asyncio.run(files(path).snapshot(kind_of(rules)))
    artifact: JsonValue = {"code": "key-165432", "n": 165432.5, "few": 165432 & 7}
    assert check_with(snapshot, rules, artifact).findings == ()
    few_rows = snapshot.columns["t.few"].rows(3, "exact", None)
    assert len(few_rows) == count // 8
    assert sys.getsizeof(few_rows) < 200
    assert 11 in few_rows
    assert 12 not in few_rows
    wrong = check_with(snapshot, rules, {"code": "key-16543x", "n": 0.1, "few": 1})
    assert [
        (f.path, bytes(f.nearest)) for f in wrong.findings if isinstance(f.nearest, msgspec.Raw)
    ] == [
        ("/code", b'["key-16543","key-165430","key-165431"]'),
        ("/few", b"[0]"),
    ]


def test_a_table_that_cannot_be_loaded_is_logged_once_a_cause(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The cause is told when it is new, not for every session that meets it; its hint stays."""
    path = tmp_path / "t.csv"
    source = files(path)

    async def ask(times: int) -> None:
        for _ in range(times):
            with pytest.raises(TableUnavailable):
                await source.snapshot(kind_of([CODE]))

    asyncio.run(ask(3))
    path.write_bytes(b"code\n\xff\n")
    asyncio.run(ask(3))
    told = [text for text in caplog.messages if "could not be loaded" in text]
    assert len(told) == 2
    assert "No such file" in told[0]
    assert str(path) in told[1]
