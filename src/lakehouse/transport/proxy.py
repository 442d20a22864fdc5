"""Selects the proxy of a call: the configured one, or that of the environment.

Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either letter case, as curl and Go
do. Loopback addresses never go through a proxy of the environment: it would look for the model on
its own machine. Refuses SOCKS and proxies behind TLS.
"""

import ipaddress
from base64 import b64encode
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

_VARIABLES: Final = {"http": ("http_proxy", "HTTP_PROXY"), "https": ("https_proxy", "HTTPS_PROXY")}
_FOR_ALL: Final = ("all_proxy", "ALL_PROXY")
_PORT_DEFAULT: Final = 80


class ProxyRefused(OSError):
    """The proxy refused the tunnel; the message has its answer."""


class ProxyAddress(msgspec.Struct, frozen=True):
    """One proxy. `authorization` is the value of `Proxy-Authorization`; it is never printed."""

    host: str
    port: int
    authorization: str | None = None

    def __repr__(self) -> str:
        return f"ProxyAddress({self})"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> "ProxyAddress":
        """Parse `http://name:password@host:port`, or `host:port`.

        Raises:
            ValueError: The message says why, without repeating the text.
        """
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ValueError("is not a valid proxy address; write http://host:port") from None
        if parts.scheme != "http":
            raise ValueError(
                f"has the scheme {parts.scheme[:20]!r}; only http://host:port is supported"
            )
        if not host or parts.path.strip("/") or parts.query:
            raise ValueError("is not a valid proxy address; write http://host:port")
        authorization = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = "Basic " + b64encode(pair.encode("utf-8")).decode("ascii")
        return cls(host, port or _PORT_DEFAULT, authorization)


class Proxies:
    """Selects a proxy by the origin of a call."""

    def __init__(
        self,
        *,
        http: ProxyAddress | None = None,
        https: ProxyAddress | None = None,
        direct: str = "",
        loopback: bool = False,
    ) -> None:
        """Set the proxies by the scheme of the called URL; None means a direct call.

        Args:
            http: For http:// URLs.
            https: For https:// URLs.
            direct: Hosts that are called directly, as in `NO_PROXY`.
            loopback: Whether loopback addresses go through a proxy too.
        """
        self._by_tls = {False: http, True: https}
        self._direct = [one.strip().lower() for one in direct.split(",") if one.strip()]
        self._loopback = loopback

    @classmethod
    def fixed(cls, text: str) -> "Proxies":
        """Send everything through one proxy; raises ValueError as `ProxyAddress.parse` does."""
        address = ProxyAddress.parse(text)
        return cls(http=address, https=address, loopback=True)

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> "Proxies":
        """Read the environment.

        Raises:
            ValueError: A variable does not hold a supported proxy; the message names the variable.
        """
        found: dict[str, ProxyAddress | None] = {}
        for scheme, names in _VARIABLES.items():
            name = next((one for one in (*names, *_FOR_ALL) if environment.get(one)), None)
            try:
                found[scheme] = None if name is None else ProxyAddress.parse(environment[name])
            except ValueError as fault:
                raise ValueError(f"${name} {fault}") from fault
        direct = environment.get("no_proxy") or environment.get("NO_PROXY", "")
        return cls(http=found["http"], https=found["https"], direct=direct)

    def find(self, *, tls: bool, host: str, port: int) -> ProxyAddress | None:
        """Return the proxy for an origin; None to call it directly."""
        address = self._by_tls[tls]
        if address is None or (not self._loopback and _is_loopback(host)):
            return None
        return None if any(_covers(one, host.lower(), port) for one in self._direct) else address


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _covers(entry: str, host: str, port: int) -> bool:
    """Return whether a `NO_PROXY` entry covers a host: by name, parent domain or address."""
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass
    name, colon, number = entry.rpartition(":")
    if colon and number.isascii() and number.isdigit() and "]" not in number:
        if int(number[:6]) != port:
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*").lstrip(".")
    return host == entry or host.endswith("." + entry)
