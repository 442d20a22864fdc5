"""Signing in with an API key, and out: the only pages that need no key."""

import re
from collections.abc import Callable
from urllib.parse import unquote

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from lakehouse.core.errors import Refusal
from lakehouse.transport.route import Authorize
from lakehouse.ui import access
from lakehouse.ui.address import BASE
from lakehouse.ui.form_fields import form_fields

Show = Callable[[Request, str, msgspec.Struct, str, int], Response]
"""Shows a model by a template, under a title, with a status."""


class LoginPage(msgspec.Struct, frozen=True):
    """The form for a key. `next` is where to go on."""

    next: str
    fault: str | None = None


class SignIn:
    """The routes below `BASE` by which a browser gets its cookie, and loses it."""

    def __init__(self, authorize: Authorize | None, show: Show) -> None:
        self._authorize = authorize
        self._show = show

    def routes(self) -> list[Route]:
        return [
            Route(f"{BASE}/login", self._page, methods=["GET"]),
            Route(f"{BASE}/login", self._login, methods=["POST"]),
            Route(f"{BASE}/logout", self._logout, methods=["POST"]),
        ]

    async def _page(self, request: Request) -> Response:
        page = LoginPage(safe_next(request.query_params.get("next", "")))
        return self._show(request, "login.html", page, "Sign in", 200)

    async def _login(self, request: Request) -> Response:
        fields = await form_fields(request)
        access.check_form(request, fields)
        key, goal = fields.get("key", "").strip(), safe_next(fields.get("next", ""))
        try:
            access.check_key(key, self._authorize)
        except Refusal:
            page = LoginPage(goal, "This key is not valid here.")
            return self._show(request, "login.html", page, "Sign in", 401)
        response = RedirectResponse(goal, status_code=303)
        access.keep_key(response, request, key)
        return response

    async def _logout(self, request: Request) -> Response:
        access.check_form(request, await form_fields(request))
        response = RedirectResponse(f"{BASE}/login", status_code=303)
        access.forget_key(response)
        return response


def safe_next(url: str) -> str:
    """Return where to go after the login: a page of ours, and nowhere else."""
    inside = url == BASE or url.startswith((f"{BASE}/", f"{BASE}?"))
    plain = url.isascii() and url.isprintable() and "\\" not in url
    parts = unquote(re.split("[?#]", url)[0]).split("/")  # browsers read %2e as a dot, too
    climbs = "." in parts or ".." in parts
    return url if inside and plain and not climbs else BASE
