"""Judging logged answers again: as logged where nothing changed, else what differs."""

import asyncio
import json
import os
from pathlib import Path

import msgspec
import pytest

from lakehouse.config.load import load_config
from lakehouse.core.clock import FixedClock
from lakehouse.core.context import call_context
from lakehouse.core.errors import Refusal
from lakehouse.core.metadata import AFTER_MEMBER
from lakehouse.core.row import Row, RowMessage
from lakehouse.core.row_codec import decode_row
from lakehouse.core.session import IterateRequest
from lakehouse.replay.candidate import Candidate, replay_request, replay_row_id
from lakehouse.replay.session import ModelReplay, Rejudge, Replayed
from lakehouse.sessionlog.reading.reader import read_rows
from lakehouse.sessionlog.writing.memory import MemoryLog
from lakehouse.stack import Stack

RUN_ID = "019ab3c4d5e77a1c8d3e4f5061728394"
SCHEMA = {
    "type": "object",
    "properties": {"code": {"type": "string"}, "minutes": {"type": "number"}},
    "required": ["code"],
}
CONFIG = """
[log]
path = "log"
durability = "os"
[models.small]
provider = "scripted"
model = "tiny"
script = "script.json"
[tables.airports]
path = "airports.csv"
[kinds.event]
schema = "event.json"
repair = true
[[kinds.event.grounding]]
path = "/code"
column = "airports.iata"
[[kinds.event.rules]]
sql = "SELECT $minutes IS NULL OR $minutes < 100"
message = "too late"
[kinds.strict]
schema = "strict.json"
"""
# Every way in which an answer can be judged: each is a session of up to three attempts.
ANSWERS = {
    "right": ['{"code":"LHR","minutes":1.10}'],
    "later": ["no JSON here", '{"minutes":5}', '{"code":"LHR"}'],
    "ungrounded": ['{"code":"QQQ"}', '{"code":"LHQ"}', '{"code":"LXR"}'],
    "rule": ['{"code":"LHR","minutes":500}', '{"code":"LGW","minutes":50}'],
    "prose": ["no", "still no", "never"],
    "repeated": ["no", "no", "no"],
    "fenced": ['Here:\n```json\n{"code": "LGW"}\n```\nDone.'],
    "thinking": ['<think>{"code":"QQQ"}</think>{"code":"LHR"}'],
    "broken": ["{'code': 'LHR',}"],
    "cut": [{"text": '{"code":"L', "finish_reason": "length"}, '{"code":"LHR"}'],
    "refused": [{"text": "", "finish_reason": "content_filter"}, '{"code":"LHR"}'],
    "empty": ["", "", ""],
    "duplicate": ['{"code":"LHR","code":"LHR"}', '{"code":"LHR"}'],
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A log that holds every sort of session, by kind and by inline schema."""
    script = {"matches": {f"<{name}>": answers for name, answers in ANSWERS.items()}}
    (tmp_path / "script.json").write_text(json.dumps(script))
    (tmp_path / "airports.csv").write_text("iata,city\nLHR,London\nLGW,London\n")
    (tmp_path / "event.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "strict.json").write_text(json.dumps({**SCHEMA, "required": ["code", "minutes"]}))
    (tmp_path / "lakehouse.toml").write_text(CONFIG)

    async def run() -> None:
        stack = open_stack(tmp_path, "up")
        for name in ANSWERS:
            for members in (
                {"kind": "event"},
                {"schema": msgspec.Raw(json.dumps(SCHEMA).encode())},
            ):
                request = IterateRequest(prompt=f"<{name}>", **members)
                await stack.validator.iterate(request, call_context((), ()))
        await stack.close()

    asyncio.run(run())
    return tmp_path


def open_stack(project: Path, role, **changes):
    return Stack(load_config(project / "lakehouse.toml", {}), os.environ, role, **changes)


def logged(project: Path) -> list[Row]:
    return [decode_row(line) for line in read_rows(project / "log")]


def rejudge(project: Path, rows: list[Row], candidate=None) -> tuple[list[Replayed], list[Row]]:
    """Judge rows again by the project as it is now; gives their ends, and the rows they left."""
    sink = MemoryLog()

    async def run() -> list[Replayed]:
        stack = open_stack(project, "replay", sink=sink)
        again = Rejudge(
            stack.catalog,
            candidate or Candidate(),
            tables=stack.tables,
            sink=sink,
            clock=FixedClock(),
        )
        found = [await again(row, replay_row_id(RUN_ID, row.row_id, 0)) for row in rows]
        await stack.close()
        return found

    return asyncio.run(run()), sink.rows


def test_with_nothing_changed_everything_is_as_logged(project: Path):
    """Verdict, artifact and findings of all attempts, byte for byte; only ids and times differ."""
    rows = logged(project)
    assert len(rows) == 2 * len(ANSWERS)
    assert {row.verdict for row in rows} == {"accepted", "max_iter_exhausted"}
    codes = {
        finding.code for row in rows for attempt in row.attempts for finding in attempt.findings
    }
    assert codes >= {"no_json", "schema", "ungrounded", "rule", "truncated", "refused", "empty"}

    ends, again = rejudge(project, rows)

    own = {"row_id", "timestamp", "daemon"}
    for row, end, new in zip(rows, ends, again, strict=True):
        assert {name: getattr(new, name) for name in Row.__struct_fields__ if name not in own} == {
            name: getattr(row, name) for name in Row.__struct_fields__ if name not in own
        }
        assert (end.side.verdict, end.artifact, end.error) == (row.verdict, row.artifact, None)
        assert (new.daemon, new.row_id[:16]) == ("replay", RUN_ID[:16])


def test_a_stricter_rule_says_what_it_would_have_rejected(project: Path):
    """The accepted answer is rejected now; what the model would have said next is unknown."""
    config = project / "lakehouse.toml"
    config.write_text(config.read_text().replace("$minutes < 100", "$minutes < 1"))
    [row] = [row for row in logged(project) if row.prompt == "<right>" and row.kind]

    [end], [new] = rejudge(project, [row])

    assert (row.verdict, end.side.verdict) == ("accepted", "max_iter_exhausted")
    assert (end.side.iterations, end.side.accepted_iteration) == (1, None)
    assert [finding.code for finding in new.attempts[0].findings] == ["rule"]
    assert new.kind_digest != row.kind_digest


def test_a_laxer_table_accepts_an_earlier_answer(project: Path):
    """The session ends there, as it would have: later answers are not looked at."""
    (project / "airports.csv").write_text("iata,city\nLHR,London\nLHQ,London\n")
    [row] = [row for row in logged(project) if row.prompt == "<ungrounded>" and row.kind]

    [end], [new] = rejudge(project, [row])

    assert (end.side.verdict, end.side.accepted_iteration, end.side.grounded) == (
        "accepted",
        1,
        True,
    )
    assert bytes(end.artifact) == b'{"code":"LHQ"}'
    assert len(new.attempts) == 2
    assert new.tables != row.tables


@pytest.mark.parametrize(
    ("metadata", "verdict"), [({}, "accepted"), ({AFTER_MEMBER: "a" * 32}, "max_iter_exhausted")]
)
def test_a_quote_of_what_was_told_is_none_here_either(project: Path, metadata, verdict):
    """The row has what the model was told of an answer that checks in Python rejected."""
    [row] = [row for row in logged(project) if row.prompt == "<right>" and not row.kind]
    quoted = {
        **SCHEMA,
        "properties": {"code": {"type": "string", "x-lakehouse": {"match": "quote"}}},
    }
    row = msgspec.structs.replace(
        row,
        inline_schema=msgspec.Raw(json.dumps(quoted).encode()),
        messages=(RowMessage("user", "<right>"), RowMessage("user", "Findings: not like LHR")),
        metadata=metadata,
    )

    [end], [new] = rejudge(project, [row])

    assert end.side.verdict == verdict
    assert [one.code for one in new.attempts[0].findings] == ["ungrounded"] * bool(metadata)


def test_another_kind_may_judge(project: Path):
    [row] = [row for row in logged(project) if row.prompt == "<thinking>" and row.kind]
    [end], [new] = rejudge(project, [row], Candidate(kind="strict"))
    assert (end.side.verdict, new.kind) == ("max_iter_exhausted", "strict")


def test_the_callers_schema_judges_beside_the_kind(project: Path):
    """As it stands in the row; one that the kind of today contradicts cannot be judged."""
    [right] = [row for row in logged(project) if row.prompt == "<right>" and row.kind]
    holds, fails, apart = (
        msgspec.structs.replace(right, inline_schema=msgspec.Raw(schema))
        for schema in (
            b'{"required":["minutes"]}',
            b'{"properties":{"minutes":{"maximum":1.0}}}',
            b'{"properties":{"code":{"type":"integer"}}}',
        )
    )

    ends, rows = rejudge(project, [holds, fails])

    assert [end.side.verdict for end in ends] == ["accepted", "max_iter_exhausted"]
    [finding] = rows[1].attempts[0].findings
    assert finding.expected == msgspec.Raw(b'{"maximum":1.0}')
    assert [row.inline_schema for row in rows] == [holds.inline_schema, fails.inline_schema]
    with pytest.raises(Refusal, match="'/code'"):
        rejudge(project, [apart])


def test_a_kind_that_is_gone_refuses_its_sessions(project: Path):
    config = project / "lakehouse.toml"
    config.write_text(config.read_text().replace("kinds.event", "kinds.events"))
    row = next(row for row in logged(project) if row.kind)
    with pytest.raises(Refusal, match="event"):
        rejudge(project, [row])


@pytest.mark.parametrize("kind", ["strict", None])
def test_the_grounding_that_the_callers_schema_carries_judges_again(
    project: Path, kind: str | None
) -> None:
    """It stands in the row: to judge the row again, nothing else is needed."""
    [right] = [row for row in logged(project) if row.prompt == "<right>" and row.kind]

    def carrying(column: str) -> Row:
        keyword = {"type": "string", "x-lakehouse": {"column": column}}
        schema = json.dumps({"properties": {"code": keyword}}).encode()
        return msgspec.structs.replace(right, kind=kind, inline_schema=msgspec.Raw(schema))

    ends, rows = rejudge(project, [carrying("airports.iata"), carrying("airports.city")])

    assert [end.side.verdict for end in ends] == ["accepted", "max_iter_exhausted"]
    assert [end.side.grounded for end in ends] == [True, False]
    [finding] = rows[1].attempts[0].findings
    assert (finding.code, finding.path) == ("ungrounded", "/code")
    assert list(rows[1].tables) == ["airports"]
    with pytest.raises(Refusal, match=r"table 'airport' .*did you mean 'airports'"):
        rejudge(project, [carrying("airport.iata")])


@pytest.mark.parametrize("kind", ["strict", None])
def test_a_session_is_repeated_with_the_grounding_that_its_row_carries(
    project: Path, kind: str | None
) -> None:
    schema = b'{"properties":{"code":{"type":"string","x-lakehouse":{"column":"airports.city"}}}}'
    [right] = [row for row in logged(project) if row.prompt == "<right>" and row.kind]
    row = msgspec.structs.replace(right, kind=kind, inline_schema=msgspec.Raw(schema))
    sink = MemoryLog()

    async def run() -> None:
        stack = open_stack(project, "replay", sink=sink)
        again = ModelReplay(stack.validator, Candidate(), kinds=stack.catalog.kinds, in_force={})
        await again(row, replay_row_id(RUN_ID, row.row_id, 0))
        await stack.close()

    asyncio.run(run())
    [new] = sink.rows
    [finding] = new.attempts[0].findings
    assert (finding.code, finding.path) == ("ungrounded", "/code")
    assert new.inline_schema == row.inline_schema


TYPED = {"python_type": "shop:Event", "python_source": "sha256:0"}


@pytest.mark.parametrize("member", ["python_source", "python_checks"])
def test_what_python_code_judged_too_is_not_judged_without_it(project: Path, member: str):
    for row in [row for row in logged(project) if row.prompt == "<right>"]:
        typed = msgspec.structs.replace(row, metadata={"python_type": "shop:Event", member: "x"})
        with pytest.raises(Refusal, match="'shop:Event', which a replay does not have"):
            rejudge(project, [typed])
        with pytest.raises(Refusal, match="'shop:Event'"):
            replay_request(typed, Candidate(), kinds={}, in_force={})


def test_a_type_without_code_is_judged_by_what_the_row_has(project: Path):
    [row] = [row for row in logged(project) if row.prompt == "<right>" and row.kind is None]
    typed = msgspec.structs.replace(row, metadata={"python_type": "shop:Event"})

    [end], [new] = rejudge(project, [typed])

    assert (end.side.verdict, new.kind) == ("accepted", None)


def test_a_kind_takes_the_place_of_a_type(project: Path):
    [row] = [row for row in logged(project) if row.prompt == "<right>" and row.kind is None]
    typed = msgspec.structs.replace(row, metadata=TYPED)

    [end], [new] = rejudge(project, [typed], Candidate(kind="event"))

    assert (end.side.verdict, end.side.grounded) == ("accepted", True)
    assert (new.kind, bytes(new.inline_schema)) == ("event", b"null")
    request = replay_request(typed, Candidate(kind="event"), kinds={}, in_force={})
    assert (request.kind, bytes(request.schema), bytes(request.output_schema)) == (
        "event",
        b"null",
        b"null",
    )
