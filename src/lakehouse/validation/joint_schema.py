"""Two schemas that one answer must satisfy: its kind's, and its caller's.

An answer is judged by the conjunction of both, each with its own bytes. A model decodes under a
merged form of it (`merged_schema`). Schemas that visibly contradict each other are refused: then no
answer could be accepted, or none with a member that both describe.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from lakehouse.core.errors import Refusal
from lakehouse.core.json_text import ENCODER, equal_values, parse_bytes, pointer
from lakehouse.core.kind import FormatMode, Kind
from lakehouse.core.wording import shown
from lakehouse.validation.closed_schema import closed
from lakehouse.validation.merged_schema import merged
from lakehouse.validation.schema import (
    CompiledSchema,
    SchemaCache,
    check_schema_size,
    compile_schema,
)
from lakehouse.validation.schema_choices import TYPES, ViewTooLarge
from lakehouse.validation.schema_document import strings
from lakehouse.validation.schema_view import SchemaView

_OURS: Final = "the kind's schema"
_THEIRS: Final = "`output_schema`"
_DEPTH_MAX: Final = 8
_PLACES_MAX: Final = 500
# With one of these, a schema is a resource with a name, which the other one could have too.
_NAMED_BY: Final = (b'"$id"', b'"$anchor"', b'"$dynamicAnchor"')


def joint_schema(
    schemas: SchemaCache, kind: Kind, caller: bytes, formats: FormatMode
) -> CompiledSchema:
    """Return what judges by a kind's schema and its caller's; the kind's own if both are equal.

    `formats` holds for both. `caller` is compact JSON; its `grounding` is that of the result. Cost:
    about 3 ms for two schemas of 1 KB, once, and up to 0.1 s for the largest.

    Raises:
        Refusal: `invalid_schema`: the caller's schema is none, both together are too large, or
            they contradict each other; it names the place.
    """
    key = (bytes(kind.schema), formats, caller)
    return schemas.kept(key, lambda: _made(schemas.get(bytes(kind.schema), formats), kind, caller))


def _made(own: CompiledSchema, kind: Kind, caller: bytes) -> CompiledSchema:
    formats = own.formats
    with _told(_THEIRS):
        theirs = compile_schema(caller, formats)
    if equal_values(parse_bytes(bytes(kind.schema)), parse_bytes(caller)):
        return own
    ours, caller = bytes(own.decoding), bytes(theirs.decoding)
    with _told(f"{_THEIRS}, together with the schema of kind {shown(kind.name)}"):
        first, second = _resource(own, ours, "kind"), _resource(theirs, caller, "caller")
        both = compile_schema(b'{"allOf":[%b,%b]}' % (first, second), formats)
        decoding = merged(both.document)
        check_schema_size(decoding)
    _Contradictions(kind).check(own.view(), theirs.view(), both.view())
    both.decoding = msgspec.Raw(decoding)
    both.grounding = theirs.grounding
    both.cost_bytes += len(decoding) * 16
    return both


@contextmanager
def _told(subject: str) -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        raise Refusal(refusal.code, f"{subject}: {refusal.public}", hint=refusal.hint) from refusal


def _resource(schema: CompiledSchema, raw: bytes, name: str) -> bytes:
    """Make a schema a resource of its own, so that its references start at it wherever it stands.

    Its bytes stay, which findings quote; but for one with names of its own, which lose them.
    """
    if any(word in raw for word in _NAMED_BY):
        raw = ENCODER.encode(closed(schema.document))
    if not raw.startswith(b"{"):
        return raw
    return b'{"$id":"urn:lakehouse:%b"%b%b' % (
        name.encode(),
        b"," if raw != b"{}" else b"",
        raw[1:],
    )


class _Contradictions:
    """Looks for what both schemas describe and no value can be."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._left = _PLACES_MAX

    def check(self, ours: SchemaView, theirs: SchemaView, both: SchemaView) -> None:
        """Compare two schemas, and their members, with what is left of both together.

        Raises:
            Refusal: `invalid_schema`.
        """
        try:
            self._look(ours, theirs, both, ())
        except ViewTooLarge:
            return  # then each answer is judged all the same

    def _look(
        self, ours: SchemaView, theirs: SchemaView, both: SchemaView, place: tuple[str, ...]
    ) -> None:
        self._left -= 1
        if self._left < 0 or len(place) > _DEPTH_MAX:
            return
        if not both.possible:
            raise self._apart(ours, theirs, place)
        if both.types != {"object"}:
            return  # it can be something without these members
        by_kind, by_caller = _required(ours), _required(theirs)
        for name in dict.fromkeys([*by_kind, *by_caller, *ours.names(), *theirs.names()]):
            one, other, shared = ours.member(name), theirs.member(name), both.member(name)
            inside = (*place, name)
            if one.possible and other.possible:
                both_name_it = one.declared and other.declared
                if name in by_kind or name in by_caller or both_name_it:
                    self._look(one, other, shared, inside)
            elif name in by_caller and other.possible:
                hint = f"Leave {_at(inside)} out of {_THEIRS}, or add it to the kind's schema."
                raise self._missing(inside, needed_by=_THEIRS, lacking=_OURS, hint=hint)
            elif name in by_kind and one.possible:
                hint = f"Add {_at(inside)} to {_THEIRS}: the kind needs it."
                raise self._missing(inside, needed_by=_OURS, lacking=_THEIRS, hint=hint)

    def _missing(
        self, place: tuple[str, ...], *, needed_by: str, lacking: str, hint: str
    ) -> Refusal:
        why = f"at {_at(place)}, {needed_by} requires a member, and {lacking} allows none"
        return self._refusal(why, hint)

    def _apart(self, ours: SchemaView, theirs: SchemaView, place: tuple[str, ...]) -> Refusal:
        at = f"at {_at(place)}" if place else "as a whole"
        why = "they share no value"
        if not ours.types & theirs.types:
            why = f"{_OURS} takes {_types(ours)}, and {_THEIRS} {_types(theirs)}"
        hint = f"Change {_THEIRS} {at} to what the kind's schema takes."
        return self._refusal(f"{at}, {why}", hint)

    def _refusal(self, why: str, hint: str) -> Refusal:
        message = f"{_THEIRS} contradicts the schema of kind {shown(self._kind.name)}: {why}."
        return Refusal("invalid_schema", message, hint=hint)


def _at(place: tuple[str, ...]) -> str:
    return shown(pointer(*place))


def _required(view: SchemaView) -> dict[str, None]:
    """List the members that every way to satisfy a schema requires, in its order."""
    found: list[dict[str, None]] = []
    for branch in view.branches():
        names = [name for _, node in branch.nodes() for name in strings(node.get("required"))]
        found.append(dict.fromkeys(names))
    first, *others = found or [{}]
    return {name: None for name in first if all(name in one for one in others)}


def _types(view: SchemaView) -> str:
    types = view.types - ({"integer"} if "number" in view.types else set())
    return (" or ".join(sorted(types)) or "nothing") if view.types < TYPES else "anything"
