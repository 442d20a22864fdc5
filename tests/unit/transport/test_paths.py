"""Which route a path leads to."""

import pytest

from lakehouse.core.errors import Refusal
from lakehouse.transport.paths import Paths
from lakehouse.transport.response import Response
from lakehouse.transport.route import Call, Route


async def handler(_: Call[None]) -> Response:
    return Response(200, b"")


def route(path: str, method: str = "GET", **more: object) -> Route[None]:
    return Route(method=method, path=path, handler=handler, summary="", reply={}, **more)  # type: ignore[arg-type]


PATHS = Paths((route("/a"), route("/a", "POST"), route("/a/{id}"), route("/a/{id}/b/{other}")))


@pytest.mark.parametrize(
    ("path", "pattern", "named"),
    [
        ("/a", "/a", {}),
        ("/a/1", "/a/{id}", {"id": "1"}),
        ("/a/{id}", "/a/{id}", {"id": "{id}"}),
        ("/a/1/b/2", "/a/{id}/b/{other}", {"id": "1", "other": "2"}),
        ("/a/", "", {}),
        ("/a/1/", "", {}),
        ("/a/1/b/", "", {}),
        ("/a/1/c/2", "", {}),
        ("/A", "", {}),
        ("//a", "", {}),
        ("", "", {}),
    ],
)
def test_a_path_leads_to_one_place(path: str, pattern: str, named: dict[str, str]) -> None:
    place, segments = PATHS.find(path)
    assert (place.path, segments) == (pattern, named)


def test_head_is_answered_where_get_is() -> None:
    place, _ = PATHS.find("/a")
    assert place.allowed == ("GET", "HEAD", "POST")
    assert place.route("HEAD", "/a") is place.route("GET", "/a")
    with pytest.raises(Refusal, match="PUT is not allowed at '/a'; allowed: GET, HEAD, POST"):
        place.route("PUT", "/a")


@pytest.mark.parametrize("path", ["/a/{id}.json", "/a/x{id}", "/a/{id}{other}"])
def test_a_name_takes_a_whole_segment(path: str) -> None:
    with pytest.raises(ValueError, match="must be a whole segment"):
        Paths((route(path),))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (route("/a"), "two routes at GET /a"),
        (route("/a", "POST", access="open"), "differ in access"),
        (route("/a", "POST", observed=False), "differ in access"),
    ],
)
def test_routes_that_contradict_each_other_are_refused(other: Route[None], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Paths((route("/a"), other))
