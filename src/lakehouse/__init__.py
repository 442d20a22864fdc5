"""Validated, table-grounded artifacts from language models, and a record you can trust.

    import lakehouse

    with lakehouse.open("lakehouse.toml") as lake:
        event = lake.create(Event, "BCN Barcelona: VY3901 delayed 25 minutes.")

The names below are loaded when they are first used, so that `import lakehouse` costs little.
"""

__version__ = "1.0.0"

TYPE_CHECKING = False  # type checkers know this name, and `typing` costs more than all the rest

if TYPE_CHECKING:
    from lakehouse.core.errors import InfraError, LakehouseError, SetupError
    from lakehouse.library.async_lake import AsyncLake
    from lakehouse.library.checks import Reject
    from lakehouse.library.errors import Exhausted, Refused
    from lakehouse.library.lake import Lake
    from lakehouse.library.many import ManyOptions, Outcome
    from lakehouse.library.openers import (
        connect,
        connect_async,
        open,  # noqa: A004  read as `lakehouse.open`
        open_async,
    )
    from lakehouse.library.request import CreateOptions, IterateFields
    from lakehouse.library.session import Session, SessionAttempt, SessionFinding
    from lakehouse.output_types.markers import Grounded, Quote, Rule, Within

__all__ = [
    "AsyncLake",
    "CreateOptions",
    "Exhausted",
    "Grounded",
    "InfraError",
    "IterateFields",
    "Lake",
    "LakehouseError",
    "ManyOptions",
    "Outcome",
    "Quote",
    "Refused",
    "Reject",
    "Rule",
    "Session",
    "SessionAttempt",
    "SessionFinding",
    "SetupError",
    "Within",
    "connect",
    "connect_async",
    "open",
    "open_async",
]

_HOMES = {
    "AsyncLake": "library.async_lake",
    "CreateOptions": "library.request",
    "Exhausted": "library.errors",
    "Grounded": "output_types.markers",
    "InfraError": "core.errors",
    "IterateFields": "library.request",
    "Lake": "library.lake",
    "LakehouseError": "core.errors",
    "ManyOptions": "library.many",
    "Outcome": "library.many",
    "Quote": "output_types.markers",
    "Refused": "library.errors",
    "Reject": "library.checks",
    "Rule": "output_types.markers",
    "Session": "library.session",
    "SessionAttempt": "library.session",
    "SessionFinding": "library.session",
    "SetupError": "core.errors",
    "Within": "output_types.markers",
    "connect": "library.openers",
    "connect_async": "library.openers",
    "open": "library.openers",
    "open_async": "library.openers",
}


if not TYPE_CHECKING:  # or else every name would be known

    def __getattr__(name):
        """Load a public name when it is first used (PEP 562)."""
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415  most commands use none of these names

        value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
