"""What of an endpoint's settings stands in the environment: `$NAME` in headers, query and proxy.

The configuration file only ever names secrets. What is read here is never printed, digested or
logged, and is cut out of whatever an endpoint quotes.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.providers.provider import ModelSettings
from lakehouse.transport.client import check_header

_VARIABLE: Final = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_OURS: Final = frozenset(
    {
        "accept", "accept-encoding", "connection", "content-encoding", "content-length",
        "content-type", "expect", "host", "proxy-authorization", "te", "traceparent", "tracestate",
        "trailer", "transfer-encoding", "upgrade", "user-agent",
    }
)  # fmt: skip
_SECRET: Final = re.compile(r"authorization|cookie|key|token|secret|password|credential")


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How one endpoint is reached and lets us in, read from the environment."""

    api_key: str | None = None
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    proxy: str | None = None
    read: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be told: the key, and every other value that was read."""
        return self.read if self.api_key is None else (self.api_key, *self.read)

    def __repr__(self) -> str:
        return "Access(…)"


OPEN: Final = Access()  # of an endpoint that asks for nothing


def access_of(
    name: str, model: ModelSettings, environment: Mapping[str, str], *, source: str
) -> Access:
    """Read what a model's settings name.

    Raises:
        SetupError: A variable is not set, or its value cannot stand where it is to go.
    """
    reader = _Reader(environment, f"models.{name}", source)
    key = None
    if model.api_key_env is not None:
        key = reader.variable(model.api_key_env, "api_key_env")
    headers = {
        header: reader.filled(text, f"headers.{header}") for header, text in model.headers.items()
    }
    for header, value in headers.items():
        try:
            check_header(header, value)
        except ValueError as fault:
            raise SetupError(f"{source}: models.{name}.headers: {fault}.") from fault
    query = {one: reader.filled(text, f"query.{one}") for one, text in model.query.items()}
    proxy = None if model.proxy is None else reader.filled(model.proxy, "proxy")
    return Access(api_key=key, headers=headers, query=query, proxy=proxy, read=tuple(reader.read))


def header_fault(name: str, value: str, *, with_key: bool) -> str | None:
    """Say what is wrong with a configured header; None for nothing."""
    lower = name.lower()
    try:
        check_header(name, value)
    except ValueError as fault:
        return str(fault)
    if lower in _OURS:
        return "is set by Lakehouse for each call; leave it out"
    if lower == "authorization" and with_key:
        return "stands beside api_key_env, which sets it too; leave one of them out"
    if _SECRET.search(lower) and not variables_of(value):
        return (
            "looks like a secret, and secrets stand in the environment: "
            f'write {name} = "$A_VARIABLE" and export it'
        )
    return None


def variables_of(text: str) -> list[str]:
    """Name the variables that a text holds as `$NAME` or `${NAME}`."""
    return [found[1] or found[2] for found in _VARIABLE.finditer(text)]


class _Reader:
    """The environment, and what was read of it."""

    def __init__(self, environment: Mapping[str, str], field: str, source: str) -> None:
        self.read: dict[str, None] = {}
        self._environment = environment
        self._field = field
        self._source = source

    def variable(self, name: str, member: str) -> str:
        value = self._environment.get(name)
        if not value:
            raise SetupError(
                f"${name} is named by {self._field}.{member} in {self._source}, but is not set.",
                hint=f"export {name}=…, or take {member.partition('.')[0]} out.",
            )
        self.read[value] = None
        return value

    def filled(self, text: str, member: str) -> str:
        return _VARIABLE.sub(lambda found: self.variable(found[1] or found[2], member), text)
