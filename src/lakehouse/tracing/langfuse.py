"""Langfuse as a receiver: traces by OTLP, scores by its own intake."""

import base64
import re
from collections.abc import Mapping
from typing import Final

from lakehouse.core.errors import SetupError
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
    from lakehouse.tracing import scores  # noqa: PLC0415  free unless configured

    base = _PATH.sub("", values[source])
    check_intake(source, base)
    pair = f"{values[_PUBLIC_KEY]}:{values[_SECRET_KEY]}".encode()
    return Destination(
        receiver="langfuse",
        source=source,
        traces_url=IntakeUrl(f"{base}/api/public/otel/v1/traces"),
        scores=ScoreIntake(
            url=IntakeUrl(f"{base}/api/public/ingestion"),
            encode=scores.scores,
            count=scores.score_count,
            batch=scores.batch,
            rejected=scores.rejected_scores,
        ),
        headers={
            "authorization": f"Basic {base64.b64encode(pair).decode('ascii')}",
            "x-langfuse-ingestion-version": _INGESTION_VERSION,
            "x-langfuse-sdk-name": "lakehouse",
        },
        resource=resource_of(values),
    )


LANGFUSE: Final = TraceReceiver(
    name="Langfuse",
    prefix="LANGFUSE_",
    urls=_URLS,
    switches={"LANGFUSE_TRACING_ENABLED": "false"},
    find=_langfuse,
    secrets=(_SECRET_KEY, _PUBLIC_KEY),
)
