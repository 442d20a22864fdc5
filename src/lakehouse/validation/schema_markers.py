"""Reads the keyword `x-lakehouse` of a JSON Schema: grounding that stands at the value it is for.

The keyword is one object, or a list of them where a value has several, each with the members of a
grounding rule except `path`, which is where it stands. `match` is always there:

    {"type": "string", "x-lakehouse": {"match": "exact", "column": "airports.iata",
                                       "with": {"city": "airports.city"}}}

The keys of `with` are names of members beside the value: of the object that has the value, or the
array of values, as a member. Rules of SQL stand at the root, in `x-lakehouse-rules`: a list of
`{"sql": …, "message": …}`.

A rule's pointer has `*` for each element of an array; an array of plain values is named itself. The
keyword is refused wherever no pointer says exactly the same, so that no value passes unchecked.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.core.json_text import JsonValue, pointer, pointer_parts
from lakehouse.core.kind import GROUNDING_KEYWORD, RULES_KEYWORD, GroundingRule, SqlRule
from lakehouse.core.suggestion import did_you_mean
from lakehouse.validation.schema_document import children, listed, named

_PLACES_MAX: Final = 10_000  # named places of one schema
_REFERENCES_MAX: Final = 100  # inside each other
_HINT: Final = "Put the marker where a JSON Pointer leads, with `*` for each element of an array."

_ELSEWHERE: Final = frozenset({"$defs", "definitions", GROUNDING_KEYWORD, RULES_KEYWORD})

_Rules = tuple[GroundingRule, ...]
_Places = dict[str, _Rules]  # every pointer that the schema names, with what is marked there


def grounding_of(schema: JsonValue) -> tuple[GroundingRule, ...]:
    """Return the grounding rules that a schema's keywords mean, in the schema's order.

    Their members have the right types; whether they fit each other is `grounding.rules.fault_of`.

    Raises:
        SetupError: A keyword is malformed, or stands where no pointer says the same: in a
            recursive schema, at the values of a map, in one branch of a union only.
    """
    if not _marked(schema):
        return ()
    places = _Reader(schema).places(schema, (), ())
    rules = [rule for marked in places.values() for rule in marked]
    for rule in rules:
        for other in rule.with_:
            if other not in places:
                name = pointer_parts(other)[-1]
                beside = [pointer_parts(one)[-1] for one in places if _parent(one, other)]
                raise _error(
                    rule.path,
                    f"`with` names {name!r}, which is no member beside it"
                    f"{did_you_mean(name, beside)}",
                    hint="Name members as they are called in the answer.",
                )
    return tuple(rules)


def rules_of(schema: JsonValue) -> tuple[SqlRule, ...]:
    """Return the SQL rules at the root of a schema.

    Raises:
        SetupError: The keyword is malformed.
    """
    found = schema.get(RULES_KEYWORD, []) if isinstance(schema, dict) else []
    try:
        return tuple(msgspec.convert(found, list[SqlRule]))
    except msgspec.ValidationError as error:
        raise SetupError(f"{RULES_KEYWORD}: {error}") from error


def unmarked(schema: JsonValue) -> JsonValue:
    """Return a schema without our keywords, for those who decode under it; others are kept."""
    if not isinstance(schema, dict):
        return schema
    copy: Any = msgspec.json.decode(msgspec.json.encode(schema))
    for node in _nodes(copy):
        node.pop(GROUNDING_KEYWORD, None)
        node.pop(RULES_KEYWORD, None)
    return copy  # type: ignore[no-any-return]  # JSON decoded is JSON


class _Reader:
    """One reading of one schema: what is marked at which pointer."""

    def __init__(self, schema: JsonValue) -> None:
        self._schema = schema
        self._open: list[str] = []  # the references being followed
        self._count = 0
        self._known: dict[int, bool] = {}  # whether a node is marked, by its identity

    def places(self, node: JsonValue, at: tuple[str, ...], beside: tuple[str, ...]) -> _Places:
        """Read a subschema. `beside` is the pointer of the nearest object around the value."""
        self._count += 1
        if self._count > _PLACES_MAX:
            raise _error("", f"the schema names more than {_PLACES_MAX:,} places")
        if not isinstance(node, dict):
            return {_path(at): ()}
        found: _Places = {_path(at): self._own(node, at, beside)}
        for keyword, value in node.items():
            for more in self._inside(keyword, value, at, beside):
                _add(found, more)
        return found

    def _inside(
        self, keyword: str, value: Any, at: tuple[str, ...], beside: tuple[str, ...]
    ) -> Iterator[_Places]:
        """Read the subschemas of one keyword."""
        if keyword == "$ref" and isinstance(value, str):
            yield self._referred(value, at, beside)
        elif keyword == "properties":
            yield from (self.places(one, (*at, name), at) for name, one in named(value).items())
        elif keyword == "items":
            yield self.places(value, (*at, "*"), beside)
        elif keyword == "prefixItems":
            for index, one in enumerate(listed(value)):
                yield self.places(one, (*at, str(index)), beside)
        elif keyword == "allOf":
            yield from (self.places(one, at, beside) for one in listed(value))
        elif keyword in {"anyOf", "oneOf"}:
            branches = [one for one in listed(value) if not _only_null(one)]
            yield _same([self.places(one, at, beside) for one in branches])
        elif keyword == "$dynamicRef" or (keyword == "$id" and at):
            raise _error(_path(at), f"a schema with markers cannot have {keyword!r} here")
        elif keyword not in _ELSEWHERE and self._marked(keyword, value):
            raise _error(_path(at), f"it stands in {keyword!r}, where no pointer leads")

    def _marked(self, keyword: str, value: Any) -> bool:
        if not isinstance(value, dict | list):
            return False
        if id(value) not in self._known:
            self._known[id(value)] = _marked({keyword: value})
        return self._known[id(value)]

    def _own(self, node: Mapping[str, Any], at: tuple[str, ...], beside: tuple[str, ...]) -> _Rules:
        if RULES_KEYWORD in node and at:
            raise _error(_path(at), f"{RULES_KEYWORD} stands at the root only")
        said = node.get(GROUNDING_KEYWORD, [])
        if said and node.get("type") == "object":
            raise _error(_path(at), "it is an object, and only plain values can be grounded")
        rules = []
        for one in said if isinstance(said, list) else [said]:
            if not isinstance(one, dict) or "match" not in one or "path" in one:
                raise _error(_path(at), f"{GROUNDING_KEYWORD} must be an object with `match`")
            try:
                rule = msgspec.convert({**one, "path": _path(at)}, GroundingRule)
            except msgspec.ValidationError as error:
                told = str(error).replace("`", "'")
                raise _error(_path(at), f"{GROUNDING_KEYWORD}: {told}") from error
            pairs = {pointer(*beside, name): column for name, column in rule.with_.items()}
            rules.append(msgspec.structs.replace(rule, with_=pairs))
        return tuple(rules)

    def _referred(self, reference: str, at: tuple[str, ...], beside: tuple[str, ...]) -> _Places:
        try:
            target = self._at(reference)
        except (ValueError, LookupError, TypeError):
            raise _error(_path(at), f"{reference!r} leads to no part of the schema") from None
        if len(self._open) > _REFERENCES_MAX:
            raise _error(_path(at), f"more than {_REFERENCES_MAX} references follow each other")
        if reference in self._open:
            # Its places have no end. A loop without keywords is never asked for any.
            inner = self._open[self._open.index(reference) :]
            if any(_marked(self._at(one)) for one in inner):
                raise _error(_path(at), f"the schema is recursive here, by {reference!r}")
            return {}
        self._open.append(reference)
        found = self.places(target, at, beside)
        self._open.pop()
        return found

    def _at(self, reference: str) -> JsonValue:
        target: Any = self._schema
        for part in pointer_parts(unquote(reference.removeprefix("#"))):
            target = target[int(part) if isinstance(target, list) else part]
        return target  # type: ignore[no-any-return]  # a part of JSON


def _path(at: tuple[str, ...]) -> str:
    """Return a rule's pointer: of an array of plain values, the array itself."""
    return pointer(*(at[:-1] if at and at[-1] == "*" else at))


def _add(found: _Places, more: _Places) -> None:
    for place, rules in more.items():
        had = found.get(place, ())
        found[place] = had + tuple(rule for rule in rules if rule not in had)


def _same(branches: list[_Places]) -> _Places:
    """Join the branches of a union. A rule holds whichever branch an answer takes."""
    found: _Places = {}
    for branch in branches:
        for place, rules in branch.items():
            if found.setdefault(place, rules) != rules:
                raise _error(place, "it is marked in one branch of a union, and not in another")
    return found


def _only_null(node: JsonValue) -> bool:
    return isinstance(node, dict) and (node.get("type") == "null" or node.get("const", 0) is None)


def _parent(one: str, other: str) -> bool:
    return one.rpartition("/")[0] == other.rpartition("/")[0] and one != ""


def _marked(schema: JsonValue) -> bool:
    if not isinstance(schema, dict):
        return False
    return any(GROUNDING_KEYWORD in node or RULES_KEYWORD in node for node in _nodes(schema))


def _nodes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Walk the schemas of a document, and none of the data in it."""
    waiting: list[Any] = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting += [child for _, child in children(node, ())]


def _error(path: str, why: str, hint: str = _HINT) -> SetupError:
    place = f"the value at {path!r}" if path else "the answer"
    return SetupError(f"The marker of {place} cannot be used: {why}.", hint=hint)
