"""The command line of a daemon, in its usual form: `up --config lakehouse.toml`.

Typer loads Pydantic to read an option, whatever its type: a quarter of a daemon's start and a
seventh of its memory. So a line of this form is read here. Any other, a wrong one included, is
Typer's, which knows the same options (`serve.py`), their help, and what to say of a mistake.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Literal, NamedTuple, get_args

DaemonRole = Literal["up", "gateway", "validatord", "chatd"]


class LogLevel(StrEnum):
    """The lowest level that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class DaemonLine(NamedTuple):
    """What a command line says of a daemon. `config` is a path; without one it is looked for.

    `workers` is the number of processes, or `auto`, of `up` only.
    """

    role: DaemonRole
    config: str | None = None
    log_level: LogLevel = LogLevel.INFO
    workers: str = "1"


_ROLES: Final[dict[str, DaemonRole]] = {role: role for role in get_args(DaemonRole)}
_LEVELS: Final = {level.value: level for level in LogLevel}


def daemon_line(arguments: Sequence[str]) -> DaemonLine | None:
    """Read the arguments after `lakehouse`; None if they have another form."""
    role = _ROLES.get(arguments[0]) if arguments else None
    given = _options(arguments[1:])
    known = {"--config", "--log-level", *(("--workers",) if role == "up" else ())}
    if role is None or given is None or not given.keys() <= known:
        return None
    level = _LEVELS.get(given.get("--log-level", LogLevel.INFO))
    return (
        None
        if level is None
        else DaemonLine(role, given.get("--config"), level, given.get("--workers", "1"))
    )


def _options(arguments: Sequence[str]) -> dict[str, str] | None:
    """Read `--name value` and `--name=value`; None if there is anything else, or a name twice."""
    given: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        name, _, value = argument.partition("=")
        if name == argument:
            value = next(rest, "")
        if name in given or not name.startswith("--") or not value or value.startswith("-"):
            return None
        given[name] = value
    return given
