"""Rows to write in tests: whole, valid, and with members to vary."""

from typing import Any

import msgspec

from lakehouse.core.chat import Usage
from lakehouse.core.finding import Finding
from lakehouse.core.ids import new_id
from lakehouse.core.replay_row import Feedback, ReplayRun, ReplaySide
from lakehouse.core.row import Row, Settings, Started
from lakehouse.core.session import Attempt

NULL = msgspec.Raw(b"null")
SETTINGS = Settings(
    constrain="auto", temperature=NULL, max_tokens=None, seed=None, deadline_ms=120_000
)


def make_attempt(iteration: int = 0, **changes: Any) -> Attempt:
    """Give an accepted attempt; `changes` replace members."""
    attempt = Attempt(
        iteration=iteration,
        outcome="accepted",
        findings=(),
        told=None,
        output='{"airport":"OSL","delay":1.10}',
        thinking=None,
        artifact=msgspec.Raw(b'{"airport":"OSL","delay":1.10}'),
        repairs=(),
        finish_reason="stop",
        usage=Usage(10, 20),
        duration_ms=12,
        span_id="00f067aa0ba902b7",
    )
    return msgspec.structs.replace(attempt, **changes)


def rejected_attempt(iteration: int = 0, code: str = "schema", **changes: Any) -> Attempt:
    """Give an attempt with one finding of this code."""
    finding = Finding(code=code, path="/airport", message="not good", got=msgspec.Raw(b'"QQQ"'))
    return make_attempt(iteration, outcome="rejected", findings=(finding,), **changes)


def make_row(**changes: Any) -> Row:
    """Give an accepted session's row with a `row_id` of its own; `changes` replace members."""
    row_id = new_id()
    row = Row(
        session_id=row_id,
        trace_id=row_id,
        row_id=row_id,
        timestamp="2026-01-02T03:04:05.678901Z",
        daemon="validatord",
        kind="airport_event",
        model="smollm2-135m-instruct",
        model_alias="small",
        provider="scripted",
        prompt="Flight to Oslo is late.",
        messages=None,
        system="Extract the event as JSON.",
        max_iterations=3,
        settings=SETTINGS,
        inline_schema=NULL,
        verdict="accepted",
        iterations=1,
        accepted_iteration=0,
        grounded=True,
        artifact=msgspec.Raw(b'{"airport":"OSL","delay":1.10}'),
        attempts=(make_attempt(),),
        error=None,
        usage=Usage(10, 20),
        duration_ms=12,
        conversation_id=None,
        metadata={},
        trace_id_replaced=False,
        config_digest="sha256:" + "0" * 64,
        kind_digest="sha256:" + "1" * 64,
        tables={"airports": "sha256:" + "2" * 64},
    )
    return msgspec.structs.replace(row, **changes)


def make_started(row: Row) -> Started:
    """Give the started line that the row's session left before."""
    names = {field.name for field in msgspec.structs.fields(Started)} - {"schema"}
    return Started(**{name: getattr(row, name) for name in names})


def make_side(**changes: Any) -> ReplaySide:
    """Give an accepted side; `changes` replace members."""
    side = ReplaySide(
        model="tiny-1b",
        verdict="accepted",
        iterations=1,
        accepted_iteration=0,
        grounded=None,
        usage=Usage(10, 20),
        duration_ms=12,
    )
    return msgspec.structs.replace(side, **changes)


def make_replay_run(**changes: Any) -> ReplayRun:
    """Give a replay's line; `changes` replace members."""
    run = ReplayRun(
        run_id=new_id(),
        session_id="s-1",
        row_id=new_id(),
        replay_row_id=new_id(),
        timestamp="2026-01-02T03:04:05.678901Z",
        daemon="replay",
        kind="airport_event",
        baseline=make_side(),
        candidate=make_side(),
        artifact_equal=True,
        metadata={"mode": "replay"},
    )
    return msgspec.structs.replace(run, **changes)


def make_feedback(**changes: Any) -> Feedback:
    """Give a corrected session's line; `changes` replace members."""
    feedback = Feedback(
        feedback_id=new_id(),
        session_id="s-1",
        row_id=new_id(),
        timestamp="2026-01-02T03:04:05.678901Z",
        label="corrected",
        artifact=msgspec.Raw(b'{"delay":1.10}'),
        comment=None,
        author="ana",
    )
    return msgspec.structs.replace(feedback, **changes)
