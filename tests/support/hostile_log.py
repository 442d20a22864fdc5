"""A log with every hostile text in every place where a text of somebody else can stand in it."""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from lakehouse.core.clock import timestamp
from lakehouse.core.finding import Finding, Repair
from lakehouse.core.ids import new_id
from lakehouse.core.json_text import pointer
from lakehouse.core.replay_row import Feedback, ReplayRun
from lakehouse.core.row import LoggedError, Row, RowMessage
from lakehouse.core.row_codec import encode_line
from lakehouse.core.session import Attempt, Narrowed
from lakehouse.sessionlog.layout import FEEDBACK, REPLAY_RUNS
from lakehouse.sessionlog.reading.filters import REPLAY_DAEMON
from lakehouse.sessionlog.shared_file import append_lines
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.hostile_texts import SESSION_IDS, TEXTS
from support.rows import SETTINGS, make_attempt, make_feedback, make_replay_run, make_row, make_side

DIGEST = "sha256:" + "5" * 64


class HostileLog(msgspec.Struct, frozen=True):
    """What was written for each text: three rows of one session, a label and a replayed pair.

    Sessions with odd ids follow.
    """

    root: Path
    rows: list[Row]
    feedback: list[Feedback]
    replay_runs: list[ReplayRun]


def write_hostile_log(
    root: Path, start: datetime, written: Callable[[str], str] = str
) -> HostileLog:
    """Write the log; one row a second from `start`, so that two logs differ in their texts only.

    `written` gives the text to write for each hostile one. Call it in a thread without an event
    loop: it blocks.
    """
    rows: list[Row] = []
    feedback, runs = [], []
    run_id = new_id()
    for number, hostile in enumerate(TEXTS):
        text = written(hostile)
        three = (_judged(text, number), _failed(text, number), _replayed(text, number))
        at = start + timedelta(seconds=3 * number)
        rows += [
            msgspec.structs.replace(row, timestamp=timestamp(at + timedelta(seconds=second)))
            for second, row in enumerate(three)
        ]
        feedback.append(_label(rows[-3], text))
        runs.append(_run(run_id, rows[-3], rows[-1], text))
    for number, session_id in enumerate(SESSION_IDS):
        at = start + timedelta(seconds=3 * len(TEXTS) + number)
        rows.append(make_row(session_id=session_id, timestamp=timestamp(at)))
    asyncio.run(_append(root, rows))
    append_lines(root / FEEDBACK, map(encode_line, feedback))
    append_lines(root / REPLAY_RUNS, map(encode_line, runs))
    return HostileLog(root, rows, feedback, runs)


async def _append(root: Path, rows: list[Row]) -> None:
    writer = SessionLogWriter.open(root, daemon="validatord")
    await asyncio.gather(*(writer.append(row) for row in rows))
    writer.close()


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _artifact(text: str) -> msgspec.Raw:
    return _raw({text: text, "values": [text, {text: {text: text}}], "number": 1})


def _row(text: str, **changes: Any) -> Row:
    return make_row(
        kind=text,
        model=text,
        model_alias=text,
        provider=text,
        prompt=text,
        messages=(
            RowMessage("system", text),
            RowMessage("user", f"before {text} after"),
            RowMessage("assistant", text),
            RowMessage("user", text),
        ),
        system=text,
        settings=msgspec.structs.replace(SETTINGS, stop=(text,)),
        inline_schema=_raw(
            {
                "title": text,
                "description": text,
                "properties": {text: {"enum": [text], "title": text}},
                "x-lakehouse": {"note": text},
            }
        ),
        conversation_id=text,
        metadata={text: text, "team": text, "user": text, "tags": f"one,{text}"},
        tables={text: DIGEST},
        **changes,
    )


def _finding(text: str, code: str) -> Finding:
    return Finding(
        code=code,
        path=pointer(text),
        message=text,
        got=_raw(text[:60]),
        expected=_raw({"enum": [text]}) if code == "schema" else _raw(text),
        nearest=_raw([text, f"{text} too"]),
    )


def _attempt(text: str, iteration: int, **changes: Any) -> Attempt:
    return make_attempt(
        iteration,
        told=text if iteration else None,
        output=f"{text}\n{bytes(_artifact(text)).decode()}",
        thinking=text,
        artifact=_artifact(text),
        repairs=(Repair("comma", 1, text),),
        narrowed=(
            Narrowed(path=pointer(text), column=text, mode="hint", candidates=1, digest=DIGEST),
        ),
        **changes,
    )


def _judged(text: str, number: int) -> Row:
    findings = (_finding(text, "schema"), _finding(text, "ungrounded"))
    return _row(
        text,
        session_id=f"attack-{number}",
        daemon=text,
        iterations=2,
        accepted_iteration=1,
        artifact=_artifact(text),
        attempts=(_attempt(text, 0, outcome="rejected", findings=findings), _attempt(text, 1)),
    )


def _failed(text: str, number: int) -> Row:
    return _row(
        text,
        session_id=f"attack-{number}",
        daemon=text,
        verdict="infra_error",
        iterations=0,
        accepted_iteration=None,
        grounded=None,
        artifact=msgspec.Raw(b"null"),
        attempts=(),
        error=LoggedError("upstream_status", text, text),
    )


def _replayed(text: str, number: int) -> Row:
    return _row(
        text,
        session_id=f"attack-{number}",
        daemon=REPLAY_DAEMON,
        artifact=_artifact(f"{text} again"),
        attempts=(_attempt(text, 0),),
    )


def _label(row: Row, text: str) -> Feedback:
    return make_feedback(
        session_id=row.session_id,
        row_id=row.row_id,
        timestamp=row.timestamp,
        artifact=_artifact(text),
        comment=text,
        author=text,
    )


def _run(run_id: str, logged: Row, replayed: Row, text: str) -> ReplayRun:
    return make_replay_run(
        run_id=run_id,
        session_id=logged.session_id,
        row_id=logged.row_id,
        replay_row_id=replayed.row_id,
        timestamp=replayed.timestamp,
        kind=text,
        baseline=make_side(model=text, verdict="max_iter_exhausted", accepted_iteration=None),
        candidate=make_side(model=text),
        artifact_equal=False,
        metadata={"mode": "replay", text: text},
    )
