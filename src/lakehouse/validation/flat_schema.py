"""Writes a narrowed schema in one go where its places are members of a plain object.

Such an object, which is the usual schema, says nothing about its members together: around the
values it is the same each time. `NarrowedPlaces` writes any schema, and this one to the same byte.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Self

import msgspec

from lakehouse.core.json_text import ENCODER, JsonValue
from lakehouse.core.schema_weight import Definitions, SchemaWeight, total
from lakehouse.validation.narrowed_places import (
    NOTES,
    Cursor,
    Group,
    Mark,
    kept_notes,
    only,
    without_notes,
)
from lakehouse.validation.raw_tree import ROOT, Place
from lakehouse.validation.schema_document import SchemaDocument, named
from lakehouse.validation.schema_engine import SchemaEngine

_PLAIN: Final = NOTES | {"type", "properties", "required", "additionalProperties"}
_WEIGHED: Final = frozenset({"enum", "const", "$ref"})  # as names of members they would weigh


class _Written(msgspec.Struct, frozen=True):
    """A member of the object with its name, as it was or with values in it."""

    raw: bytes
    weight: SchemaWeight


class _Member:
    """A member of the object, and what is needed to write values in its place."""

    def __init__(self, at: int, name: str, document: SchemaDocument, engine: SchemaEngine) -> None:
        place: Place = (*ROOT, "properties", name)
        node = document.at(place)
        self.at = at
        self._holds = engine.check(place)
        self._null = self._holds(None)
        self._begun = _item(name, kept_notes(document.node(place)))[:-1]
        if not self._begun.endswith(b"{"):
            self._begun += b","
        self._asserted = without_notes(node)

    def narrowed(self, one: Cursor) -> _Written | None:
        """Write the values; None if one of them cannot stand here."""
        holds = self._holds
        for value in one.values:
            if not holds(value):
                return None
        values: list[JsonValue] = list(one.values)
        if one.null and self._null and None not in values:
            values.append(None)
        form = only(values, single=not one.null and len(values) == 1)
        weight = SchemaWeight(
            len(values) if len(form) > 1 else 0,
            sum([len(value) for value in values if value.__class__ is str]),
        )
        if one.open_end:
            form = {"anyOf": [form, self._asserted]}
            weight = total([weight, SchemaWeight.of(self._asserted)])
        return _Written(self._begun + ENCODER.encode(form)[1:], weight)


_Slots = dict[int, _Written]
"""What is written in the place of which members, by their number."""


class _Frame:
    """What stands around the members."""

    def __init__(self, root: Mapping[str, JsonValue], left_out: frozenset[str]) -> None:
        rest = {name: value for name, value in root.items() if name not in left_out}
        at = list(rest).index("properties")
        items = [_item(name, value) for name, value in rest.items() if name != "properties"]
        self.head = b"{" + b"".join([one + b"," for one in items[:at]]) + b'"properties":{'
        self.tail = b"}" + b"".join([b"," + one for one in items[at:]])
        del rest["properties"]
        self.weight = SchemaWeight.of(rest)


class FlatSchema:
    """One plain object. Keep it with its schema: to make one costs about 50 µs."""

    def __init__(
        self,
        root: dict[str, JsonValue],
        document: SchemaDocument,
        engine: SchemaEngine,
        definitions: Definitions,
    ) -> None:
        self._document = document
        self._engine = engine
        self._definitions = definitions
        members = named(root["properties"])
        self._numbers = {name: at for at, name in enumerate(members)}
        self._wholes = [
            _Written(_item(name, node), SchemaWeight.of(node)) for name, node in members.items()
        ]
        self._members: dict[str, _Member] = {}
        self._whole = _Frame(root, frozenset({"$defs"}))
        self._bare = _Frame(root, NOTES)
        self._notes = b"".join([_item(*note) + b"," for note in kept_notes(root).items()])

    @classmethod
    def of(
        cls,
        root: dict[str, JsonValue],
        document: SchemaDocument,
        engine: SchemaEngine,
        definitions: Definitions,
    ) -> Self | None:
        """Read a closed schema; None if it is another than a plain object."""
        plain = root.keys() <= _PLAIN and root.get("type") == "object" and "properties" in root
        if not plain or _WEIGHED & named(root["properties"]).keys():
            return None
        return cls(root, document, engine, definitions)

    def write(self, marks: Sequence[Mark]) -> tuple[bytes, SchemaWeight] | None:
        """Return the schema and its weight; None where it takes more than writing values.

        That is: another place than a member, two rules at one place, or a value that its place
        forbids.
        """
        groups = [one for one in marks if isinstance(one, Group)]
        alone: _Slots = {}
        single = [one for one in marks if isinstance(one, Cursor)]
        if not marks or len(groups) > 1 or not all(self._put(alone, one) for one in single):
            return None
        if not groups:
            raw, weight = self._object(self._whole, alone)
            return self._ended(raw, weight)
        (group,) = groups
        branches: list[_Slots] = []
        for choice in group.choices:
            branches.append(dict(alone))
            if group.parts or not all(self._put(branches[-1], one) for one in choice):
                return None
        if group.open_end:
            branches.append(alone)
        written = [self._object(self._bare, one) for one in branches]
        if len(written) == 1:
            return self._ended(*written[0])
        raw = b",".join([raw + b"}" for raw, _ in written])
        weight = total([weight for _, weight in written])
        return self._ended(b"{" + self._notes + b'"anyOf":[' + raw + b"]", weight)

    def _put(self, slots: _Slots, one: Cursor) -> bool:
        """Put the values of a place among what is written; False if they cannot simply stand."""
        if len(one.parts) != 1 or one.listed or not one.values:
            return False
        (name,) = one.parts
        member = self._members.get(name)
        if member is None:
            if name not in self._numbers:
                return False
            member = _Member(self._numbers[name], name, self._document, self._engine)
            self._members[name] = member
        written = None if member.at in slots else member.narrowed(one)
        if written is None:
            return False
        one.tally.hits += 1
        slots[member.at] = written
        return True

    def _object(self, frame: _Frame, slots: _Slots) -> tuple[bytes, SchemaWeight]:
        """Write the object, all but its last bracket."""
        members = self._wholes.copy()
        for at, slot in slots.items():
            members[at] = slot
        weight = total([frame.weight, *[one.weight for one in members]])
        return frame.head + b",".join([one.raw for one in members]) + frame.tail, weight

    def _ended(self, raw: bytes, weight: SchemaWeight) -> tuple[bytes, SchemaWeight]:
        if weight.references:
            used, weight = self._definitions.needed(weight)
            if used:
                raw += b"," + _item("$defs", used)
        return raw + b"}", weight


def _item(name: str, value: JsonValue) -> bytes:
    return ENCODER.encode(name) + b":" + ENCODER.encode(value)
