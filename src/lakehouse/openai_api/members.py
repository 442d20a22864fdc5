"""Holds every member of a body against the table of parameters, before anything is read of it.

A member that the table does not know is an error, as is a value that would need more than the table
allows. So no parameter is dropped without a word.
"""

from collections.abc import Sequence
from functools import cache

from lakehouse.core.json_text import JsonValue, equal_values
from lakehouse.core.suggestion import did_you_mean
from lakehouse.core.wording import shown
from lakehouse.openai_api.fault import RequestFault
from lakehouse.openai_api.parameters import PARAMETERS, ApiParameter, ApiRoute

_LISTED_MAX = 8  # known names that a message lists; more are a page
_PLACE_CHARS_MAX = 200  # of a place in a message: a name can take the whole body
_OURS = "lakehouse"


class _Node:
    """One parameter with those inside it; `element` is that of each item of a list.

    `texts` are the texts that a restricted parameter takes. One that is `free` takes any value, and
    one that `takes_text` any text.
    """

    def __init__(self) -> None:
        self.parameter: ApiParameter | None = None
        self.texts: frozenset[str] = frozenset()
        self.free = False
        self.takes_text = False
        self.ignored = False
        self.members: dict[str, _Node] = {}
        self.element: _Node | None = None


def ignored_members(body: dict[str, JsonValue], route: ApiRoute) -> tuple[str, ...]:
    """Check the members of a body at every level, and name those that have no effect, once each.

    A member that is null counts as absent; so does an empty one that would be ignored.

    Raises:
        RequestFault: `unknown_parameter`, or the code that the table gives.
    """
    found: dict[str, None] = {}
    _walk(_tree(route), body, "", found, named=True)
    return tuple(found)


def _walk(
    node: _Node, value: JsonValue, place: str, found: dict[str, None], *, named: bool
) -> None:
    """Check one value; `named`: what is ignored in it is listed, since all around it has effect."""
    if value is None:
        return
    parameter = node.parameter
    if parameter is not None:
        taken = isinstance(value, str) and value in node.texts
        if not taken and parameter.restricted and not _is_one_of(value, parameter.only):
            raise _refused(parameter, value, place)
        if parameter.fate == "ignored" and named:
            named = False
            if value not in ([], {}, ""):
                found[parameter.path] = None
    if isinstance(value, dict) and node.members:
        _walk_members(node, value, place, found, named=named)
    elif isinstance(value, list) and node.element is not None:
        element = node.element
        for index, item in enumerate(value):
            if element.parameter is None and isinstance(item, dict) and element.members:
                _walk_members(element, item, f"{place}[{index}]", found, named=named)
            else:
                _walk(element, item, f"{place}[{index}]", found, named=named)


def _is_one_of(value: JsonValue, allowed: Sequence[JsonValue]) -> bool:
    return any(equal_values(value, one) for one in allowed)


def _walk_members(
    node: _Node, value: dict[str, JsonValue], place: str, found: dict[str, None], *, named: bool
) -> None:
    before = f"{place}." if place else ""
    if "type" in value and "type" in node.members:  # first: it decides which others there may be
        _walk(node.members["type"], value["type"], f"{before}type", found, named=named)
    for name, inner in value.items():
        child = node.members.get(name)
        if child is None:
            raise _unknown(name, before, node)
        if name == "type" or child.free or (child.takes_text and isinstance(inner, str)):
            continue  # as nearly all are
        if not isinstance(inner, str) or inner not in child.texts or child.ignored:
            _walk(child, inner, f"{before}{name}", found, named=named)


def _refused(parameter: ApiParameter, value: JsonValue, place: str) -> RequestFault:
    if not parameter.only:
        return RequestFault(
            f"`{place}` is not supported: {parameter.reason}.",
            parameter.code or "unsupported_parameter",
            place,
            parameter.hint or "Leave it out.",
        )
    names = [one for one in parameter.only if isinstance(one, str)]
    near = did_you_mean(value, names) if isinstance(value, str) else ""
    allowed = ", ".join(map(shown, parameter.only))
    verb = "are" if len(parameter.only) > 1 else "is"
    return RequestFault(
        f"`{place}` is {shown(value)}{near}: {parameter.reason}; allowed {verb} {allowed}.",
        parameter.code or "unsupported_value",
        place,
        parameter.hint,
    )


def _unknown(name: str, before: str, node: _Node) -> RequestFault:
    place = f"{before}{name}"
    place = place if len(place) <= _PLACE_CHARS_MAX else place[:_PLACE_CHARS_MAX] + "…"
    known = list(node.members)
    near = did_you_mean(name, known)
    listed = f"; allowed are {', '.join(known)}" if len(known) <= _LISTED_MAX else ""
    hint = "Leave it out, or correct its name."
    ours = node.members.get(_OURS)
    if ours is not None and name in ours.members:
        hint = f'Options of Lakehouse stand in one member: {{"{_OURS}": {{"{name}": …}}}}.'
    return RequestFault(
        f"Unknown parameter `{place}`{near}{listed}.", "unknown_parameter", place, hint
    )


@cache
def _tree(route: ApiRoute) -> _Node:
    root = _Node()
    for parameter in PARAMETERS[route]:
        node = root
        for step in parameter.path.replace("[]", ".[]").split("."):
            if step == "[]":
                node.element = node.element or _Node()
                node = node.element
            else:
                node = node.members.setdefault(step, _Node())
        node.parameter = parameter
        node.texts = frozenset(one for one in parameter.only if isinstance(one, str))
        node.ignored = parameter.fate == "ignored"
        node.free = node.takes_text = parameter.fate == "used" and not parameter.restricted
    _bind(root)
    return root


def _bind(node: _Node) -> None:
    """Let no parameter be free that has others inside it."""
    inside = [*node.members.values(), *([] if node.element is None else [node.element])]
    node.free = node.free and not inside
    for one in inside:
        _bind(one)
