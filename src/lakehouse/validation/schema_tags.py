"""Tagged unions: which branch of `anyOf`, `oneOf` or `if` a value's constants select.

A tag is a member that every branch requires and bounds by `const` or `enum`, also through `$ref`,
`allOf` and branches within. The rule is the spec's (`spec/v1/README.md`, Schemas), so that every
runtime selects the same branch: it depends only on the schema, never on other failures.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from lakehouse.core.json_text import JsonValue, equal_values
from lakehouse.validation.raw_tree import Place
from lakehouse.validation.schema_document import REFERENCES, SchemaDocument, listed, named

_SILENT: Final = frozenset({"title", "description", "default", "examples", "$comment"})
_ONWARD: Final = frozenset({*REFERENCES, "allOf"})
_CONSTANT: Final = frozenset({"const", "enum", "type"}) | _SILENT | _ONWARD
_CONDITION: Final = frozenset({"properties", "required", "type"}) | _SILENT | _ONWARD


class Constants:
    """The values that a member may have, without duplicates; `places` are their places.

    Equal only to itself: it is built once for each member and branch. Cost: one look-up for a
    scalar.
    """

    def __init__(self, document: SchemaDocument, places: Iterable[Place]) -> None:
        self._scalars: set[tuple[type, JsonValue]] = set()
        self._others: list[JsonValue] = []
        distinct: list[Place] = []
        for place in places:
            value = document.value(place)
            if value not in self:
                distinct.append(place)
                if isinstance(value, dict | list):
                    self._others.append(value)
                else:
                    self._scalars.add(_key(value))
        self.places = tuple(distinct)

    def __contains__(self, value: JsonValue) -> bool:
        """Whether a value equals one of them as JSON."""
        if isinstance(value, dict | list):
            return any(equal_values(value, other) for other in self._others)
        return _key(value) in self._scalars


class Tag(NamedTuple):
    """One member that decides; `required` is the place of its name."""

    required: Place
    constants: Constants


class Decision(NamedTuple):
    """The result of a value's tags: the branch to check, or what is wrong with the tags.

    `missing` are members that would decide, with the places of their names; `wrong` are members
    whose value no branch has. All empty: they decide nothing.
    """

    branch: Place | None = None
    missing: tuple[tuple[str, Place], ...] = ()
    wrong: tuple[tuple[str, Constants], ...] = ()


class _Union(NamedTuple):
    """The branches of a union that may hold an object, each with its tags, and those of all."""

    branches: tuple[tuple[Place, dict[str, Tag]], ...]
    common: dict[str, Tag]


class SchemaTags:
    """The tags of one schema, each looked up once. Cost: linear in the schema."""

    def __init__(self, document: SchemaDocument) -> None:
        self._document = document
        self._unions: dict[tuple[Place, str], _Union] = {}
        self._conditions: dict[Place, bool] = {}
        self._takers: dict[Place, bool] = {}

    def decide(self, schema: Place, keyword: str, value: JsonValue) -> Decision:
        """Return which branch of a union is meant by a value that satisfies none of them."""
        if not isinstance(value, dict):
            return Decision()
        union = self._union(schema, keyword)
        there = [name for name in union.common if name in value]
        matching = [
            branch
            for branch, tags in union.branches
            if all(value[name] in tags[name].constants for name in there)
        ]
        if union.common and len(matching) == 1:
            return Decision(matching[0])
        if matching:
            missing = [name for name in union.common if name not in value]
            return Decision(missing=tuple((name, union.common[name].required) for name in missing))
        wrong = [name for name in there if value[name] not in union.common[name].constants]
        return Decision(wrong=tuple((name, union.common[name].constants) for name in wrong))

    def tests_constants(self, condition: Place) -> bool:
        """Return whether a condition does nothing but compare members with constants."""
        if condition not in self._conditions:
            self._conditions[condition] = self._compares(condition)
        return self._conditions[condition]

    def _compares(self, condition: Place) -> bool:
        compared = False
        for part in self._parts(condition):
            node = self._document.at(part)
            if isinstance(node, bool) or node.keys() - _CONDITION:
                return False
            for name in named(node.get("properties")):
                member = (*part, "properties", name)
                inner = [self._document.at(one) for one in self._parts(member)]
                if not self._constants(member) or any(
                    isinstance(one, bool) or one.keys() - _CONSTANT for one in inner
                ):
                    return False
                compared = True
        return compared

    # --- Tags ---

    def _union(self, place: Place, keyword: str) -> _Union:
        known = self._unions.get((place, keyword))
        if known is not None:
            return known
        branches = [
            one for one in self._document.branches(place, keyword) if self._takes_objects(one)
        ]
        tags = [self._tags_of(branch) for branch in branches]
        common = {
            name: Tag(
                tags[0][name].required,
                Constants(
                    self._document, [one for own in tags for one in own[name].constants.places]
                ),
            )
            for name in sorted(tags[0] if tags else (), key=str.encode)
            if all(name in own for own in tags)
        }
        union = _Union(tuple(zip(branches, tags, strict=True)), common)
        self._unions[place, keyword] = union
        return union

    def _tags_of(self, branch: Place) -> dict[str, Tag]:
        """Name the members that a branch requires and bounds by constants."""
        required: dict[str, Place] = {}
        constants: dict[str, list[Place]] = {}
        within: dict[str, Tag] = {}
        for part in self._parts(branch):
            node = self._document.node(part)
            for index, name in enumerate(listed(node.get("required"))):
                required.setdefault(str(name), (*part, "required", index))
            for name in named(node.get("properties")):
                found = self._constants((*part, "properties", name))
                if found:
                    constants.setdefault(name, found)
            for keyword in ("anyOf", "oneOf"):
                within = self._union(part, keyword).common | within
        own = {
            name: Tag(required[name], Constants(self._document, places))
            for name, places in constants.items()
            if name in required
        }
        return within | own

    def _constants(self, place: Place) -> list[Place]:
        """Return the places of the values that a member may have; none where others may be, too."""
        for part in self._parts(place):
            node = self._document.node(part)
            if "const" in node:
                return [(*part, "const")]
            if "enum" in node:
                return [(*part, "enum", index) for index in range(len(listed(node["enum"])))]
            for keyword in ("anyOf", "oneOf"):
                each = [
                    self._constants(branch) for branch in self._document.branches(part, keyword)
                ]
                if each and all(each):
                    return [one for found in each for one in found]
        return []

    # --- The schema ---

    def _parts(self, place: Place) -> Iterator[Place]:
        """Name the subschemas that a value holds if it holds the one at a place, that one first."""
        yield place
        inner = (*self._document.references(place), *self._document.branches(place, "allOf"))
        for one in inner:
            yield from self._parts(one)

    def _takes_objects(self, branch: Place) -> bool:
        """Return whether an object may hold a branch, by its types and constants."""
        if branch not in self._takers:
            self._takers[branch] = self._may_hold(branch)
        return self._takers[branch]

    def _may_hold(self, branch: Place) -> bool:
        for part in self._parts(branch):
            node = self._document.at(part)
            if isinstance(node, bool):
                if not node:
                    return False
                continue
            types = node.get("type", "object")
            if "object" not in (types if isinstance(types, list) else [types]):
                return False
            if not isinstance(node.get("const", {}), dict):
                return False
            if not any(isinstance(one, dict) for one in listed(node.get("enum", [{}]))):
                return False
            for keyword in ("anyOf", "oneOf"):
                inner = self._document.branches(part, keyword)
                if inner and not any(map(self._takes_objects, inner)):
                    return False
        return True


def _key(value: JsonValue) -> tuple[type, JsonValue]:
    """Make what is equal for equal scalars: numbers by value, `true` apart from 1."""
    is_number = not isinstance(value, bool | str) and value is not None
    return (float if is_number else type(value)), value
