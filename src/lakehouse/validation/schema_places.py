"""Where an answer violates its schema: one failure per failing keyword and place.

The contract's own rules, which no validator's error list follows: a member's name is a failure of
its own for `required`, `dependentRequired`, `additionalProperties` and `unevaluatedProperties`;
`anyOf`, `oneOf`, `not` and `if` fail as a whole, unless constants of the value decide the branch;
every other applicator is entered. Whether a
subschema holds is asked of the engine, so this module decides places and never validity.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from decimal import Decimal

import msgspec

from lakehouse.core.json_text import JsonValue
from lakehouse.core.limits import SCHEMA_FINDINGS_MAX, SCHEMA_STEPS_MAX
from lakehouse.validation.raw_tree import ROOT, Place
from lakehouse.validation.schema_document import (
    REFERENCES,
    SchemaDocument,
    listed,
    named,
    strings,
)
from lakehouse.validation.schema_engine import SchemaEngine
from lakehouse.validation.schema_tags import Constants, SchemaTags


class Failure(msgspec.Struct, frozen=True):
    """One keyword that fails at one place of the answer.

    `expected` is the place of the keyword's value in the schema: for `required` and
    `dependentRequired` the place of the one name; None for a `false` schema, which fails as the
    `not: {}` that the standard defines it to be. `name` is the member that is missing or extra.
    `branch` is the place of the `then` or `else` that an `if` selected. `constants` are the values
    that the branches of a union list for a member: an implicit `enum`.
    """

    place: Place
    keyword: str
    expected: Place | None
    name: str | None = None
    branch: Place | None = None
    constants: Constants | None = None


_Task = tuple[Place, JsonValue, Place]  # a subschema to hold against a value at a place


class _TooManySteps(Exception):
    """The answer is so large, or so wrong, that what was found has to do."""


def locate(
    document: SchemaDocument, engine: SchemaEngine, tags: SchemaTags, value: JsonValue
) -> list[Failure]:
    """Find all failures, each once, in no particular order.

    Stops at `SCHEMA_FINDINGS_MAX` failures and after `SCHEMA_STEPS_MAX` subschemas tried.

    Returns:
        Empty only if the value is valid, or the steps ran out before the first failure.
    """
    search = _Search(document, engine, tags)
    with suppress(_TooManySteps):
        search.run(value)
    return search.failures


class _Search:
    """One search, with a stack of its own: schema and answer together may nest 64 x 64 deep."""

    def __init__(self, document: SchemaDocument, engine: SchemaEngine, tags: SchemaTags) -> None:
        self.failures: list[Failure] = []
        self._document = document
        self._tags = tags
        self._engine = engine
        self._steps = 0
        self._seen: set[tuple[Place, Place]] = set()
        self._known: set[tuple[Place, str, Place | Constants | str | None]] = set()
        self._checks: dict[str, Callable[[Place, JsonValue, Place], None]] = {
            "required": self._required,
            "dependentRequired": self._dependent_required,
            "propertyNames": self._property_names,
            "unevaluatedProperties": self._unevaluated_properties,
            "contains": self._contains,
            "unevaluatedItems": self._unevaluated_items,
            "not": self._not,
        }
        self._ways: dict[str, Callable[[Place, JsonValue, Place], Iterator[_Task]]] = {
            "properties": self._properties,
            "patternProperties": self._pattern_properties,
            "additionalProperties": self._additional_properties,
            "dependentSchemas": self._dependent_schemas,
            "prefixItems": self._prefix_items,
            "items": self._items,
            "allOf": self._all_of,
            "anyOf": self._any_of,
            "oneOf": self._one_of,
            "if": self._if,
        }

    def run(self, value: JsonValue) -> None:
        ways: list[Iterator[_Task]] = [iter([(ROOT, value, ROOT)])]
        while ways:
            task = next(ways[-1], None)
            if task is None:
                ways.pop()
            elif self._is_new_failure(*task):
                ways.append(self._visit(*task))

    def _visit(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        """Report what fails right here, and name what may fail further in, one at a time."""
        node = self._document.at(schema)
        if isinstance(node, bool):
            self._fail(Failure(place, "not", None))
            return
        for keyword, expected in node.items():
            if keyword in REFERENCES:
                yield self._document.target(schema, keyword), value, place
            elif (check := self._checks.get(keyword)) is not None:
                check(schema, value, place)
            elif (way := self._ways.get(keyword)) is not None:
                yield from way(schema, value, place)
            elif keyword in self._document.alone and not self._engine.keyword_holds(
                schema, keyword, expected, value
            ):
                self._fail(Failure(place, keyword, (*schema, keyword)))

    # --- Steps ---

    def _is_new_failure(self, schema: Place, value: JsonValue, place: Place) -> bool:
        if (schema, place) in self._seen or self._holds(schema, value):
            return False
        self._seen.add((schema, place))
        return True

    def _holds(self, schema: Place, value: JsonValue) -> bool:
        self._steps += 1
        if self._steps > SCHEMA_STEPS_MAX:
            raise _TooManySteps
        return self._engine.holds(schema, value)

    def _fail(self, failure: Failure) -> None:
        told = failure.constants if failure.constants is not None else failure.expected
        key = failure.place, failure.keyword, told if failure.name is None else failure.name
        if key in self._known:
            return
        self._known.add(key)
        self.failures.append(failure)
        if len(self.failures) >= SCHEMA_FINDINGS_MAX:
            raise _TooManySteps

    # --- Objects ---

    def _required(self, schema: Place, value: JsonValue, place: Place) -> None:
        if isinstance(value, dict):
            self._missing(schema, ("required",), value, place)

    def _dependent_required(self, schema: Place, value: JsonValue, place: Place) -> None:
        keyword = "dependentRequired"
        for trigger in named(self._keyword(schema, keyword)):
            if trigger in named(value):
                self._missing(schema, (keyword, trigger), named(value), place)

    def _missing(self, schema: Place, at: Place, value: dict[str, JsonValue], place: Place) -> None:
        names = self._document.value((*schema, *at))
        for index, name in enumerate(strings(names)):
            if name not in value:
                self._fail(Failure(place, str(at[0]), (*schema, *at, index), name))

    def _properties(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        if isinstance(value, dict):
            for name in named(self._keyword(schema, "properties")):
                if name in value:
                    yield (*schema, "properties", name), value[name], (*place, name)

    def _pattern_properties(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        keyword = "patternProperties"
        if isinstance(value, dict):
            for pattern in named(self._keyword(schema, keyword)):
                for name, member in value.items():
                    if self._engine.matches(pattern, name):
                        yield (*schema, keyword, pattern), member, (*place, name)

    def _additional_properties(
        self, schema: Place, value: JsonValue, place: Place
    ) -> Iterator[_Task]:
        keyword = "additionalProperties"
        if not isinstance(value, dict):
            return
        here = (*schema, keyword)
        for name in self._additional(schema, value):
            if self._document.at(here) is False:
                self._fail(Failure(place, keyword, here, name))
            else:
                yield here, value[name], (*place, name)

    def _additional(self, schema: Place, value: dict[str, JsonValue]) -> Iterator[str]:
        declared = named(self._keyword(schema, "properties"))
        patterns = named(self._keyword(schema, "patternProperties"))
        for name in value:
            if name not in declared and not any(
                self._engine.matches(one, name) for one in patterns
            ):
                yield name

    def _property_names(self, schema: Place, value: JsonValue, place: Place) -> None:
        here = (*schema, "propertyNames")
        if isinstance(value, dict) and not all(self._holds(here, name) for name in value):
            self._fail(Failure(place, "propertyNames", here))

    def _dependent_schemas(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        if isinstance(value, dict):
            for trigger in named(self._keyword(schema, "dependentSchemas")):
                if trigger in value:
                    yield (*schema, "dependentSchemas", trigger), value, place

    def _unevaluated_properties(self, schema: Place, value: JsonValue, place: Place) -> None:
        keyword = "unevaluatedProperties"
        if isinstance(value, dict):
            here = (*schema, keyword)
            names = self._evaluated(schema, value, own=False)
            for name, member in value.items():
                if name not in names and not self._holds(here, member):
                    self._fail(Failure(place, keyword, here, name))

    # --- Arrays ---

    def _prefix_items(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        if isinstance(value, list):
            schemas = self._document.branches(schema, "prefixItems")
            for index, (here, item) in enumerate(zip(schemas, value, strict=False)):
                yield here, item, (*place, index)

    def _items(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        if isinstance(value, list):
            start = len(listed(self._keyword(schema, "prefixItems")))
            for index in range(start, len(value)):
                yield (*schema, "items"), value[index], (*place, index)

    def _contains(self, schema: Place, value: JsonValue, place: Place) -> None:
        if not isinstance(value, list):
            return
        node = self._document.node(schema)
        count = sum(self._holds((*schema, "contains"), item) for item in value)
        least = node.get("minContains", 1)
        most = node.get("maxContains")
        if isinstance(least, int | float | Decimal) and count < least:
            keyword = "minContains" if "minContains" in node else "contains"
            self._fail(Failure(place, keyword, (*schema, keyword)))
        if isinstance(most, int | float | Decimal) and count > most:
            self._fail(Failure(place, "maxContains", (*schema, "maxContains")))

    def _unevaluated_items(self, schema: Place, value: JsonValue, place: Place) -> None:
        here = (*schema, "unevaluatedItems")
        if isinstance(value, list):
            indexes = self._evaluated(schema, value, own=False)
            for index, item in enumerate(value):
                if index not in indexes and not self._holds(here, item):
                    self._fail(Failure(place, "unevaluatedItems", here))
                    return

    # --- In place ---

    def _all_of(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        for branch in self._document.branches(schema, "allOf"):
            yield branch, value, place

    def _any_of(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        if not any(
            self._holds(branch, value) for branch in self._document.branches(schema, "anyOf")
        ):
            yield from self._none_of(schema, "anyOf", value, place)

    def _one_of(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        count = sum(
            self._holds(branch, value) for branch in self._document.branches(schema, "oneOf")
        )
        if count == 0:
            yield from self._none_of(schema, "oneOf", value, place)
        elif count > 1:
            self._fail(Failure(place, "oneOf", (*schema, "oneOf")))

    def _none_of(
        self, schema: Place, keyword: str, value: JsonValue, place: Place
    ) -> Iterator[_Task]:
        """Go into the branch that the tags of a value decide for, or tell what is wrong."""
        decision = self._tags.decide(schema, keyword, value)
        if decision.branch is not None:
            yield decision.branch, value, place
        elif decision.missing or decision.wrong:
            for name, required in decision.missing:
                self._fail(Failure(place, "required", required, name))
            for name, constants in decision.wrong:
                self._fail(Failure((*place, name), "enum", None, constants=constants))
        else:
            self._fail(Failure(place, keyword, (*schema, keyword)))

    def _not(self, schema: Place, value: JsonValue, place: Place) -> None:
        here = (*schema, "not")
        if self._holds(here, value):
            self._fail(Failure(place, "not", here))

    def _if(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        chosen = "then" if self._holds((*schema, "if"), value) else "else"
        if chosen not in self._document.node(schema) or self._holds((*schema, chosen), value):
            return
        if isinstance(value, dict) and self._tags.tests_constants((*schema, "if")):
            yield (*schema, chosen), value, place
        else:
            self._fail(Failure(place, "if", (*schema, "if"), branch=(*schema, chosen)))

    # --- What is evaluated ---

    def _evaluated(
        self, schema: Place, value: dict[str, JsonValue] | list[JsonValue], *, own: bool = True
    ) -> Collection[str | int]:
        """Name the members or positions of a value that the subschema at a place has evaluated.

        What `allOf`, references and the branch of a tagged union evaluate counts even where they
        fail, so that one wrong value does not make every name of its schema "unevaluated" as well.
        `own` is whether the subschema's own `unevaluatedProperties` or `unevaluatedItems` counts.

        Source: JSON Schema 2020-12, core sections 10.3, 11.2 and 11.3, that choice aside.
        """
        node = self._document.node(schema)
        found: set[str | int] = set()
        if isinstance(value, dict):
            if "additionalProperties" in node or (own and "unevaluatedProperties" in node):
                return value.keys()
            found.update(value.keys() & named(node.get("properties")).keys())
            for pattern in named(node.get("patternProperties")):
                found.update(name for name in value if self._engine.matches(pattern, name))
        else:
            if "items" in node or (own and "unevaluatedItems" in node):
                return range(len(value))
            found.update(range(min(len(listed(node.get("prefixItems"))), len(value))))
            if "contains" in node:
                here = (*schema, "contains")
                found.update(
                    index for index, item in enumerate(value) if self._engine.holds(here, item)
                )
        for branch in self._evaluating(schema, value):
            found.update(self._evaluated(branch, value))
        return found

    def _evaluating(self, schema: Place, value: JsonValue) -> Iterator[Place]:
        """Name the subschemas in place whose evaluations count for this value."""
        node = self._document.node(schema)
        yield from self._document.references(schema)
        for keyword in ("allOf", "anyOf", "oneOf"):
            places = self._document.branches(schema, keyword)
            held = [one for one in places if keyword == "allOf" or self._engine.holds(one, value)]
            yield from held
            if places and not held:
                decided = self._tags.decide(schema, keyword, value).branch
                if decided is not None:
                    yield decided
        if "if" in node:
            here = (*schema, "if")
            holds = self._engine.holds(here, value)
            if holds:
                yield here
            chosen = (*schema, "then" if holds else "else")
            entered = isinstance(value, dict) and self._tags.tests_constants(here)
            if chosen[-1] in node and (entered or self._engine.holds(chosen, value)):
                yield chosen
        for trigger in named(value).keys() & named(node.get("dependentSchemas")).keys():
            branch = (*schema, "dependentSchemas", trigger)
            if self._engine.holds(branch, value):
                yield branch

    # --- The schema ---

    def _keyword(self, schema: Place, keyword: str) -> JsonValue:
        return self._document.node(schema).get(keyword)
