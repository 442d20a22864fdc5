"""What the tracer needs of a receiver, and the variables that every receiver has.

Keys stay in here and never reach a message; nor does a URL's query, where some receivers want
theirs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.core.row import Row
from lakehouse.transport.client import check_url

TIMEOUT_MS_DEFAULT: Final = 10_000


class IntakeUrl(msgspec.Struct, frozen=True):
    """A receiver's URL. `whole` is for sending only: as text it is scheme, host, port and path."""

    whole: str

    def __str__(self) -> str:
        """Show it without the parts that may hold a key."""
        parts = urlsplit(self.whole)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def __repr__(self) -> str:
        """Show it as `str` does."""
        return f"IntakeUrl({self})"


class ScoreIntake(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver's endpoint for verdicts of sessions, and their encoding.

    `count` returns how many scores `encode` makes of a row, `rejected` how many the answer refuses.
    """

    url: IntakeUrl
    encode: Callable[[Row], Sequence[bytes]]
    count: Callable[[Row], int]
    batch: Callable[[Sequence[bytes]], bytes]
    rejected: Callable[[bytes], int]


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver. `headers` hold keys; `source` is the variable that decided.

    `scores` is null where the receiver takes none. `resource` are the attributes that every span of
    this process shares, without `service.name` if it is not configured. `trace_page` is the URL of
    a trace's page, with `{trace_id}` in it; null where the receiver has none that is known.
    """

    receiver: str
    source: str
    traces_url: IntakeUrl
    scores: ScoreIntake | None = None
    headers: Mapping[str, str] = {}
    timeout_ms: int = TIMEOUT_MS_DEFAULT
    certificate: str | None = None
    gzip: bool = False
    resource: Mapping[str, str] = {}
    trace_page: str | None = None

    def __repr__(self) -> str:
        """Show where, never with what key."""
        return f"Destination({self.source}, {self.traces_url})"


class TraceReceiver(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of receiver: its environment variables, and how to build a destination from them.

    All its variables begin with `prefix`. `urls` may each say where it is, the first one as a rule;
    `secrets` hold keys. A variable of `switches` that has the value beside it switches it off.
    `find` returns None if nothing is set, and raises `SetupError` if something is missing.
    """

    name: str
    prefix: str
    urls: tuple[str, ...]
    switches: Mapping[str, str]
    find: Callable[[Mapping[str, str]], Destination | None]
    secrets: tuple[str, ...] = ()

    def off(self, values: Mapping[str, str]) -> str | None:
        """Return what switches it off, such as `OTEL_SDK_DISABLED=true`, or None."""
        found = (
            f"{name}={value}"
            for name, value in self.switches.items()
            if values.get(name, "").lower() == value
        )
        return next(found, None)


def check_intake(source: str, url: str) -> None:
    """Check that a URL can be called; `source` is the variable that holds it."""
    try:
        check_url(url)
    except ValueError as error:
        raise SetupError(
            f"{source} cannot be used: {error}.", hint="Give it as http(s)://host[:port][/path]."
        ) from error


def resource_of(values: Mapping[str, str]) -> dict[str, str]:
    """Read the attributes that every span of this process shares."""
    found: dict[str, str] = {}
    for pair in filter(None, values.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",")):
        name, equals, value = pair.partition("=")
        if not equals:
            raise SetupError("OTEL_RESOURCE_ATTRIBUTES is not of the form name=value,name=value.")
        found[name.strip()] = unquote(value.strip())
    if "OTEL_SERVICE_NAME" in values:
        found["service.name"] = values["OTEL_SERVICE_NAME"]
    return found
