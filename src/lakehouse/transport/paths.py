"""Finds the route of a request by its path."""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from lakehouse.core.errors import Refusal
from lakehouse.transport.error_shape import ErrorShape
from lakehouse.transport.problem import PROBLEMS
from lakehouse.transport.route import Route, Routes

# A brace that does not stand at a border of its segment.
_HALF_NAMED: Final = re.compile(r"[^/]\{|\}[^/]")


class Place(msgspec.Struct, frozen=True):
    """The routes of one path by method, and what they have in common.

    For an unknown path `path` is empty and there are no routes.
    """

    path: str
    routes: Mapping[str, Route[Any]]
    access: Literal["key", "open"] = "key"
    observed: bool = True
    errors: ErrorShape = PROBLEMS

    @property
    def allowed(self) -> tuple[str, ...]:
        """The methods of this path, sorted."""
        return tuple(sorted({*self.routes, *(("HEAD",) if "GET" in self.routes else ())}))

    def route(self, method: str, path: str) -> Route[Any]:
        """Return the route of a method; `path` is the requested one, for the error.

        Raises:
            Refusal: `not_found`, or `method_not_allowed`.
        """
        found = self.routes.get("GET" if method == "HEAD" else method)
        if found is not None:
            return found
        if not self.routes:
            raise Refusal(
                "not_found",
                f"There is nothing at {path!r}.",
                hint="GET /openapi.json lists the routes.",
            )
        raise Refusal(
            "method_not_allowed",
            f"{method} is not allowed at {path!r}; allowed: {', '.join(self.allowed)}.",
        )


class Paths:
    """Finds the place of a path. `literal` has the paths without `{name}` (one segment)."""

    def __init__(self, routes: Routes, elsewhere: Mapping[str, ErrorShape] = {}) -> None:
        """Index routes by path.

        Args:
            routes: The routes that are served.
            elsewhere: How the error of an unknown path is encoded, by the beginning of the path up
                to a slash or its end; a problem for all others.

        Raises:
            ValueError: Two routes have the same method and path, or one path has differing access.
        """
        by_path: dict[str, dict[str, Route[Any]]] = {}
        for route in routes:
            at = by_path.setdefault(route.path, {})
            if at.setdefault(route.method, route) is not route:
                raise ValueError(f"two routes at {route.method} {route.path}")
            if _HALF_NAMED.search(route.path):
                raise ValueError(f"{route.path}: a name in braces must be a whole segment")
        places = [_place(path, at) for path, at in by_path.items()]
        self.literal = {each.path: each for each in places if "{" not in each.path}
        self._elsewhere = [
            (f"{prefix}/", Place("", {}, errors=shape)) for prefix, shape in elsewhere.items()
        ]
        self._patterns = [(each.path.split("/"), each) for each in places if "{" in each.path]

    def find(self, path: str) -> tuple[Place, Mapping[str, str]]:
        """Return the place of a decoded path, and the values of its `{name}` segments."""
        place = self.literal.get(path)
        if place is not None:
            return place, NO_SEGMENTS
        segments = path.split("/")
        for pattern, place in self._patterns:
            named = _named(pattern, segments)
            if named is not None:
                return place, named
        below = f"{path}/"
        nowhere = (place for prefix, place in self._elsewhere if below.startswith(prefix))
        return next(nowhere, _NOWHERE), NO_SEGMENTS


NO_SEGMENTS: Mapping[str, str] = {}
_NOWHERE = Place("", {})


def _place(path: str, routes: Mapping[str, Route[Any]]) -> Place:
    first = next(iter(routes.values()))
    if any(
        (each.access, each.observed, each.errors) != (first.access, first.observed, first.errors)
        for each in routes.values()
    ):
        raise ValueError(f"the routes at {path} differ in access, errors or whether observed")
    return Place(path, routes, first.access, first.observed, first.errors)


def _named(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    named: dict[str, str] = {}
    for wanted, segment in zip(pattern, segments, strict=True):
        if wanted.startswith("{") and segment:
            named[wanted[1:-1]] = segment
        elif wanted != segment:
            return None
    return named
