"""Which snapshots of tables are kept, and for which kind."""

import asyncio
import gc
import weakref
from pathlib import Path

import msgspec

from lakehouse.core.kind import GroundingRule
from lakehouse.grounding.settings import TableSettings
from lakehouse.grounding.snapshot import Snapshot
from lakehouse.grounding.tables import TableFiles
from support.grounding import kind_of

CODE = GroundingRule(path="/code", column="t.code")


def test_no_version_is_held_for_a_kind_that_nobody_asks_for_again(tmp_path: Path) -> None:
    """Callers' schemas make kinds without end: each may have been asked for just once."""
    path = tmp_path / "t.csv"
    path.write_text("code\na\n")
    source = TableFiles({"t": TableSettings(str(path))})
    kinds = [msgspec.structs.replace(kind_of([CODE]), digest=str(n)) for n in range(3)]

    async def run() -> list[object]:
        held = []
        for kind in kinds[:2]:
            snapshot = await source.snapshot(kind)
            assert isinstance(snapshot, Snapshot)
            held.append(weakref.ref(snapshot.versions["t"]))
        del snapshot
        path.write_text("code\nbb\n")
        fresh = await source.snapshot(kinds[2])
        assert list(fresh.columns["t.code"].rows("bb", "exact", None)) == [0]
        gc.collect()
        return [one() for one in held]

    assert asyncio.run(run()) == [None, None]
    source.close()


def test_kinds_of_one_digest_that_carry_other_rules_have_snapshots_of_their_own(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("code,name\na,b\n")
    source = TableFiles({"t": TableSettings(str(path))})
    own = kind_of([CODE])
    name = GroundingRule(path="/name", column="t.name")
    more = msgspec.structs.replace(own, grounding=(CODE, name), carried=b"name")
    assert list(asyncio.run(source.snapshot(own)).columns) == ["t.code"]
    assert list(asyncio.run(source.snapshot(more)).columns) == ["t.code", "t.name"]
    source.close()
