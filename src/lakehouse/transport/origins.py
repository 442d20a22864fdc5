"""Requests that a web page had a browser send: refused, unless the page's origin is allowed.

A page may send a POST without asking first, and a browser that the user trusts carries it to
loopback. The browser says whose page it is: `Origin`, and `Sec-Fetch-Site` where it sends no
origin. Neither can be set by the page. Refuses `null` and every wildcard.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from lakehouse.core.errors import Refusal
from lakehouse.transport.host import DEFAULT_PORTS, Authority, parse_authority

_ORIGIN: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#@]+)")
_SHOWN_CHARS_MAX: Final = 80
_OWN_SITES: Final = (["same-origin"], ["none"])  # `none`: the user typed the address
_PREFLIGHT_S: Final = b"600"  # how long a browser may remember the answer
_HEADERS_ALLOWED: Final = (
    b"authorization, content-type, traceparent, tracestate, x-lakehouse-trace-id"
)
_HEADERS_EXPOSED: Final = b"retry-after, traceparent, x-lakehouse-trace-id"

Fields = tuple[tuple[bytes, bytes], ...]


def is_from_page(headers: Mapping[str, Sequence[str]]) -> bool:
    """Whether a browser sent the request for a page, its own origin's included."""
    return "origin" in headers or "sec-fetch-site" in headers


def check_origin(
    headers: Mapping[str, Sequence[str]], host: Authority | None, allowed: frozenset[str]
) -> str | None:
    """Let a page's request through if it is the daemon's own or allowed.

    Returns:
        The origin to name in the answer, where it is another one that is allowed.

    Raises:
        Refusal: `invalid_request`: another origin's page, `null`, several origins.
    """
    origins, sites = headers.get("origin", ()), headers.get("sec-fetch-site", ())
    if len(origins) == 1 and origins[0] in allowed:
        return origins[0]
    own_site = not sites or sites in _OWN_SITES
    if own_site and (not origins or (len(origins) == 1 and _is_own(origins[0], host))):
        return None
    shown = ", ".join(origins) or "a page that sends no Origin"
    if len(shown) > _SHOWN_CHARS_MAX:
        shown = shown[:_SHOWN_CHARS_MAX] + "…"
    raise Refusal(
        "invalid_request",
        f"The request comes from a web page of another origin ({shown}), which "
        "gateway.allowed_origins does not name.",
        hint="If you trust the page, add its origin to `allowed_origins` under [gateway].",
    )


def cors_fields(origin: str) -> Fields:
    """Give the header fields that let an allowed page read an answer."""
    return (
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", _HEADERS_EXPOSED),
        (b"vary", b"Origin"),
    )


def preflight_fields(methods: Iterable[str]) -> Fields:
    """Give the further fields that answer a browser's question before the request itself."""
    return (
        (b"access-control-allow-methods", ", ".join(sorted(methods)).encode()),
        (b"access-control-allow-headers", _HEADERS_ALLOWED),
        (b"access-control-max-age", _PREFLIGHT_S),
    )


def origin_fault(text: str) -> str | None:
    """Say why a configured origin could never be one that a browser sends; None if it could."""
    if text in {"*", "null"}:
        return "would allow any page; list each origin"
    match = _ORIGIN.fullmatch(text)
    authority = parse_authority(match["authority"]) if match is not None else None
    if match is None or authority is None:
        return "must be an origin as browsers send it, such as https://app.example or http://localhost:3000"
    if text != text.lower() or authority.port == DEFAULT_PORTS.get(match["scheme"], -1):
        return "must be in lower case and without the port that its scheme implies"
    return None


@lru_cache(maxsize=256)
def _is_own(origin: str, host: Authority | None) -> bool:
    match = _ORIGIN.fullmatch(origin)
    if match is None or host is None or match["scheme"] not in DEFAULT_PORTS:
        return False
    authority = parse_authority(match["authority"])
    return authority is not None and authority.at(match["scheme"]) == host.at(match["scheme"])
