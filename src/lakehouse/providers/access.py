"""Settings of an endpoint that come from the environment: `$NAME` in headers, query and proxy.

The configuration file only names secrets. Values read here are never printed, digested or logged,
and are removed from everything an endpoint quotes.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

import msgspec

from lakehouse.core.chat import SchemaLimits
from lakehouse.core.errors import SetupError
from lakehouse.providers.provider import ModelSettings, Surroundings
from lakehouse.transport.client import HttpClient, check_header, check_url
from lakehouse.transport.proxy import ProxyAddress

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
    """The credentials and addresses of one endpoint, read from the environment."""

    api_key: str | None = None
    headers: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    proxy: str | None = None
    read: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must never be shown: the key, and every other value that was read."""
        return self.read if self.api_key is None else (self.api_key, *self.read)

    def __repr__(self) -> str:
        return "Access(…)"


OPEN: Final = Access()  # of an endpoint that asks for nothing


class HttpSettings(ModelSettings, frozen=True, kw_only=True):
    """`api_key_env` names the variable with the key.

    `response_format` is how a schema is sent; by default Lakehouse finds out. `extra_body` is added
    to every call unchanged, like `headers` and `query`. `$NAME` in `headers`, `query` and `proxy`
    is read from the environment. `ca_file` contains authorities to trust in addition to the
    system's.
    """

    # What `extra_body` may not hold, with the setting to write instead; empty: it is set by us.
    OWN_MEMBERS: ClassVar[Mapping[str, str]]

    base_url: str | None = None
    api_key_env: str | None = None
    response_format: Literal["json_schema", "json_object", "none"] | None = None
    extra_body: dict[str, Any] = msgspec.field(default_factory=dict)
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    query: dict[str, str] = msgspec.field(default_factory=dict)
    proxy: str | None = None
    ca_file: str | None = None

    @property
    def address(self) -> str | None:
        """Its endpoint."""
        return self.base_url

    def decoding(self) -> SchemaLimits | None:
        """Return likewise: none where `response_format` keeps the schema from the endpoint."""
        return None if self.response_format in {"json_object", "none"} else super().decoding()

    def faults(self) -> Iterator[tuple[str, str]]:
        """Check the address, the headers, the proxy and what goes into every body."""
        fault = self.url_fault()
        if fault is not None:
            yield "base_url", fault
        for name, value in self.headers.items():
            fault = header_fault(name, value, with_key=self.api_key_env is not None)
            if fault is not None:
                yield f"headers.{name}", fault
        if self.proxy is not None and not variables_of(self.proxy):
            fault = _proxy_fault(self.proxy)
            if fault is not None:
                yield "proxy", fault
        for name in self.extra_body:
            if name in self.OWN_MEMBERS:
                yield f"extra_body.{name}", own_fault(self.OWN_MEMBERS[name])

    def url_fault(self) -> str | None:
        """Return what is wrong with the address; None for nothing."""
        url = self.base_url
        if url is None:
            return f"is missing; provider {self.provider!r} needs it"
        if not url.startswith(("http://", "https://")):
            return f"is {url!r}; it must begin with http:// or https://"
        try:
            check_url(url)
        except ValueError as fault:
            return f"is {fault}"
        parts = urlsplit(url)
        if parts.query or parts.fragment:
            return "must not hold a `?` or `#`; write `query = { … }` beside it"
        return None

    def secret_variables(self) -> Iterator[str]:
        """Name the key's, and all that headers, query and proxy name."""
        if self.api_key_env is not None:
            yield self.api_key_env
        for text in (*self.headers.values(), *self.query.values(), self.proxy or ""):
            yield from variables_of(text)

    def way_in(self, name: str, around: Surroundings) -> tuple[HttpClient, Access]:
        """Return what the endpoint is reached with.

        Raises:
            SetupError: A variable, the proxy or the file of authorities cannot be used.
        """
        access = access_of(name, self, around.environment, source=around.source)
        ca_file = None if self.ca_file is None else around.base / self.ca_file
        return around.clients.client(f"models.{name}", proxy=access.proxy, ca_file=ca_file), access


def own_fault(setting: str) -> str:
    """Report a body member that must not be set directly: a setting sets it, or Lakehouse does."""
    if not setting:
        return "is set by Lakehouse for each call; leave it out"
    return f"is a setting of its own; write {setting} under the model"


def _proxy_fault(proxy: str) -> str | None:
    try:
        address = ProxyAddress.parse(proxy)
    except ValueError as fault:
        return str(fault)
    if address.authorization is None:
        return None
    return (
        "holds a password; name a variable that holds the whole address instead: "
        'proxy = "$MODEL_PROXY"'
    )


def access_of(
    name: str, model: HttpSettings, environment: Mapping[str, str], *, source: str
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
    """Return what is wrong with a configured header; None if it is valid."""
    lower = name.lower()
    try:
        check_header(name, value)
    except ValueError as fault:
        return str(fault)
    if lower in _OURS:
        return "is set by Lakehouse for each call; leave it out"
    if lower == "authorization" and with_key:
        return "is also set by api_key_env; leave one of them out"
    if _SECRET.search(lower) and not variables_of(value):
        return (
            "looks like a secret, and secrets belong in the environment: "
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
