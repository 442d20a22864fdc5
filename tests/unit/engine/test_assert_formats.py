"""Formats that a request asserts: in its schema, in its kind's, and in whatever reads its row."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lakehouse.core.chat import ChatRequest
from lakehouse.core.clock import FixedClock
from lakehouse.core.context import call_context
from lakehouse.core.errors import Refusal
from lakehouse.core.kind import FormatMode, Kind
from lakehouse.core.replay_row import Feedback, FeedbackRequest
from lakehouse.core.row import Row
from lakehouse.core.row_codec import decode_row, encode_line
from lakehouse.core.session import IterateRequest
from lakehouse.engine.inline_kind import judging_schema
from lakehouse.engine.iterate import iterate
from lakehouse.engine.run import Run
from lakehouse.engine.task import SessionTask, plan
from lakehouse.feedback.labels import give_feedback
from lakehouse.grounding.no_tables import NoTables
from lakehouse.replay.candidate import Candidate, replay_request
from lakehouse.replay.session import Rejudge
from lakehouse.sessionlog.writing.memory import MemoryLog
from lakehouse.validation.schema import SchemaCache
from support.filled_log import fill
from support.joint import kind_of
from support.sessions import ListedChat, catalog, clock

DATED = {
    "type": "object",
    "properties": {"day": {"type": "string", "format": "date"}, "code": {"format": "iata"}},
    "required": ["day"],
}
RAW = msgspec.Raw(msgspec.json.encode(DATED))
ANY = msgspec.Raw(b'{"type":"object"}')
WRONG, RIGHT = '{"day":"tomorrow"}', '{"day":"2026-03-01"}'


def planned(formats: FormatMode = "off", **fields: Any) -> SessionTask:
    request = IterateRequest(prompt="x", **fields)
    return plan(request, call_context((), ()), catalog(event=kind_of(DATED, formats)))


def ran(task: SessionTask) -> tuple[Row, list[ChatRequest]]:
    chat = ListedChat(WRONG, RIGHT)
    run = Run(task, clock())
    run.end(asyncio.run(iterate(run, chat=chat, tables=NoTables())))
    return run.row(daemon="validatord"), chat.requests


ASKED: list[dict[str, Any]] = [
    {"schema": RAW},
    {"kind": "event"},
    {"kind": "event", "output_schema": ANY},
]


@pytest.mark.parametrize("fields", ASKED)
def test_a_wrong_value_is_an_annotation_until_the_request_asserts_formats(
    fields: dict[str, Any],
) -> None:
    row, requests = ran(planned(**fields))
    assert (row.verdict, bytes(row.artifact).decode(), len(requests)) == ("accepted", WRONG, 1)
    assert b"assert_formats" not in encode_line(row)

    row, requests = ran(planned(**fields, assert_formats=True))
    assert (row.verdict, bytes(row.artifact).decode(), len(requests)) == ("accepted", RIGHT, 2)
    [finding] = row.attempts[0].findings
    assert (finding.code, finding.path) == ("schema", "/day")
    assert b'"deadline_ms":120000,"assert_formats":true}' in encode_line(row)


def test_a_format_of_the_callers_schema_beside_a_kind_is_asserted() -> None:
    theirs = msgspec.Raw(b'{"properties":{"at":{"type":"string","format":"date-time"}}}')
    task = planned(kind="event", output_schema=theirs, assert_formats=True)
    assert not task.schema.accepts({"day": "2026-03-01", "at": "2026-03-01"})
    assert task.schema.accepts({"day": "2026-03-01", "at": "2026-03-01T08:15:30Z"})
    assert task.schema.accepts({"day": "2026-03-01", "code": "an unknown format says nothing"})


def test_what_a_kind_asserts_stays() -> None:
    """One that refuses unknown formats refuses the caller's, too, whatever the request says."""
    theirs = msgspec.Raw(b'{"properties":{"at":{"format":"iata"}}}')
    known = kind_of({"properties": {"day": {"format": "date"}}}, "all")
    request = IterateRequest(kind="event", prompt="x", output_schema=theirs, assert_formats=True)
    with pytest.raises(Refusal, match="the format 'iata' cannot be asserted"):
        plan(request, call_context((), ()), catalog(event=known))
    for asserted in (False, True):
        task = planned("known", kind="event", assert_formats=asserted)
        assert task.schema.formats == "known"


def test_the_digest_of_an_inline_kind_covers_it_and_that_of_a_named_one_stays() -> None:
    inline = {planned(schema=RAW, assert_formats=one).kind.digest for one in (False, True)}
    named = {planned(kind="event", assert_formats=one).kind.digest for one in (False, True)}
    assert (len(inline), len(named)) == (2, 1)


@pytest.mark.parametrize("fields", ASKED)
@pytest.mark.parametrize("asserted", [False, True])
def test_a_replay_asks_for_it_again(fields: dict[str, Any], asserted: bool) -> None:
    task = planned(**fields, assert_formats=asserted)
    row = decode_row(encode_line(ran(task)[0]))
    again = replay_request(row, Candidate(), kinds={}, in_force={})
    assert again.assert_formats is asserted
    replayed = plan(again, call_context((), ()), catalog(event=kind_of(DATED)))
    assert msgspec.json.encode(replayed.settings) == msgspec.json.encode(row.settings)
    assert replayed.kind.digest == row.kind_digest


@pytest.mark.parametrize("fields", ASKED)
@pytest.mark.parametrize("asserted", [False, True])
def test_a_row_is_judged_again_as_it_was(fields: dict[str, Any], asserted: bool) -> None:
    row, _ = ran(planned(**fields, assert_formats=asserted))
    sink = MemoryLog()
    rejudge = Rejudge(
        catalog(event=kind_of(DATED)),
        Candidate(),
        tables=NoTables(),
        sink=sink,
        clock=FixedClock(),
    )
    asyncio.run(rejudge(row, "r" * 32))
    [again] = sink.rows
    assert [one.findings for one in again.attempts] == [one.findings for one in row.attempts]
    assert (again.verdict, again.kind_digest) == (row.verdict, row.kind_digest)


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [*((fields, {"event": kind_of(DATED)}) for fields in ASKED), ({"schema": RAW}, {})],
)
def test_a_correction_holds_the_formats_of_its_session(
    tmp_path: Path, fields: dict[str, Any], kinds: dict[str, Kind]
) -> None:
    row, _ = ran(planned(**fields, assert_formats=True))
    fill(tmp_path, row)

    def corrected(artifact: str) -> Feedback:
        request = FeedbackRequest(
            session_id=row.session_id, label="corrected", artifact=msgspec.Raw(artifact.encode())
        )
        return give_feedback(tmp_path, request, catalog=catalog(**kinds), clock=FixedClock())

    with pytest.raises(Refusal, match="/day"):
        corrected(WRONG)
    assert bytes(corrected(RIGHT).artifact).decode() == RIGHT


def test_what_judges_a_row_is_compiled_once() -> None:
    cache, kind = SchemaCache(), kind_of(DATED)
    first = judging_schema(kind, ANY, cache, assert_formats=True)
    assert judging_schema(kind, ANY, cache, assert_formats=True) is first
    assert judging_schema(kind, ANY, cache, assert_formats=False) is not first
