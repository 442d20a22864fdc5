"""Checks between the settings of one model: which ones its provider supports, and their values.

A setting that would be ignored is an error: it would look as if it had an effect.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

from lakehouse.core.chat import Sampling
from lakehouse.core.errors import SetupError
from lakehouse.core.limits import (
    ENUM_VALUES_MAX,
    SEED_MAX,
    STOPS_MAX,
    TEMPERATURE_MAX,
    TOKENS_MAX,
    TOP_P_MAX,
)
from lakehouse.core.suggestion import did_you_mean
from lakehouse.core.wording import range_fault, shown
from lakehouse.providers.provider import ModelSettings, name_of
from lakehouse.providers.registry import PROVIDERS
from lakehouse.validation.reasoning_marks import pair_fault

ErrorAt = Callable[[str, str], SetupError]

_TAG: Final = "provider"


def settings_of(field: str, content: Mapping[str, object], error: ErrorAt) -> type[ModelSettings]:
    """Choose the settings type that `provider` names, and check that it has what is set.

    Raises:
        SetupError: Made by `error(field, message)`, naming the provider and what is near.
    """
    named = content.get(_TAG)
    found = PROVIDERS.get(named) if isinstance(named, str) else None
    types = PROVIDERS.values() if found is None else (found,)
    known = sorted({_TAG, *(name for kind in types for name in kind.__struct_fields__)})
    for name in content:
        if name not in known:
            raise error(f"{field}.{name}", _unknown(name, known, found))
    if found is None:
        told = "is missing" if _TAG not in content else f"is {shown(named)}"
        near = did_you_mean(named, PROVIDERS) if isinstance(named, str) else ""
        allowed = ", ".join(f"`{name}`" for name in PROVIDERS)
        raise error(f"{field}.{_TAG}", f"{told}{near}; allowed: {allowed}")
    return found


def _unknown(name: str, known: list[str], settings: type[ModelSettings] | None) -> str:
    whose = ""
    if settings is not None:
        whose = f" of provider {name_of(settings)!r}"
        others = [repr(one) for one, kind in PROVIDERS.items() if name in kind.__struct_fields__]
        if others:
            instead = f"; {settings.INSTEAD[name]}" if name in settings.INSTEAD else ""
            only = " and ".join(others)
            return f"provider {name_of(settings)!r} takes none; only {only} does{instead}"
    return f"unknown field{whose}{did_you_mean(name, known)}; allowed are {', '.join(known)}"


def check_model(field: str, model: ModelSettings, error: ErrorAt) -> None:
    """Check the settings of one model: what its provider says of them, then what all share.

    Raises:
        SetupError: Made by `error(field, message)`, for the first violation.
    """
    for setting, message in model.faults():
        raise error(f"{field}.{setting}", message)
    check_range(f"{field}.slots", model.slots, 1, 10_000, error)
    check_range(f"{field}.enum_values_max", model.enum_values_max, 1, ENUM_VALUES_MAX, error)
    for name in ("connect", "load", "first_byte", "idle"):
        value = getattr(model, f"{name}_timeout_ms")
        check_range(f"{field}.{name}_timeout_ms", value, 1, 3_600_000, error)
    for index, pair in enumerate(model.reasoning_marks):
        why = pair_fault(*pair)
        if why is not None:
            raise error(f"{field}.reasoning_marks", f"pair {index + 1}, {list(pair)!r}: {why}")
    check_sampling(field, model.sampling(), error)


def check_sampling(field: str, sampling: Sampling, error: ErrorAt) -> None:
    """Check the sampling of a model or a kind; raises likewise."""
    _check_number(f"{field}.temperature", sampling.temperature, TEMPERATURE_MAX, error)
    _check_number(f"{field}.top_p", sampling.top_p, TOP_P_MAX, error)
    for name, low, high in (("max_tokens", 1, TOKENS_MAX), ("seed", 0, SEED_MAX)):
        check_range(f"{field}.{name}", getattr(sampling, name), low, high, error)
    stop = sampling.stop
    if stop is not None and not (0 < len(stop) <= STOPS_MAX and all(stop)):
        raise error(
            f"{field}.stop", f"is {list(stop)!r}; allowed are 1 to {STOPS_MAX} texts, none empty"
        )


def check_range(field: str, value: int | None, low: int, high: int, error: ErrorAt) -> None:
    """Check that a number, if there is one, lies within its bounds; raises likewise."""
    fault = range_fault(value, low, high)
    if fault is not None:
        raise error(field, fault)


def _check_number(field: str, value: float | None, high: float, error: ErrorAt) -> None:
    if value is not None and not (math.isfinite(value) and 0 <= value <= high):
        raise error(field, f"is {value}; allowed is 0 to {high:g}")
