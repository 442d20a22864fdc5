"""Checks JSON Pointers against a schema: can they point to a value, and to one that can be checked?

A check whose pointer points to nothing never applies, silently. So it is decided before the first
answer: `missing` is an error, `open` a warning.
"""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from lakehouse.core.json_text import pointer, pointer_parts
from lakehouse.core.kind import EACH, GroundingRule
from lakehouse.core.matches import MATCHES, SCALARS
from lakehouse.core.suggestion import SUGGESTIONS_MAX, nearest_names
from lakehouse.validation.schema import CompiledSchema
from lakehouse.validation.schema_choices import ViewTooLarge
from lakehouse.validation.schema_view import SchemaView

_POINTERS_MAX: Final = 500  # looked at for the nearest
_DEPTH_MAX: Final = 6

PointerState = Literal["declared", "open", "missing"]


class Doubt(msgspec.Struct, frozen=True):
    """A problem with one pointer of a rule. `fatal`: the check cannot work.

    `at` is the pointer, `member` the field of the rule that contains it.
    """

    at: str
    member: Literal["path", "with"]
    message: str
    fatal: bool


def state_of(view: SchemaView, at: str) -> PointerState:
    """Return whether a value of the schema can have something at `at`."""
    found = _follow(view, at)
    if not found.possible:
        return "missing"
    return "declared" if found.declared else "open"


def scalar_types(view: SchemaView, at: str, *, elements: bool = True) -> frozenset[str]:
    """List the types of the values that a check of the pointer can meet.

    For an array with `elements`, those of its items.
    """
    found = _follow(view, at)
    types = found.types
    if elements and "array" in types:
        types |= found.items().types
    return types & SCALARS


def doubts_of(
    schema: CompiledSchema, rule: GroundingRule, view: SchemaView | None = None
) -> list[Doubt]:
    """Return the pointers of a grounding rule that cannot or may not apply under this schema.

    Cost: about 1 ms; at most half a second, after which nothing is reported as fatal. With a
    `view` of the schema, that is the limit of all that is asked of it together.
    """
    try:
        view = view or schema.view()
        found = list(_doubts(view, rule.path, "path", rule))
        on_array = _ends_in_array(view, rule.path)
        for at in rule.with_:
            apart = _apart(view, at, rule.path, on_array=on_array)
            if apart is not None:
                found.append(Doubt(at, "with", apart, fatal=True))
            else:
                found += _doubts(view, at, "with", rule, elements=on_array)
    except ViewTooLarge:
        why = "cannot be checked against the schema, which has too many branches"
        return [Doubt(rule.path, "path", f"{rule.path!r} {why}", fatal=False)]
    return found


def null_fault(schema: CompiledSchema, at: str) -> str | None:
    """Return why null cannot be written in place of a value at `at`; None if it can."""
    if schema.narrowing.takes_null(at):
        return None
    try:
        types = _follow(schema.view(), at).types
    except ViewTooLarge:
        return f"{at!r} cannot be checked for null: the schema has too many branches"
    if "array" in types:
        return f"{at!r} is an array, and only a place with one value can be null instead"
    one = next(iter(sorted(types)), "string")
    return f'{at!r} may not be null: write "type": ["{one}", "null"] there in the schema'


def _doubts(
    view: SchemaView,
    at: str,
    member: Literal["path", "with"],
    rule: GroundingRule,
    *,
    elements: bool = True,
) -> Iterator[Doubt]:
    state = state_of(view, at)
    if state == "missing":
        yield Doubt(
            at,
            member,
            f"{at!r} points to no value that the schema allows{_why(view, at)}{_near(view, at)}",
            fatal=True,
        )
        return
    types = scalar_types(view, at, elements=elements)
    match = MATCHES[rule.match]
    if not types & match.types:
        there = ", ".join(sorted(_follow(view, at).types))
        yield Doubt(
            at,
            member,
            f"{at!r} can only be {_article(there)}; match = {rule.match!r} needs {match.needs}"
            f"{_near(view, at)}",
            fatal=True,
        )
        return
    if state == "open":
        yield Doubt(
            at,
            member,
            f"{at!r} is not named in the schema, which allows any member: an answer without it "
            f"is not checked{_near(view, at)}",
            fatal=False,
        )
    one_of = _one_of_many(view, at)
    if one_of is not None:
        yield Doubt(
            at,
            member,
            f"{at!r} checks only one element: the others of {one_of} are not checked; '*' in the "
            f"place of the index checks them all",
            fatal=False,
        )


def _why(view: SchemaView, at: str) -> str:
    """Name the array that the pointer goes through without an index, if it does."""
    for done, part, here, there in _steps(view, at):
        if not there.possible:
            if not _only_array(here) or part.isdecimal() or part == EACH:
                return ""
            return (
                f": {f'{done!r} is' if done else 'the answer is'} an array, and a pointer into "
                f"it needs '*' for each element, such as {f'{done}/{EACH}'!r}, or an index; if the "
                f"whole pointer points to an array, each of its elements is checked"
            )
    return ""


def _only_array(view: SchemaView) -> bool:
    return view.types & {"array", "object"} == {"array"}


def _ends_in_array(view: SchemaView, at: str) -> bool:
    """Return whether the values of a pointer may be elements of the array that it ends at."""
    _, part, here, there = [("", "", view, view), *_steps(view, at)][-1]
    return "array" in there.types or (part == EACH and "array" in here.types)


def _apart(view: SchemaView, at: str, path: str, *, on_array: bool) -> str | None:
    """Return why a `with` pointer gives no one value to go with one of `path`, if so."""
    parts, main = pointer_parts(at), pointer_parts(path)
    for n, (done, part, here, there) in enumerate(_steps(view, at)):
        paired = parts[: n + 1] == main[: n + 1] or (on_array and n == len(parts) - 1)
        if part == EACH and not paired and _only_array(here) and there.possible:
            fix = "" if EACH in main else f"; make {at!r} the path, and put {path!r} into `with`"
            return (
                f"the '*' of {at!r} is each element of {repr(done) if done else 'the answer'}, and "
                f"{path!r} has no '*' there that tells which one belongs to its value{fix}"
            )
    return None


def _one_of_many(view: SchemaView, at: str) -> str | None:
    """Name the list that the pointer takes one element of, where it may have more such elements.

    What `prefixItems` names is a place of its own.
    """
    for done, part, here, _ in _steps(view, at):
        if "array" in here.types and part.isdecimal():
            index = int(part[:9])
            prefixes = [node.get("prefixItems") for _, node in here.nodes()]
            named = any(isinstance(one, list) and index < len(one) for one in prefixes)
            if not named and (index > 0 or here.item(index + 1).possible):
                return repr(done) if done else "the answer"
    return None


def _near(view: SchemaView, at: str) -> str:
    """Name real pointers like this one: first those that go on from where it still leads."""
    try:
        real = list(pointers_of(view))
        begun = _begun(view, at)
    except ViewTooLarge:
        return ""
    below = [one[len(begun) :] for one in real if one.startswith(f"{begun}/")]
    near = [f"{begun}{one}" for one in nearest_names(at[len(begun) :], below)]
    near += nearest_names(at, real)
    if not near:
        # The last name may be right at another depth.
        last = pointer_parts(at)[-1:] or [""]
        names = nearest_names(last[0], [one.rpartition("/")[2] for one in real])
        near = [one for one in real if one.rpartition("/")[2] in names]
    if begun and not near:
        near = [f"{begun}{one}" for one in below]
    if near:
        shown = list(dict.fromkeys(near))[:SUGGESTIONS_MAX]
        return f"; the nearest are {', '.join(map(repr, shown))}"
    if real:
        return f"; there are {', '.join(map(repr, real[:10]))}"
    return "; the schema names no member"


def _begun(view: SchemaView, at: str) -> str:
    """Return as much of a pointer as leads somewhere."""
    return next((done for done, _, _, there in _steps(view, at) if not there.possible), at)


def _steps(view: SchemaView, at: str) -> Iterator[tuple[str, str, SchemaView, SchemaView]]:
    """Return each step of a pointer: what led there, its part, the view before and behind it."""
    done = ""
    for part in pointer_parts(at):
        there = view.step(part)
        yield done, part, view, there
        view, done = there, f"{done}{pointer(part)}"


def pointers_of(view: SchemaView) -> Iterator[str]:
    """List pointers to values that the schema names, outer ones first; of an array each element.

    Where the schema names its elements one by one, the first of them.
    """
    pending: list[tuple[str, SchemaView, int]] = [("", view, 0)]
    count = 0
    while pending and count < _POINTERS_MAX:
        at, here, depth = pending.pop(0)
        items = here.items() if "array" in here.types and here.items().declared else None
        judged = here.types | (items.types if items is not None else frozenset())
        if at and judged & SCALARS:
            count += 1
            yield at
        if depth >= _DEPTH_MAX:
            continue
        pending += [(f"{at}{pointer(name)}", here.member(name), depth + 1) for name in here.names()]
        if items is not None and items.types & {"object", "array"}:
            named = any("prefixItems" in node for _, node in here.nodes())
            step = "0" if named else EACH
            pending.append((f"{at}/{step}", here.step(step), depth + 1))


def _follow(view: SchemaView, at: str) -> SchemaView:
    for part in pointer_parts(at):
        view = view.step(part)
    return view


def _article(types: str) -> str:
    return f"{types} values" if "," in types else f"{'an' if types[0] in 'aio' else 'a'} {types}"
