"""Checks that a request was meant for this daemon: the guard against DNS rebinding.

A web page can make a name of its own resolve to 127.0.0.1 and then read what answers there; the
browser sends that name as `Host`. A daemon without keys serves only names and addresses that are
loopback on every machine. It does not resolve names, and does not parse addresses leniently:
browsers send the canonical form.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

import msgspec

from lakehouse.core.errors import Refusal
from lakehouse.core.integers import whole_number

_AUTHORITY: Final = re.compile(
    r"(?P<host>[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{0,5}))?"
)
_SHOWN_CHARS_MAX: Final = 80  # of a refused value
DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}


class Authority(msgspec.Struct, frozen=True):
    """A host in lower case, without a trailing dot, and a port if there is one.

    `is_loopback`: it means this machine everywhere; the only such name is `localhost`.
    """

    host: str
    port: int | None
    is_loopback: bool

    def at(self, scheme: str) -> tuple[str, int | None]:
        """Return host and port; the scheme's default port if none is given."""
        return self.host, DEFAULT_PORTS.get(scheme) if self.port is None else self.port


@lru_cache(maxsize=256)
def parse_authority(text: str) -> Authority | None:
    """Parse `host` or `host:port`; None for anything else, such as user names or spaces."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        return None
    host = match["host"].lower()
    if host.startswith("["):
        if _address(host) is None:
            return None
    else:
        host = host.removesuffix(".")
    port = whole_number(match["port"], 65_535) if match["port"] else None
    if not host or (match["port"] and port is None):
        return None
    return Authority(host, port, _is_loopback(host))


def check_host(
    headers: Mapping[str, Sequence[str]],
    *,
    http_version: str,
    target_authority: str | None,
    loopback_only: bool,
) -> Authority | None:
    """Return the host that a request was sent to.

    Args:
        headers: The request's headers, names in lower case.
        http_version: `1.0` or `1.1`; with `1.0` the `Host` may be missing.
        target_authority: The authority of a target in absolute form.
        loopback_only: Whether names and addresses of other machines are refused.

    Raises:
        Refusal: `invalid_request`: no host, several, an invalid one, or another machine's.
    """
    values = headers.get("host", ())
    if len(values) > 1 or (not values and http_version != "1.0"):
        count = len(values) or "no"
        raise Refusal(
            "invalid_request",
            f"The request has {count} `Host` fields; it must have one.",
            hint="Every HTTP/1.1 client sends one; look for a proxy that adds or removes it.",
        )
    found = None
    for value in (*values, *(() if target_authority is None else (target_authority,))):
        authority = parse_authority(value)
        if authority is None or (found is not None and authority.at("http") != found.at("http")):
            raise Refusal(
                "invalid_request",
                f"`Host` is {_shown(value)}; it must be one host name or address, with or "
                "without a port, and the same as in the request's target.",
            )
        if loopback_only and not authority.is_loopback:
            raise Refusal(
                "invalid_request",
                f"`Host` is {_shown(value)}; without API keys only localhost and loopback "
                "addresses such as 127.0.0.1 and [::1] are served.",
                hint="Call it as http://127.0.0.1, let the proxy send that Host, or set "
                "`api_keys_env` or `api_keys_file` under [gateway] to serve other names.",
            )
        found = authority
    return found


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    address = _address(host)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address is not None and address.is_loopback


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """Parse an address in its full form; None for `127.1` and `0x7f000001`."""
    bracketed = host.startswith("[")
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return None
    return address if isinstance(address, IPv6Address) == bracketed else None


def _shown(value: str) -> str:
    return repr(value if len(value) <= _SHOWN_CHARS_MAX else value[:_SHOWN_CHARS_MAX] + "…")
