"""Who may see the pages, and who may write: API keys in a cookie, and a token in each form.

The cookie holds the key itself: no secret of the server's own is needed, any process of any replica
accepts it, and a key that is taken out of the configuration is out at once. No script can read it,
and no other site's page can send it.
"""

import hmac
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response

from lakehouse.core.errors import Refusal
from lakehouse.transport.route import Authorize
from lakehouse.ui.address import BASE

KEY_COOKIE: Final = "lakehouse_key"
FORM_COOKIE: Final = "lakehouse_form"
FORM_FIELD: Final = "form_token"
_KEY_S: Final = 12 * 60 * 60
_KEY_CHARS_MAX: Final = 512


def caller_of(request: Request, authorize: Authorize | None) -> str:
    """Return the name of the caller's key, from the header or the cookie; empty without keys.

    Raises:
        Refusal: `unauthorized`.
    """
    if authorize is None:
        return ""
    given = request.headers.getlist("authorization")
    cookie = request.cookies.get(KEY_COOKIE, "")
    if not given and cookie:
        given = [f"Bearer {cookie}"]
    headers: Mapping[str, Sequence[str]] = {"authorization": given}
    return authorize(headers)


def check_key(key: str, authorize: Authorize | None) -> None:
    """Accept a key that a form has, where there are keys.

    Raises:
        Refusal: `unauthorized`.
    """
    if authorize is not None:
        fits = len(key) <= _KEY_CHARS_MAX and key.isascii() and key.isprintable()
        authorize({"authorization": [f"Bearer {key}" if fits else ""]})


def keep_key(response: Response, request: Request, key: str) -> None:
    """Let the browser send the key with its further requests to the pages, for 12 hours."""
    response.set_cookie(
        KEY_COOKIE,
        key,
        max_age=_KEY_S,
        path=BASE,
        secure=_is_secure(request),
        httponly=True,
        samesite="strict",
    )


def forget_key(response: Response) -> None:
    """Let the browser forget the key."""
    response.delete_cookie(KEY_COOKIE, path=BASE, httponly=True, samesite="strict")


def form_token(request: Request) -> str:
    """Return the token that this browser's forms carry; a new one if it has none yet."""
    known = request.cookies.get(FORM_COOKIE, "")
    return known if _is_token(known) else secrets.token_urlsafe(24)


def keep_form_token(response: Response, request: Request, token: str) -> None:
    """Let the browser keep the token, if it does not have it yet."""
    if request.cookies.get(FORM_COOKIE) != token:
        response.set_cookie(
            FORM_COOKIE,
            token,
            path=BASE,
            secure=_is_secure(request),
            httponly=True,
            samesite="strict",
        )


def check_form(request: Request, fields: Mapping[str, str]) -> None:
    """Accept a form that a page of ours sent: cookie and field have the same token.

    Raises:
        Refusal: `invalid_request`.
    """
    known, given = request.cookies.get(FORM_COOKIE, ""), fields.get(FORM_FIELD, "")
    if not _is_token(known) or not hmac.compare_digest(known.encode(), given.encode()):
        raise Refusal(
            "invalid_request",
            "The form did not come from a page of this browser's, or the page is too old.",
            hint="Load the page again, and send the form from there. Cookies must be allowed.",
        )


def add_safety_headers(headers: MutableHeaders) -> None:
    """Forbid scripts and styles of others, frames around pages, and copies in caches."""
    headers["content-security-policy"] = _POLICY
    headers["x-content-type-options"] = "nosniff"
    headers["x-frame-options"] = "DENY"
    headers["cross-origin-opener-policy"] = "same-origin"
    headers["cross-origin-resource-policy"] = "same-origin"
    # Not `no-referrer`: a browser would then send forms with `Origin: null`.
    headers["referrer-policy"] = "same-origin"
    headers.setdefault("cache-control", "no-store")


_POLICY: Final = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


def _is_token(text: str) -> bool:
    return len(text) == 32 and text.isascii()


def _is_secure(request: Request) -> bool:
    """Return whether the browser speaks TLS, as it says itself, or a proxy before us does."""
    forwarded = request.headers.get("x-forwarded-proto", "")
    return (
        request.url.scheme == "https"
        or forwarded.split(",")[0].strip() == "https"
        or request.headers.get("origin", "").startswith("https://")
    )
