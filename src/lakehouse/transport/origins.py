"""Refuses requests that a browser sends for a web page, unless the page's origin is allowed.

A page may send a POST without a preflight, and the user's browser delivers it to loopback. The
browser names the page's origin: in `Origin`, or in `Sec-Fetch-Site` if it sends no origin. The
page can set neither. Refuses `null` and every wildcard.
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
_PREFLIGHT_S: Final = b"600"  # how long a browser may cache the answer
_HEADERS_ALLOWED: Final = (
    "authorization, content-type, idempotency-key, traceparent, tracestate, x-lakehouse-trace-id"
)
# OpenAI's packages send a dozen of these, and each release may add one.
_OF_CLIENTS: Final = re.compile(r"(?:x-stainless|openai)-[a-z-]{1,40}")
_HEADERS_EXPOSED: Final = (
    b"openai-processing-ms, retry-after, retry-after-ms, traceparent, x-lakehouse-ignored, "
    b"x-lakehouse-iterations, x-lakehouse-replayed, x-lakehouse-trace-id, x-lakehouse-verdict, "
    b"x-request-id, x-should-retry"
)

Fields = tuple[tuple[bytes, bytes], ...]


def is_from_page(headers: Mapping[str, Sequence[str]]) -> bool:
    """Whether a browser sent the request for a page, including a page of our own origin."""
    return "origin" in headers or "sec-fetch-site" in headers


def is_link(headers: Mapping[str, Sequence[str]]) -> bool:
    """Whether a browser follows a link: the answer becomes a page of its own, in no frame.

    The page that has the link cannot read the answer.
    """
    return headers.get("sec-fetch-mode") == ["navigate"] and headers.get("sec-fetch-dest") == [
        "document"
    ]


def check_origin(
    headers: Mapping[str, Sequence[str]], host: Authority | None, allowed: frozenset[str]
) -> str | None:
    """Accept a page's request if the page is the daemon's own or its origin is allowed.

    Returns:
        The origin for the answer's CORS fields; None for the daemon's own origin or no page.

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
    """Return the header fields that let an allowed page read an answer."""
    return (
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", _HEADERS_EXPOSED),
        (b"vary", b"Origin"),
    )


def preflight_fields(methods: Iterable[str], headers: Mapping[str, Sequence[str]]) -> Fields:
    """Return the further header fields of the answer to a preflight request with these headers."""
    asked = ",".join(headers.get("access-control-request-headers", ())).split(",")
    clients = [name for name in map(str.strip, asked) if _OF_CLIENTS.fullmatch(name)]
    return (
        (b"access-control-allow-methods", ", ".join(sorted(methods)).encode()),
        (b"access-control-allow-headers", ", ".join((_HEADERS_ALLOWED, *clients)).encode()),
        (b"access-control-max-age", _PREFLIGHT_S),
    )


def origin_fault(text: str) -> str | None:
    """Return why no browser could send this configured origin; None if one could."""
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
