"""Tests of your own kinds, types and checks, with answers given in the place of a model's.

    from lakehouse.testing import scripted

    with scripted([{"airport": "BCX"}, {"airport": "BCN"}]) as lake:
        assert lake.create(Event, "BCN: VY3901 is late.").airport == "BCN"

`lakehouse_scripted` is the same as a fixture of pytest. The names are loaded when they are first
used, so that pytest's start costs little.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakehouse.testing.clients import AsyncScriptedLake, ScriptedLake
    from lakehouse.testing.given_answers import ModelCall, Outage, ScriptError
    from lakehouse.testing.openers import scripted, scripted_async

__all__ = [
    "AsyncScriptedLake",
    "ModelCall",
    "Outage",
    "ScriptError",
    "ScriptedLake",
    "scripted",
    "scripted_async",
]

_HOMES = {
    "AsyncScriptedLake": "clients",
    "ModelCall": "given_answers",
    "Outage": "given_answers",
    "ScriptError": "given_answers",
    "ScriptedLake": "clients",
    "scripted": "openers",
    "scripted_async": "openers",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415  the plugin of pytest loads this package

    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
