"""Validates names given to filters: an unknown kind or model is an error, not an empty result."""

from collections.abc import Iterable
from pathlib import Path

from lakehouse.config.settings import Config
from lakehouse.core.errors import SetupError
from lakehouse.core.suggestion import did_you_mean
from lakehouse.sessionlog.reading.filters import SessionFilter
from lakehouse.sessionlog.reading.stats import Dimension, stats


def check_names(config: Config, log: Path, where: SessionFilter) -> None:
    """Check that the kind, model and daemon of a filter are configured or in the log.

    For a filter that matched nothing; costs a pass over the log.

    Raises:
        SetupError: Names the option, the known names, and the nearest ones.
    """
    kinds: Iterable[str] = config.kinds
    models = [*config.models, *(model.model for model in config.models.values())]
    daemons = ("gateway", "validatord", "replay")
    _check("kind", where.kind, kinds, _logged(log, "kind", where))
    _check("model", where.model, models, _logged(log, "model", where))
    _check("daemon", where.daemon, daemons, _logged(log, "daemon", where))


def _check(option: str, name: str | None, configured: Iterable[str], logged: Iterable[str]) -> None:
    known = sorted({*configured, *logged})
    if name is not None and name not in known:
        raise SetupError(
            f"--{option} {name!r}: no such {option}{did_you_mean(name, known)} in the "
            f"configuration or the log; known: {', '.join(known) or 'none'}.",
            hint="`lakehouse kinds` and `lakehouse models list` list what is configured.",
        )


def _logged(log: Path, dimension: Dimension, where: SessionFilter) -> list[str]:
    found = stats(log, by=[dimension], where=SessionFilter(daemon=where.daemon)).by
    groups = [part.group or {} for part in found or ()]
    return [name for group in groups if (name := group.get(dimension)) is not None]
