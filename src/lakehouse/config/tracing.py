"""Builds the exporter of traces from the environment and the configuration."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lakehouse import __version__
from lakehouse.config.settings import Config
from lakehouse.tracing.destination import find_destination

if TYPE_CHECKING:
    from lakehouse.tracing.tracer import Tracer


def tracer(config: Config, environment: Mapping[str, str], role: str) -> "Tracer | None":
    """Build the exporter of traces; without a receiver None, and nothing is imported for it.

    Raises:
        SetupError: The environment sets only a part of what is needed.
    """
    destination = find_destination(environment)
    if destination is None:
        return None
    from lakehouse.tracing.tracer import Tracer  # noqa: PLC0415  free unless configured

    return Tracer(
        destination,
        service="lakehouse" if role == "up" else f"lakehouse-{role}",
        version=__version__,
        content=config.tracing.content,
    )
