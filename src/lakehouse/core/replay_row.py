"""The lines beside the session rows: replay results and feedback.

Member order is the contract's (section 6). Both are plain JSON lines that end in a `crc`.
"""

from typing import Literal

import msgspec

from lakehouse.core.chat import Usage
from lakehouse.core.json_text import Int64, null
from lakehouse.core.session import Verdict

FeedbackLabel = Literal["right", "wrong", "corrected"]


class ReplaySide(msgspec.Struct, frozen=True, kw_only=True):
    """A summary of one side of a pair; its session row has the rest."""

    model: str
    verdict: Verdict
    iterations: Int64
    accepted_iteration: Int64 | None
    grounded: bool | None
    usage: Usage
    duration_ms: Int64


class ReplayRun(msgspec.Struct, frozen=True, kw_only=True):
    """`replay.run.v1`: one session that was replayed to an answer. See spec/v1.

    `row_id` is the logged session's, `replay_row_id` its replay's own row. `artifact_equal` says
    whether both sides ended with the same JSON value; null where either has no artifact.
    """

    schema: Literal["replay.run.v1"] = "replay.run.v1"
    run_id: str
    session_id: str
    row_id: str
    replay_row_id: str
    timestamp: str
    daemon: str
    kind: str | None
    baseline: ReplaySide
    candidate: ReplaySide
    artifact_equal: bool | None
    metadata: dict[str, str]


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """`feedback.v1`: a person's feedback on a session.

    `artifact` is raw JSON, set when `corrected`.

    The latest label of a row counts.
    """

    schema: Literal["feedback.v1"] = "feedback.v1"
    feedback_id: str
    session_id: str
    row_id: str
    timestamp: str
    label: FeedbackLabel
    artifact: msgspec.Raw
    comment: str | None
    author: str | None


class FeedbackRequest(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """The body of `POST /v1/feedback`. `artifact` is set only with `corrected`.

    `row_id` selects a row if the session has several; replays are not counted.
    """

    session_id: str
    label: FeedbackLabel
    row_id: str | None = None
    artifact: msgspec.Raw = msgspec.field(default_factory=null)
    comment: str | None = None
    author: str | None = None
