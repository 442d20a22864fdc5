"""Langfuse as a receiver: traces over OTLP, scores over its own API.

Each score has an id that never changes. Batches go to `/api/public/ingestion`: scores are what it
still takes in Langfuse 4, and what Langfuse's own SDK sends there. One call a score
(`/api/public/scores`) would cost more than all the rest of tracing. Its answer, 207, has a status
for each score.

Source: `web/src/pages/api/public/ingestion.ts` of Langfuse 4, `score-create`, and
`web/src/pages/trace/[traceId].tsx`, which leads to a trace's page in its project.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.core.ids import SESSION_SPAN, derived_span_id
from lakehouse.core.row import Row
from lakehouse.tracing.intake import (
    Destination,
    IntakeUrl,
    ScoreIntake,
    TraceReceiver,
    check_intake,
    resource_of,
)

_URLS: Final = ("LANGFUSE_URL", "LANGFUSE_BASE_URL", "LANGFUSE_HOST", "LANGFUSE_BASEURL")
_PUBLIC_KEY: Final = "LANGFUSE_PUBLIC_KEY"
_SECRET_KEY: Final = "LANGFUSE_SECRET_KEY"  # noqa: S105  the variable's name
_PATH = re.compile(r"(/api/public/otel(/v1/traces)?)?/*$")
_INGESTION_VERSION: Final = "4"  # the path of Langfuse 4 that shows spans at once


def _langfuse(values: Mapping[str, str]) -> Destination | None:
    source = next((name for name in _URLS if name in values), None)
    given = [
        name for name in (source, _PUBLIC_KEY, _SECRET_KEY) if name is not None and name in values
    ]
    if not given:
        return None
    missing = [name for name in (_PUBLIC_KEY, _SECRET_KEY) if name not in values]
    if source is None:
        missing.insert(0, _URLS[0])
    if source is None or missing:
        raise SetupError(
            f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} set, but "
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not.",
            hint="Langfuse needs its URL and both keys. Unset all of them to run without tracing.",
        )
    base = _PATH.sub("", values[source])
    check_intake(source, base)
    pair = f"{values[_PUBLIC_KEY]}:{values[_SECRET_KEY]}".encode()
    return Destination(
        receiver="langfuse",
        source=source,
        traces_url=IntakeUrl(f"{base}/api/public/otel/v1/traces"),
        scores=ScoreIntake(
            url=IntakeUrl(f"{base}/api/public/ingestion"),
            encode=scores,
            count=score_count,
            batch=_batch,
            rejected=_rejected_scores,
        ),
        headers={
            "authorization": f"Basic {base64.b64encode(pair).decode('ascii')}",
            "x-langfuse-ingestion-version": _INGESTION_VERSION,
            "x-langfuse-sdk-name": "lakehouse",
        },
        resource=resource_of(values),
        trace_page=None if {"?", "#"} & set(base) else f"{base}/trace/{{trace_id}}",
    )


class _Answer(msgspec.Struct):
    errors: list[msgspec.Raw] = []


def scores(row: Row) -> list[bytes]:
    """Build the scores of a session: its verdict, whether it was accepted, and its iterations.

    `lakehouse.accepted` and `lakehouse.iterations` are left out for an `infra_error`: an outage is
    not a bad answer, and must not lower an average.
    """
    found: list[tuple[str, str | int, str]] = [("verdict", row.verdict, "CATEGORICAL")]
    if row.verdict != "infra_error":
        found.append(("accepted", int(row.verdict == "accepted"), "BOOLEAN"))
        found.append(("iterations", row.iterations, "NUMERIC"))
    observation_id = derived_span_id(row.row_id, SESSION_SPAN)
    return [_score(row, observation_id, *each) for each in found]


def score_count(row: Row) -> int:
    """Return how many scores `scores` makes."""
    return 1 if row.verdict == "infra_error" else 3


def _batch(items: Sequence[bytes]) -> bytes:
    return b'{"batch":[%b]}' % b",".join(items)


def _rejected_scores(body: bytes) -> int:
    """Return how many scores Langfuse reports as rejected."""
    try:
        return len(msgspec.json.decode(body, type=_Answer).errors)
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


LANGFUSE: Final = TraceReceiver(
    name="Langfuse",
    prefix="LANGFUSE_",
    urls=_URLS,
    switches={"LANGFUSE_TRACING_ENABLED": "false"},
    find=_langfuse,
    secrets=(_SECRET_KEY, _PUBLIC_KEY),
)
