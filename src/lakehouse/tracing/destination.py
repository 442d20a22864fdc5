"""Selects the receiver of traces: the first one of the table that the environment configures.

An incomplete configuration is an error: traces that are silently lost, or sent to a cloud that was
not configured, are worse than a daemon that reports what is missing.
"""

from collections.abc import Mapping
from typing import Final

from lakehouse.tracing.intake import Destination
from lakehouse.tracing.langfuse import LANGFUSE
from lakehouse.tracing.otlp_receiver import OTLP

RECEIVERS: Final = (LANGFUSE, OTLP)
SECRETS: Final = tuple(name for one in RECEIVERS for name in one.secrets)
"""The variables that hold keys of receivers."""


def find_destination(environment: Mapping[str, str]) -> Destination | None:
    """Return the receiver of traces; None if none is configured, or it is switched off.

    Raises:
        SetupError: The configuration is incomplete, or a value is invalid.
    """
    values = _set(environment)
    found = (one.find(values) for one in RECEIVERS if one.off(values) is None)
    return next((one for one in found if one is not None), None)


def why_off(environment: Mapping[str, str]) -> str:
    """Return why `find_destination` returns None, for people: nothing set, or switched off."""
    values = _set(environment)
    reasons = [
        f"{one.off(values)} switches {one.name} off"
        for one in RECEIVERS
        if one.off(values) is not None and any(name in values for name in one.urls)
    ]
    return "; ".join(reasons) or f"neither {' nor '.join(one.urls[0] for one in RECEIVERS)} is set"


def without_tracing(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without a receiver of traces."""
    prefixes = tuple(one.prefix for one in RECEIVERS)
    return {name: value for name, value in environment.items() if not name.startswith(prefixes)}


def _set(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value.strip() for name, value in environment.items() if value.strip()}
