"""A session's verdict as Langfuse scores, in batches, each under an id that never changes.

Batches go to `/api/public/ingestion`: scores are what it still takes in Langfuse 4, and what
Langfuse's own SDK sends there. One call a score (`/api/public/scores`) would cost more than all
the rest of tracing. Its answer, 207, tells of each score by itself.

Source: `web/src/pages/api/public/ingestion.ts` of Langfuse 4, `score-create`.
"""

from collections.abc import Sequence

import msgspec

from lakehouse.core.ids import SESSION_SPAN, derived_span_id
from lakehouse.core.row import Row
from lakehouse.transport.client import HttpReply


class _Answer(msgspec.Struct):
    errors: list[msgspec.Raw] = []


def scores(row: Row) -> list[bytes]:
    """Make the scores of a session: its verdict, whether it was accepted, and its iterations.

    `lakehouse.accepted` and `lakehouse.iterations` are left out for an `infra_error`: an outage is
    not a bad answer, and may not pull an average down.
    """
    found: list[tuple[str, str | int, str]] = [("verdict", row.verdict, "CATEGORICAL")]
    if row.verdict != "infra_error":
        found.append(("accepted", int(row.verdict == "accepted"), "BOOLEAN"))
        found.append(("iterations", row.iterations, "NUMERIC"))
    observation_id = derived_span_id(row.row_id, SESSION_SPAN)
    return [_score(row, observation_id, *each) for each in found]


def score_count(row: Row) -> int:
    """Say how many scores `scores` makes."""
    return 1 if row.verdict == "infra_error" else 3


def batch(items: Sequence[bytes]) -> bytes:
    """Put encoded scores into one body."""
    return b'{"batch":[%b]}' % b",".join(items)


def rejected_scores(reply: HttpReply) -> int:
    """Count the scores that Langfuse says it did not take."""
    try:
        return len(msgspec.json.decode(reply.body, type=_Answer).errors)
    except msgspec.MsgspecError:
        return 0


def _score(row: Row, observation_id: str, name: str, value: str | int, data_type: str) -> bytes:
    # The event's id is the score's: Langfuse keeps one of each, so that sending twice is once.
    identity = f"lakehouse-{row.row_id}-{name}"
    return msgspec.json.encode(
        {
            "id": identity,
            "type": "score-create",
            "timestamp": row.timestamp,
            "body": {
                "id": identity,
                "traceId": row.trace_id,
                "observationId": observation_id,
                "name": f"lakehouse.{name}",
                "value": value,
                "dataType": data_type,
            },
        }
    )
