"""Kinds with different needs that ask for one table at the same moment."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.core.errors import TableUnavailable
from lakehouse.core.kind import GroundingRule, SqlRule
from lakehouse.core.ports import TableSnapshot
from lakehouse.grounding import table_data
from lakehouse.grounding.arrow import index_arrow
from lakehouse.grounding.check import check_grounding
from lakehouse.grounding.settings import TableSettings
from lakehouse.grounding.tables import TableFiles
from lakehouse.tabular import csv_rows
from support.grounding import kind_of, prepared
from support.waiting import WAIT_S

EXACT = GroundingRule(path="/v", column="t.v")
FOLDED = GroundingRule(path="/v", column="t.v", match="casefold")
WITHIN = GroundingRule(path="/v", column="t.v", match="within", tolerance=1)
WIDER = GroundingRule(path="/v", column="t.v", match="within", tolerance=5)
ABSENT = GroundingRule(path="/v", column="t.w")


class Held:
    """Holds a worker thread in a function until it is let go."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self._real = real
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.calls = 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.calls += 1
        self.entered.set()
        assert self.go_on.wait(WAIT_S)
        return self._real(*arguments, **options)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    """Every indexing of an Arrow column stops until it is let go."""
    gate = Held(index_arrow)
    monkeypatch.setattr(table_data, "index_arrow", gate)
    yield gate
    gate.go_on.set()


def table(path: Path, cells: list[Any]) -> TableFiles:
    pq.write_table(pa.table({"v": cells}), path / "t.parquet")
    return TableFiles({"t": TableSettings(str(path / "t.parquet"))})


async def holds(snapshot: TableSnapshot, rule: GroundingRule, value: Any) -> bool:
    raw = msgspec.json.encode({"v": value})
    return (await check_grounding([rule], {"v": value}, raw, (), snapshot)).findings == ()


async def both(
    source: TableFiles, held: Held, first: GroundingRule, second: GroundingRule
) -> tuple[TableSnapshot | BaseException, TableSnapshot | BaseException]:
    """Let the second kind ask while the first one's index is under way."""
    one = asyncio.create_task(source.snapshot(kind_of([first])))
    assert await asyncio.to_thread(held.entered.wait, WAIT_S)
    two = asyncio.create_task(source.snapshot(kind_of([second])))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not one.done()
    assert not two.done()
    held.go_on.set()
    return await asyncio.gather(one, two, return_exceptions=True)


@pytest.mark.parametrize(("good", "bad"), [(EXACT, WITHIN), (FOLDED, WITHIN)])
@pytest.mark.parametrize("good_first", [True, False])
def test_what_one_kind_asks_does_not_harm_the_other(
    tmp_path: Path, held: Held, good: GroundingRule, bad: GroundingRule, good_first: bool
) -> None:
    source = table(tmp_path, ["ZRH", "BSL"])

    async def run() -> None:
        order = (good, bad) if good_first else (bad, good)
        found = await both(source, held, *order)
        answer, refused = found if good_first else reversed(found)
        assert isinstance(refused, TableUnavailable)
        assert not isinstance(answer, BaseException)
        assert await holds(answer, good, "ZRH")
        assert not await holds(answer, good, "XXX")
        for _ in range(2):  # and so it stays
            with pytest.raises(TableUnavailable):
                await source.snapshot(kind_of([bad]))
            again = await source.snapshot(kind_of([good]))
            assert await holds(again, good, "ZRH")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("cells", "first", "second", "value", "right"),
    [
        (["ZRH"], EXACT, FOLDED, "zrh", (False, True)),
        (["ZRH"], FOLDED, EXACT, "zrh", (True, False)),
        ([10], EXACT, WITHIN, 11, (False, True)),
        ([10], WITHIN, EXACT, 11, (True, False)),
        ([10], WITHIN, WIDER, 15, (False, True)),
        ([10], WIDER, WITHIN, 15, (True, False)),
    ],
)
def test_each_kind_is_judged_by_its_own_rule(
    tmp_path: Path,
    held: Held,
    cells: list[Any],
    first: GroundingRule,
    second: GroundingRule,
    value: Any,
    right: tuple[bool, bool],
) -> None:
    source = table(tmp_path, cells)

    async def run() -> None:
        snapshots = await both(source, held, first, second)
        for snapshot, rule, expected in zip(snapshots, (first, second), right, strict=True):
            assert not isinstance(snapshot, BaseException)
            assert await holds(snapshot, rule, value) == expected

    asyncio.run(run())
    assert held.calls == 1  # the index is one for both


@pytest.mark.parametrize("order", [(EXACT, ABSENT), (ABSENT, EXACT)])
def test_a_column_that_is_not_there_harms_only_who_asks_for_it(
    tmp_path: Path, order: tuple[GroundingRule, GroundingRule]
) -> None:
    source = table(tmp_path, ["ZRH"])

    async def run() -> None:
        asked = [source.snapshot(kind_of([rule])) for rule in order]
        found = await asyncio.gather(*asked, return_exceptions=True)
        for rule, answer in zip(order, found, strict=True):
            assert isinstance(answer, TableUnavailable) == (rule is ABSENT)

    asyncio.run(run())


def test_rules_that_need_other_columns_do_no_harm_to_each_other(tmp_path: Path) -> None:
    good, bad = SqlRule("SELECT $v IN (SELECT v FROM t)", "m"), SqlRule("SELECT w = 1 FROM t", "m")
    pq.write_table(pa.table({"v": ["A"]}), tmp_path / "t.parquet")
    source = TableFiles({"t": TableSettings(str(tmp_path / "t.parquet"))}, prepared([good, bad]))

    async def run() -> None:
        for rules in ((good, bad), (bad, good)):
            kinds = [kind_of([], [rule]) for rule in rules]
            found = await asyncio.gather(
                *(source.snapshot(kind) for kind in kinds), return_exceptions=True
            )
            for rule, answer in zip(rules, found, strict=True):
                assert isinstance(answer, BaseException) == (rule is bad)
                if not isinstance(answer, BaseException):
                    assert (await answer.outcomes([rule], {"v": "A"}))[0].holds

    asyncio.run(run())
    source.close()


@pytest.mark.parametrize("failing", [False, True])
def test_a_question_after_a_change_does_not_get_a_reading_from_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: bool
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("w\nA\n" if failing else "v\nA\n")
    gate = Held(csv_rows.table)
    monkeypatch.setattr(csv_rows, "table", gate)
    source = TableFiles({"t": TableSettings(str(path))})

    async def run() -> None:
        before = asyncio.create_task(source.snapshot(kind_of([EXACT])))
        assert await asyncio.to_thread(gate.entered.wait, WAIT_S)
        (tmp_path / "new").write_text("v\nBB\n")
        (tmp_path / "new").replace(path)
        after = asyncio.create_task(source.snapshot(kind_of([EXACT])))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not after.done()
        gate.go_on.set()
        fresh = await after
        assert len(fresh.columns["t.v"].rows("BB", "exact", None)) == 1
        (old,) = await asyncio.gather(before, return_exceptions=True)
        assert isinstance(old, TableUnavailable) == failing

    asyncio.run(run())
