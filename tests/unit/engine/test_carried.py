"""Sessions whose schema carries its grounding: how they are planned, and what is kept of them."""

import asyncio
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lakehouse.core.context import call_context
from lakehouse.core.errors import Refusal
from lakehouse.core.kind import GroundingRule, Kind
from lakehouse.core.ports import TableSnapshot
from lakehouse.core.session import IterateRequest
from lakehouse.engine.task import SessionTask, plan
from lakehouse.grounding.no_tables import NoTables
from lakehouse.sessionlog.writing.memory import MemoryLog
from lakehouse.validatord.service import ValidatorService
from support.joint import EVENT, kind_of
from support.offers import CODE, Session
from support.sessions import ListedChat, catalog
from support.steady_loop import LoopClock, run_steadily

TEXT = {"type": "string"}
IATA = {"column": "airports.iata"}
TABLES = ("airports", "routes")


def raw(keyword: object) -> msgspec.Raw:
    schema = {"type": "object", "properties": {"code": {**TEXT, "x-lakehouse": keyword}}}
    return msgspec.Raw(json.dumps(schema).encode())


def task(
    keyword: object, tables: Collection[str] | None = TABLES, kind: Kind | None = None
) -> SessionTask:
    known = catalog() if kind is None else catalog(event=kind)
    known = msgspec.structs.replace(known, tables=tables)
    asked: dict[str, Any] = (
        {"schema": raw(keyword)}
        if kind is None
        else {"kind": "event", "output_schema": raw(keyword)}
    )
    return plan(IterateRequest(prompt="p", **asked), call_context((), ()), known)


def test_the_rules_are_those_of_the_sessions_kind_and_its_digest_covers_them() -> None:
    found = task(IATA)
    assert found.kind.grounding == (GroundingRule(path="/code", column="airports.iata"),)
    assert found.kind.digest != task({"column": "airports.city"}).kind.digest
    assert found.kind.digest == task(IATA).kind.digest
    assert b"x-lakehouse" in bytes(found.inline_schema)
    assert b"x-lakehouse" not in bytes(found.schema.decoding)


def test_a_kind_keeps_its_digest_and_its_rules_come_first() -> None:
    own = msgspec.structs.replace(kind_of(EVENT), grounding=(CODE,))
    found = task(IATA, kind=own)
    assert found.kind.grounding == (CODE, GroundingRule(path="/code", column="airports.iata"))
    assert found.kind.digest == own.digest
    assert found.kind.carried != task({"match": "quote"}, kind=own).kind.carried


def test_a_rule_that_the_kind_has_already_changes_nothing() -> None:
    rule = GroundingRule(path="/code", column="airports.iata")
    own = msgspec.structs.replace(kind_of(EVENT), grounding=(rule,))
    assert task(IATA, kind=own).kind is own


@pytest.mark.parametrize(
    ("column", "tables", "words"),
    [
        ("airport.iata", TABLES, "did you mean 'airports'.*configured are 'airports', 'routes'"),
        ("airports.iata", (), "'airports' is not configured; no table is configured"),
    ],
)
def test_an_unknown_table_is_named_with_the_nearest(
    column: str, tables: tuple[str, ...], words: str
) -> None:
    with pytest.raises(Refusal, match=words) as caught:
        task({"column": column}, tables)
    assert caught.value.code == "invalid_schema"


def test_a_quote_needs_no_table_and_a_process_that_knows_none_refuses_none() -> None:
    assert task({"match": "quote"}, ()).kind.grounding
    assert task(IATA, None).kind.grounding


def test_offers_are_kept_apart_by_what_the_schema_carries(tmp_path: Path) -> None:
    """Two schemas that are one without the keyword."""

    def session(column: str) -> Session:
        keyword = {**TEXT, "x-lakehouse": {"column": column}}
        schema = json.dumps({"properties": {"city": keyword}}).encode()
        text = "PHL, Philadelphia, is closed."
        return Session(tmp_path, text, kept=kept, output_schema=msgspec.Raw(schema))

    kept: dict[object, Any] = {}
    city, code = session("t.city"), session("t.iata")
    assert city.writable(city="Philadelphia")
    assert not city.writable(city="PHL")
    assert code.writable(city="PHL")
    assert not code.writable(city="Philadelphia")
    assert len(kept) == 2


class Slow(NoTables):
    """Tables that never come."""

    waits = 0

    async def snapshot(self, kind: Kind) -> TableSnapshot:
        self.waits += 1
        await asyncio.Event().wait()
        return await super().snapshot(kind)


def test_the_wait_for_tables_before_a_session_is_a_part_of_its_deadline() -> None:
    """The session that begins then has no time left: it says so, in its row."""

    async def run() -> tuple[Any, MemoryLog, Slow]:
        sink, tables = MemoryLog(), Slow()
        known = msgspec.structs.replace(catalog(), tables=TABLES)
        service = ValidatorService(
            known, chat=ListedChat(), tables=tables, sink=sink, clock=LoopClock()
        )
        request = IterateRequest(prompt="p", schema=raw(IATA), deadline_ms=100)
        return await service.iterate(request, call_context((), ())), sink, tables

    reply, sink, tables = run_steadily(run())
    assert (reply.verdict, reply.error.code) == ("infra_error", "timeout")
    assert tables.waits >= 1
    [row] = sink.rows
    assert row.duration_ms >= 100


def test_a_private_table_is_for_configured_kinds_only():
    """Their rules stay, also where a caller's schema says the same beside them."""
    known = msgspec.structs.replace(catalog(), tables=TABLES, private=frozenset({"airports"}))
    request = IterateRequest(schema=raw(IATA), prompt="x")
    with pytest.raises(Refusal, match="table 'airports' is private: only configured kinds") as told:
        plan(request, call_context((), ()), known)
    assert told.value.code == "invalid_schema"

    rule = GroundingRule(path="/code", column="airports.iata")
    kind = msgspec.structs.replace(kind_of(EVENT), grounding=(rule,))
    known = msgspec.structs.replace(
        catalog(event=kind), tables=TABLES, private=frozenset({"airports"})
    )
    same = IterateRequest(kind="event", output_schema=raw(IATA), prompt="x")
    assert plan(same, call_context((), ()), known).kind.grounding == (rule,)
