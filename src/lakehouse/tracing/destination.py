"""Selects the receiver of traces: the first one of the table that the environment configures.

Half of what a receiver needs is an error: traces that silently go nowhere, or to a cloud that
nobody named, are worse than a daemon that says what is missing.
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
    """Read where traces go; None where nothing is set, or what is set is switched off.

    Raises:
        SetupError: Half of what is needed is set, or a value cannot be used.
    """
    values = _set(environment)
    found = (one.find(values) for one in RECEIVERS if one.off(values) is None)
    return next((one for one in found if one is not None), None)


def why_off(environment: Mapping[str, str]) -> str:
    """Say, for people, why `find_destination` gives nowhere: nothing is set, or what is set off."""
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
