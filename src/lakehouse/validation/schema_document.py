"""A JSON Schema as a closed document: every subschema found, every reference resolved inside it.

The form for the engine contains no URI: identifiers, anchors, annotations and unknown keywords are
removed, and each reference names one definition by number. So a schema from outside can never cause
a fetch or a read, whatever its `$id`, `$schema` or `$ref` say.

Errors are references out of the document, other dialects than 2020-12, patterns that are not RE2,
reference loops that do not step into the value, and references that multiply.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, TypeAlias
from urllib.parse import unquote, urldefrag, urljoin

from lakehouse.core.json_text import JsonValue, pointer_parts
from lakehouse.core.limits import (
    JSON_DEPTH_MAX,
    PATTERN_CHARS_MAX,
    SCHEMA_UNFOLDED_MAX,
)
from lakehouse.validation.formats import NO_FORMATS, AssertedFormats
from lakehouse.validation.patterns import PatternError, to_engine
from lakehouse.validation.raw_tree import ROOT, Place

Schema: TypeAlias = bool | dict[str, JsonValue]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
DEFINITIONS_URI: Final = "urn:lakehouse:schema"

REFERENCES: Final = ("$ref", "$dynamicRef")
BOUNDS: Final = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
)
ALONE: Final = BOUNDS | (  # need none of their neighbours to be judged
    frozenset({"type", "enum", "const", "pattern", "minLength", "maxLength"})
    | {"minItems", "maxItems", "minProperties", "maxProperties", "uniqueItems"}
)
_LEAVES: Final = ALONE | {"required", "dependentRequired", "minContains", "maxContains"}
_COUNTS: Final = frozenset(
    {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}
    | {"minContains", "maxContains"}
)
_COUNT_MAX: Final = 2**62  # no value has so many characters, items or members
SINGLE: Final = frozenset(
    {"not", "if", "then", "else", "contains", "items", "additionalProperties"}
) | {"propertyNames", "unevaluatedItems", "unevaluatedProperties"}
NAMED: Final = frozenset({"properties", "patternProperties", "dependentSchemas"})
LISTED: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
HOLD_ONE: Final = SINGLE | {"contentSchema"}  # what is added here asserts nothing
HOLD_NAMED: Final = NAMED | {"$defs", "definitions"}
_IN_PLACE_SINGLE: Final = ("not", "if", "then", "else")
_IN_PLACE_LISTED: Final = ("allOf", "anyOf", "oneOf")


def engine_value(keyword: str, value: JsonValue) -> JsonValue:
    """Convert a keyword's value for the engine, which has no counts beyond its integers."""
    if keyword in _COUNTS and isinstance(value, Decimal):
        return int(min(value, Decimal(_COUNT_MAX)))
    return value


class SchemaError(ValueError):
    """An invalid schema; `place` is where in the document, the message says why."""

    hint = ""  # what helps with this kind of fault, if it is not what helps with every schema

    def __init__(self, place: Place, why: str) -> None:
        super().__init__(why)
        self.place = place


class SchemaDocument:
    """One schema document, read and resolved.

    Raises:
        SchemaError: On construction, with the place.
    """

    def __init__(self, root: Schema, formats: AssertedFormats = NO_FORMATS) -> None:
        """Parse a schema; `formats` are asserted, other formats are annotations."""
        self.root = root
        self.formats = formats
        self.alone = ALONE | {"format"} if formats.names else ALONE
        self.formats_unknown: list[Place] = []
        """Where a format stands that is not asserted."""
        self.pattern_uses = 0
        """How many keywords match texts with a pattern or format, equal ones counted each time."""
        self.bound_uses = 0
        """How many keywords bound numbers."""
        self._nodes: dict[Place, Schema] = {}
        self._bases: dict[Place, str] = {}
        self._resources: dict[str, Place] = {"": ROOT}
        self._anchors: dict[tuple[str, str], Place] = {}
        self._dynamic: dict[str, list[Place]] = {}
        self._patterns: dict[str, str] = {}
        self._pattern_places: dict[str, Place] = {}
        self._targets: dict[tuple[Place, str], Place] = {}
        self._unresolved: list[Place] = []
        self._numbers: dict[Place, int] = {}
        self._read(root, ROOT, "")
        while self._unresolved:
            self._resolve(self._unresolved.pop())
        self._check_unfolding()

    @property
    def patterns(self) -> dict[str, str]:
        """Every pattern of the schema, as written → in the engine's form."""
        return self._patterns

    def pattern_place(self, pattern: str) -> Place:
        """Return the first place of a pattern, for messages."""
        return self._pattern_places[pattern]

    def at(self, place: Place) -> Schema:
        return self._nodes[place]

    def value(self, place: Place) -> JsonValue:
        """Return the value at a place of the document, subschema or not."""
        value: JsonValue = self.root
        for step in place:
            if isinstance(value, dict):
                value = value[str(step)]
            else:
                assert isinstance(value, list)
                assert isinstance(step, int)
                value = value[step]
        return value

    def node(self, place: Place) -> dict[str, JsonValue]:
        """Return the keywords of the subschema at a place; a boolean has none."""
        node = self._nodes[place]
        return {} if isinstance(node, bool) else node

    def target(self, place: Place, keyword: str) -> Place:
        """Return the target of a reference in the subschema at `place`."""
        return self._targets[place, keyword]

    def references(self, place: Place) -> list[Place]:
        """Return the places that the references of the subschema at `place` lead to."""
        node = self.node(place)
        return [self._targets[place, keyword] for keyword in REFERENCES if keyword in node]

    def branches(self, place: Place, keyword: str) -> list[Place]:
        """Return the places of the subschemas that `allOf` or its like lists."""
        return [(*place, keyword, n) for n in range(len(listed(self.node(place).get(keyword))))]

    def in_place(self, place: Place) -> Iterator[Place]:
        """Name the subschemas that apply to the same value as the one at `place`."""
        node = self.node(place)
        yield from self.references(place)
        yield from ((*place, keyword) for keyword in _IN_PLACE_SINGLE if keyword in node)
        for keyword in _IN_PLACE_LISTED:
            yield from self.branches(place, keyword)
        dependents = named(node.get("dependentSchemas"))
        yield from ((*place, "dependentSchemas", name) for name in dependents)

    def definitions(self, *, guarded: bool = False) -> dict[str, JsonValue]:
        """Return all targets of references, by number, in the engine's form."""
        return {
            str(number): self.engine_form(place, guarded=guarded)
            for place, number in self._numbers.items()
        }

    def engine_form(self, place: Place, *, guarded: bool = False) -> JsonValue:
        """Write the subschema at `place` with only its assertions.

        `guarded`: numeric bounds apply only to numbers.
        """
        node = self._nodes[place]
        if isinstance(node, bool):
            return node
        form: dict[str, JsonValue] = {}
        bounds: dict[str, JsonValue] = {}
        for keyword, value in node.items():
            here = (*place, keyword)
            if keyword == "pattern" and isinstance(value, str):
                form[keyword] = self._patterns[value]
            elif guarded and keyword in BOUNDS:
                bounds[keyword] = value
            elif keyword in _LEAVES or (keyword == "format" and value in self.formats.names):
                form[keyword] = engine_value(keyword, value)
            elif keyword in SINGLE:
                form[keyword] = self.engine_form(here, guarded=guarded)
            elif keyword in LISTED:
                branches = self.branches(place, keyword)
                form[keyword] = [self.engine_form(one, guarded=guarded) for one in branches]
            elif keyword in NAMED and isinstance(value, dict):
                form[keyword] = self._named_form(here, value, guarded=guarded)
        more: list[JsonValue] = [
            {"$ref": f"{DEFINITIONS_URI}#/$defs/{self._numbers[target]}"}
            for target in self.references(place)
        ]
        if bounds:
            more.append({"if": {"type": "number"}, "then": bounds})
        if more:
            form["allOf"] = [*listed(form.get("allOf")), *more]
        return form

    def _named_form(
        self, here: Place, members: dict[str, JsonValue], *, guarded: bool
    ) -> dict[str, JsonValue]:
        form: dict[str, JsonValue] = {}
        for name in members:
            key = self._patterns[name] if here[-1] == "patternProperties" else name
            while key in form:  # two spellings of one pattern: both must stay
                key += "(?:)"
            form[key] = self.engine_form((*here, name), guarded=guarded)
        return form

    # --- Reading ---

    def _read(self, node: JsonValue, place: Place, base: str) -> None:
        if not isinstance(node, bool | dict):
            raise SchemaError(place, "a schema is an object or a boolean")
        if place in self._nodes:
            return
        self._nodes[place] = node
        if isinstance(node, bool):
            return
        base = self._identify(node, place, base)
        self._bases[place] = base
        self.bound_uses += len(BOUNDS & node.keys())
        if any(keyword in node for keyword in REFERENCES):
            self._unresolved.append(place)
        if isinstance(pattern := node.get("pattern"), str):
            self._pattern(pattern, (*place, "pattern"))
        if isinstance(name := node.get("format"), str):
            self.pattern_uses += name in self.formats.names
            if name not in self.formats.names:
                self.formats_unknown.append((*place, "format"))
        for pattern in named(node.get("patternProperties")):
            self._pattern(pattern, (*place, "patternProperties", pattern))
        for here, child in children(node, place):
            self._read(child, here, base)

    def _identify(self, node: dict[str, JsonValue], place: Place, base: str) -> str:
        dialect = node.get("$schema")
        if dialect is not None and str(dialect).removesuffix("#") != DIALECT:
            raise SchemaError((*place, "$schema"), f"{dialect!r} is not the dialect {DIALECT}")
        identifier = node.get("$id")
        if isinstance(identifier, str):
            base = _join((*place, "$id"), base, identifier)
            if self._resources.setdefault(base, place) != place and place != ROOT:
                raise SchemaError((*place, "$id"), f"{identifier!r} appears twice")
        for keyword in ("$anchor", "$dynamicAnchor"):
            name = node.get(keyword)
            if isinstance(name, str):
                if self._anchors.setdefault((base, name), place) != place:
                    raise SchemaError((*place, keyword), f"the anchor {name!r} appears twice")
                if keyword == "$dynamicAnchor":
                    self._dynamic.setdefault(name, []).append(place)
        return base

    def _pattern(self, pattern: str, place: Place) -> None:
        if len(pattern) > PATTERN_CHARS_MAX:
            raise SchemaError(
                place, f"a pattern of {len(pattern)} characters; at most {PATTERN_CHARS_MAX}"
            )
        self.pattern_uses += 1
        self._pattern_places.setdefault(pattern, place)
        try:
            self._patterns[pattern] = to_engine(pattern)
        except PatternError as error:
            raise SchemaError(place, f"the pattern {pattern!r}: {error}") from error

    # --- References ---

    def _resolve(self, place: Place) -> None:
        node = self._nodes[place]
        assert isinstance(node, dict)
        for keyword in REFERENCES:
            reference = node.get(keyword)
            if keyword not in node:
                continue
            here = (*place, keyword)
            if not isinstance(reference, str):
                raise SchemaError(here, "a reference is a string")
            target = self._find(reference, here, self._bases[place])
            if keyword == "$dynamicRef":
                self._check_dynamic(reference, here, target)
            self._targets[place, keyword] = target
            self._numbers.setdefault(target, len(self._numbers))

    def _find(self, reference: str, here: Place, base: str) -> Place:
        address, fragment = urldefrag(reference) if "#" in reference else (reference, "")
        resource = _join(here, base, address) if address else base
        if resource not in self._resources:
            raise SchemaError(
                here, f"{reference!r} is not in this document, and nothing is ever fetched"
            )
        fragment = unquote(fragment)
        if fragment and not fragment.startswith("/"):
            target = self._anchors.get((resource, fragment))
            if target is None:
                raise SchemaError(here, f"{reference!r}: there is no such anchor")
            return target
        try:
            parts = pointer_parts(fragment)
        except ValueError as error:
            raise SchemaError(here, f"{reference!r} is not a JSON Pointer") from error
        return self._follow(self._resources[resource], parts, here, reference)

    def _follow(self, start: Place, parts: list[str], here: Place, reference: str) -> Place:
        place: Place = start
        value: JsonValue = self._nodes[start]
        base = self._bases.get(start, "")
        for part in parts:
            if isinstance(value, dict) and part in value:
                value, place = value[part], (*place, part)
            elif isinstance(value, list) and part.isdecimal() and int(part[:9]) < len(value):
                value, place = value[int(part)], (*place, int(part))
            else:
                raise SchemaError(here, f"{reference!r} points at nothing")
            base = self._bases.get(place, base)
        if not isinstance(value, bool | dict):
            raise SchemaError(here, f"{reference!r} points at something that is not a schema")
        self._read(value, place, base)
        return place

    def _check_dynamic(self, reference: str, here: Place, target: Place) -> None:
        name = reference.partition("#")[2]
        places = self._dynamic.get(name, [])
        if target in places and len(places) > 1:
            # Which of them is meant depends on the way the evaluation came, and findings could
            # not be told by places of the schema.
            raise SchemaError(
                here,
                f"the dynamic anchor {name!r} appears {len(places)} times, and a reference whose "
                "target changes while it is followed is not supported",
            )

    # --- What one value costs ---

    def _check_unfolding(self) -> None:
        """Refuse references that cost more than the schema's size: 30 doublings are 2^30 checks."""
        sizes: dict[Place, tuple[int, int]] = {}
        for place in list(self._nodes):
            self._unfold(place, sizes, {})

    def _unfold(
        self, place: Place, sizes: dict[Place, tuple[int, int]], open_places: dict[Place, None]
    ) -> tuple[int, int]:
        """Count the subschemas applied to one value at `place`, and how deep they stand."""
        if place in sizes:
            return sizes[place]
        if place in open_places:
            raise SchemaError(place, "a reference leads back here without stepping into the value")
        if len(open_places) >= JSON_DEPTH_MAX:
            raise SchemaError(place, f"references stand more than {JSON_DEPTH_MAX} deep")
        open_places[place] = None
        parts = [self._unfold(part, sizes, open_places) for part in self.in_place(place)]
        del open_places[place]
        # Unevaluated members are found by applying the same subschemas once more.
        twice = any(name.startswith("unevaluated") for name in self.node(place))
        size = 1 + sum(part for part, _ in parts) * (2 if twice else 1)
        depth = 1 + max((part for _, part in parts), default=0)
        if size > SCHEMA_UNFOLDED_MAX:
            raise SchemaError(place, f"its subschemas multiply to more than {SCHEMA_UNFOLDED_MAX}")
        if depth > JSON_DEPTH_MAX:
            raise SchemaError(place, f"references stand more than {JSON_DEPTH_MAX} deep")
        sizes[place] = size, depth
        return size, depth


def children(node: dict[str, JsonValue], place: Place) -> Iterator[tuple[Place, JsonValue]]:
    """Return the subschemas right inside one, with their places."""
    for keyword, value in node.items():
        here = (*place, keyword)
        if keyword in HOLD_ONE:
            yield here, value
        elif keyword in LISTED:
            for index, child in enumerate(listed(value)):
                yield (*here, index), child
        elif keyword in HOLD_NAMED:
            for name, child in named(value).items():
                yield (*here, name), child


def listed(value: JsonValue) -> list[JsonValue]:
    """Return the value of a keyword that is a list; nothing of anything else."""
    return value if isinstance(value, list) else []


def named(value: JsonValue) -> dict[str, JsonValue]:
    """Return the value of a keyword that is an object; nothing of anything else."""
    return value if isinstance(value, dict) else {}


def strings(value: JsonValue) -> list[str]:
    """Return the strings of the value of a keyword that is a list."""
    return [one for one in listed(value) if isinstance(one, str)]


def _join(place: Place, base: str, address: str) -> str:
    try:
        return urldefrag(urljoin(base, address)).url
    except ValueError as error:
        raise SchemaError(place, f"{address!r} is not a URI reference") from error
