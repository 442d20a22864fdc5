"""Kinds and tables for the grounding tests."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lakehouse.core.json_text import JsonValue, parse_bytes
from lakehouse.core.kind import GroundingRule, Kind, SqlRule
from lakehouse.core.ports import TableSnapshot
from lakehouse.grounding.binding import PreparedRule
from lakehouse.grounding.check import GroundingResult, check_grounding
from lakehouse.grounding.inline import InlineTables
from lakehouse.grounding.preparing import prepare_rules


def kind_of(grounding: Sequence[GroundingRule] = (), rules: Sequence[SqlRule] = ()) -> Kind:
    """A kind that only grounds; its digest tells kinds apart as the real one does."""
    return Kind(
        name="k",
        schema=msgspec.Raw(b"{}"),
        system=None,
        grounding=tuple(grounding),
        rules=tuple(rules),
        max_iterations=3,
        model="m",
        digest=repr((grounding, rules)),
    )


def prepared(rules: Sequence[SqlRule]) -> dict[str, dict[str, PreparedRule]]:
    """The rules of that kind, made ready over a table `t`."""
    return {"k": prepare_rules(rules, ["t"])}


def raw_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, msgspec.Raw]]:
    """Rows as a request carries them: every cell raw JSON."""
    return [
        {name: msgspec.Raw(msgspec.json.encode(cell)) for name, cell in row.items()} for row in rows
    ]


def ground(
    grounding: Sequence[GroundingRule],
    raw: bytes,
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    sources: Sequence[str] = (),
) -> GroundingResult:
    """Check one artifact, given as bytes, against inline tables."""

    async def run() -> GroundingResult:
        source = InlineTables({name: raw_rows(rows) for name, rows in tables.items()})
        snapshot = await source.snapshot(kind_of(grounding))
        return await check_grounding(grounding, parse_bytes(raw), raw, sources, snapshot)

    return asyncio.run(run())


def check_with(
    snapshot: TableSnapshot, grounding: Sequence[GroundingRule], artifact: JsonValue
) -> GroundingResult:
    """Check one artifact against a snapshot that is at hand."""
    raw = msgspec.json.encode(artifact)
    return asyncio.run(check_grounding(grounding, artifact, raw, (), snapshot))
