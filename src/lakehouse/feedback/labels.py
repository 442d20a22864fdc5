"""Writes feedback: one line per label; the latest label of a row counts.

A corrected artifact is a checked answer, and replays are scored against it. So is the artifact of
a session labelled right. All functions block on the disk.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.core.clock import Clock, timestamp
from lakehouse.core.errors import Refusal
from lakehouse.core.ids import is_session_id, new_id
from lakehouse.core.json_text import NULL, compact, parse_bytes, pointer
from lakehouse.core.replay_row import Feedback, FeedbackRequest
from lakehouse.core.row import Row
from lakehouse.core.row_codec import RowError, decode_feedback, decode_row, encode_line
from lakehouse.engine.task import Catalog, judging_schema
from lakehouse.files.disk import reason
from lakehouse.sessionlog.layout import FEEDBACK
from lakehouse.sessionlog.reading.filters import REPLAY_DAEMON
from lakehouse.sessionlog.reading.reader import find_rows
from lakehouse.sessionlog.shared_file import append_lines, whole_lines

_NAMED_MAX: Final = 10  # row ids in one message
_FINDINGS_MAX: Final = 3


def give_feedback(
    root: Path, request: FeedbackRequest, *, catalog: Catalog, clock: Clock
) -> Feedback:
    """Append a label to the log; durable when this returns.

    A corrected artifact must pass the current schema and validators of the session's kind, and the
    session's inline schema. Grounding is not checked: the person who sent it vouches for its
    values. Call it in a thread without an event loop: it blocks.

    Raises:
        Refusal: `not_found`; `ambiguous_session`, naming the rows; `invalid_request`;
            `log_unavailable`.
        InfraError: `rule_broken`, `timeout`: the validators could not judge the artifact.

    Cost: a search for the session in the log, about 1 GB/s, and a sync.
    """
    row = _row(root, request)
    artifact = _checked(request, row, catalog)
    feedback = Feedback(
        feedback_id=new_id(),
        session_id=row.session_id,
        row_id=row.row_id,
        timestamp=timestamp(clock.now()),
        label=request.label,
        artifact=artifact,
        comment=request.comment,
        author=request.author,
    )
    try:
        append_lines(root / FEEDBACK, [encode_line(feedback)])
    except OSError as error:
        raise Refusal(
            "log_unavailable",
            f"The feedback cannot be written: {reason(error)}.",
            hint="Check the disk behind the session log: `lakehouse doctor`.",
            retry_after_s=2,
        ) from error
    return feedback


def latest_feedback(root: Path) -> dict[str, Feedback]:
    """Read the latest label of each row, by row id. Damaged lines are left out."""
    latest: dict[str, Feedback] = {}
    for line in whole_lines(root / FEEDBACK):
        with suppress(RowError):
            feedback = decode_feedback(line)
            latest[feedback.row_id] = feedback
    return latest


def _row(root: Path, request: FeedbackRequest) -> Row:
    found = find_rows(root, request.session_id) if is_session_id(request.session_id) else []
    rows = [row for row in map(decode_row, found) if row.session_id == request.session_id]
    if request.row_id is not None:
        rows = [row for row in rows if row.row_id == request.row_id]
    else:
        rows = [row for row in rows if row.daemon != REPLAY_DAEMON]
    if not rows:
        wanted = f"row {request.row_id[:64]!r} of session" if request.row_id else "session"
        raise Refusal(
            "not_found",
            f"There is no {wanted} {request.session_id[:64]!r} in the log.",
            hint="GET /v1/sessions lists the sessions, newest first.",
        )
    if len(rows) > 1:
        named = ", ".join(row.row_id for row in rows[:_NAMED_MAX])
        more = f" and {len(rows) - _NAMED_MAX} more" if len(rows) > _NAMED_MAX else ""
        raise Refusal(
            "ambiguous_session",
            f"Session {request.session_id!r} has {len(rows)} rows: {named}{more}.",
            hint="Choose one with `row_id`.",
        )
    return rows[0]


def _checked(request: FeedbackRequest, row: Row, catalog: Catalog) -> msgspec.Raw:
    if request.label != "corrected":
        if request.artifact != NULL:
            raise _invalid(
                f"`artifact` is only allowed with the label corrected, not with {request.label}."
            )
        if request.label == "right" and row.artifact == NULL:
            raise _invalid("`label` is right, but the session has no artifact.")
        return NULL
    if request.artifact == NULL:
        raise _invalid("`artifact` is missing: the label corrected needs the right artifact.")
    raw = compact(bytes(request.artifact).decode("utf-8"))
    kind = catalog.kinds.get(row.kind) if row.kind is not None else None
    schema = None
    asserted = row.settings.asserts_formats
    if kind is not None:
        schema = judging_schema(kind, row.inline_schema, catalog.schemas, assert_formats=asserted)
    elif row.inline_schema != NULL:
        schema = catalog.schemas.get(bytes(row.inline_schema), "known" if asserted else "off")
    if schema is not None:
        findings = schema.findings(parse_bytes(raw), raw)
        if findings:
            shown = (f"{one.path or '(whole)'}: {one.message}" for one in findings[:_FINDINGS_MAX])
            raise _invalid(f"`artifact` does not fit the schema: {'; '.join(shown)}")
    if kind is not None and kind.model_check is not None:
        faults = asyncio.run(kind.model_check.faults(raw))
        if faults:
            told = "; ".join(
                f"{pointer(*one.place) or '(whole)'}: {one.message}"
                for one in faults[:_FINDINGS_MAX]
            )
            raise _invalid(f"`artifact` does not fit the kind's model: {told}")
    return msgspec.Raw(raw)


def _invalid(message: str) -> Refusal:
    return Refusal("invalid_request", message, hint="The fields are described at /openapi.json.")
