"""Writes feedback: one line per label; the latest label of a row counts.

A corrected artifact is a checked answer, and replays are scored against it. So is the artifact of
a session labelled right. All functions block on the disk.
"""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.core.clock import Clock
from lakehouse.core.errors import Refusal
from lakehouse.core.finding import Finding
from lakehouse.core.ids import is_session_id, new_id
from lakehouse.core.json_text import NULL, compact, parse_bytes
from lakehouse.core.replay_row import Feedback, FeedbackRequest
from lakehouse.core.row import Row
from lakehouse.core.row_codec import RowError, decode_feedback, decode_row, encode_line
from lakehouse.core.wording import listed
from lakehouse.engine.inline_kind import judging_schema
from lakehouse.engine.judge import model_findings
from lakehouse.engine.task import Catalog
from lakehouse.files.disk import reason
from lakehouse.sessionlog.layout import FEEDBACK
from lakehouse.sessionlog.reading.filters import REPLAY_DAEMON
from lakehouse.sessionlog.reading.reader import find_rows
from lakehouse.sessionlog.shared_file import append_lines, whole_lines

_FINDINGS_MAX: Final = 3
_HINT: Final = "The fields are described at /openapi.json."
_ONCE: Final = threading.Lock()


class UnfitCorrection(Refusal):
    """A corrected artifact that the session's kind or schema rejects: `findings` say where."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        shown = (f"{one.path or '(whole)'}: {one.message}" for one in findings[:_FINDINGS_MAX])
        what = "kind's model" if findings[0].code == "rule" else "schema"
        message = f"`artifact` does not fit the {what}: {'; '.join(shown)}"
        super().__init__("invalid_request", message, hint=_HINT)
        self.findings = findings


def give_feedback(
    root: Path, request: FeedbackRequest, *, catalog: Catalog, clock: Clock, once: bool = False
) -> Feedback:
    """Append a label to the log; durable when this returns.

    A corrected artifact must pass the current schema and validators of the session's kind, and the
    session's inline schema. Grounding is not checked: the person who sent it vouches for its
    values. Call it in a thread without an event loop: it blocks. `once`: if the row's latest label
    says the same, that one is returned and nothing is written; a form may be sent twice.

    Raises:
        UnfitCorrection: `invalid_request`, with the findings.
        Refusal: `not_found`; `ambiguous_session`, naming the rows; `invalid_request`;
            `unknown_kind`: nothing can check the artifact; `log_unavailable`.
        InfraError: `rule_broken`, `timeout`: the validators could not judge the artifact.

    Cost: a search for the session in the log, about 1 GB/s, and a sync.
    """
    row = _row(root, request)
    artifact = _checked(request, row, catalog)
    feedback = Feedback(
        feedback_id=new_id(),
        session_id=row.session_id,
        row_id=row.row_id,
        timestamp=clock.timestamp(),
        label=request.label,
        artifact=artifact,
        comment=request.comment,
        author=request.author,
    )
    if not once:
        _append(root, feedback)
        return feedback
    with _ONCE:
        known = feedback_of(root, row.row_id)
        if known is not None and _said(known) == _said(feedback):
            return known
        _append(root, feedback)
    return feedback


def check_correction(row: Row, artifact: msgspec.Raw, catalog: Catalog) -> tuple[Finding, ...]:
    """Check a corrected artifact as `give_feedback` does, and write nothing; none: it fits.

    Blocks, and needs a thread without an event loop. The artifact is compact JSON.

    Raises:
        Refusal: `unknown_kind`: nothing can check it; `invalid_schema`.
        InfraError: `rule_broken`, `timeout`: the validators could not judge it.
    """
    kind = catalog.kinds.get(row.kind) if row.kind is not None else None
    schema = None
    asserted = row.settings.asserts_formats
    if kind is not None:
        schema = judging_schema(kind, row.inline_schema, catalog.schemas, assert_formats=asserted)
    elif row.inline_schema != NULL:
        schema = catalog.schemas.get(bytes(row.inline_schema), "known" if asserted else "off")
    elif row.kind is not None:
        raise Refusal(
            "unknown_kind",
            f"The session's kind {row.kind[:64]!r} is not configured now, so nothing can check a "
            "corrected artifact.",
            hint="Configure the kind again, or label the session right or wrong.",
        )
    raw = bytes(artifact)
    findings: Sequence[Finding] = ()
    if schema is not None:
        findings = schema.findings(parse_bytes(raw), raw)
    if not findings and kind is not None and kind.model_check is not None:
        findings = model_findings(asyncio.run(kind.model_check.faults(raw)), raw)
    return tuple(findings)


def latest_feedback(root: Path) -> dict[str, Feedback]:
    """Read the latest label of each row, by row id. Damaged lines are left out."""
    latest: dict[str, Feedback] = {}
    for line in whole_lines(root / FEEDBACK):
        with suppress(RowError):
            feedback = decode_feedback(line)
            latest[feedback.row_id] = feedback
    return latest


def feedback_of(root: Path, row_id: str) -> Feedback | None:
    """Read the latest label of one row. Cost: a pass over all labels, about 1 GB/s."""
    latest = None
    wanted = row_id.encode()
    for line in whole_lines(root / FEEDBACK):
        if wanted in line:
            with suppress(RowError):
                feedback = decode_feedback(line)
                latest = feedback if feedback.row_id == row_id else latest
    return latest


def _append(root: Path, feedback: Feedback) -> None:
    try:
        append_lines(root / FEEDBACK, [encode_line(feedback)])
    except OSError as error:
        raise Refusal(
            "log_unavailable",
            f"The feedback cannot be written: {reason(error)}.",
            hint="Check the disk behind the session log: `lakehouse doctor`.",
            retry_after_s=2,
        ) from error


def _said(feedback: Feedback) -> Feedback:
    return msgspec.structs.replace(feedback, feedback_id="", timestamp="")


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
        named = listed([row.row_id for row in rows])
        raise Refusal(
            "ambiguous_session",
            f"Session {request.session_id!r} has {len(rows)} rows: {named}.",
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
    raw = msgspec.Raw(compact(bytes(request.artifact).decode("utf-8")))
    findings = check_correction(row, raw, catalog)
    if findings:
        raise UnfitCorrection(findings)
    return raw


def _invalid(message: str) -> Refusal:
    return Refusal("invalid_request", message, hint=_HINT)
