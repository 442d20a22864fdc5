"""Where an answer violates its schema: one failure per failing keyword and place.

The contract's own rules, which no validator's error list follows: a member's name is a failure of
its own for `required`, `dependentRequired`, `additionalProperties` and `unevaluatedProperties`;
`anyOf`, `oneOf`, `not` and `if` fail as a whole, unless constants of the value decide the branch;
every other applicator is entered. Whether a
subschema holds is asked of the engine, so this module decides places and never validity.
"""

from collections.abc import Callable, Iterable, Iterator, KeysView, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, ClassVar, TypeAlias

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
from lakehouse.validation.schema_evaluated import EvaluatedParts
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
_Look: TypeAlias = "Callable[[_Search, Any, JsonValue, Place], Iterable[_Task] | None]"
# What is looked at, and the schema's part in it: its place, or what was made of it.
_Looks: TypeAlias = tuple[tuple[_Look, Any], ...]


class _TooManySteps(Exception):
    """The answer is so large, or so wrong, that what was found has to do."""


class FailureSearch:
    """Finds where answers violate one schema. Keep it with its engine.

    What it takes from a subschema is worked out when an answer first violates that one.
    """

    def __init__(self, document: SchemaDocument, engine: SchemaEngine, tags: SchemaTags) -> None:
        self.document = document
        self.engine = engine
        self.tags = tags
        self.evaluated = EvaluatedParts(document, engine, tags)
        self.looks: dict[Place, _Looks] = {}

    def failures(self, value: JsonValue) -> list[Failure]:
        """Find all failures, each once, in no particular order.

        Stops at `SCHEMA_FINDINGS_MAX` failures and after `SCHEMA_STEPS_MAX` subschemas tried.

        Returns:
            Empty only if the value is valid, or the steps ran out before the first failure.
        """
        search = _Search(self)
        with suppress(_TooManySteps):
            search.run(value)
        return search.failures


class _Search:
    """One search, with a stack of its own: schema and answer together may nest 64 x 64 deep."""

    __slots__ = ("_checks", "_kept", "_known", "_seen", "_steps", "failures")

    def __init__(self, kept: FailureSearch) -> None:
        self.failures: list[Failure] = []
        self._kept = kept
        self._checks = kept.engine.checks
        self._steps = 0
        self._seen: set[tuple[Place, Place]] = set()
        self._known: set[tuple[Place, str, Place | Constants | str | None]] = set()

    def run(self, value: JsonValue) -> None:
        if not self._is_new_failure(ROOT, value, ROOT):
            return
        ways = [self._visit(ROOT, value, ROOT)]
        while ways:
            task = next(ways[-1], None)
            if task is None:
                ways.pop()
            else:
                ways.append(self._visit(*task))

    def _visit(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        """Report what fails right here, and name what fails further in, one at a time."""
        looks = self._kept.looks.get(schema)
        if looks is None:
            looks = self._kept.looks[schema] = tuple(self._looks_at(schema))
        for look, about in looks:
            further = look(self, about, value, place)
            if further is not None:
                for task in further:
                    if self._is_new_failure(*task):
                        yield task

    def _looks_at(self, schema: Place) -> Iterator[tuple[_Look, Any]]:
        """Name what is looked at in a value that violates a subschema, in the schema's order."""
        node = self._kept.document.at(schema)
        if isinstance(node, bool):
            yield _Search._nothing_allowed, schema
            return
        for keyword, expected in node.items():
            here = (*schema, keyword)
            if keyword in REFERENCES:
                yield _Search._reference, self._kept.document.target(schema, keyword)
            elif keyword == "required":
                names = enumerate(strings(expected))
                yield _Search._required, [(name, (*here, index)) for index, name in names]
            elif keyword == "properties":
                yield _Search._properties, [(name, (*here, name)) for name in named(expected)]
            elif keyword == "additionalProperties":
                declared = named(node.get("properties")).keys()
                patterns = named(node.get("patternProperties")).keys()
                yield _Search._additional_properties, (declared, patterns, here)
            elif (look := self._LOOKS.get(keyword)) is not None:
                yield look, schema
            elif keyword in self._kept.document.alone:
                holds = self._kept.engine.keyword_check(keyword, expected)
                yield _Search._keyword_alone, (holds, keyword, here)

    # --- Steps ---

    def _is_new_failure(self, schema: Place, value: JsonValue, place: Place) -> bool:
        at = schema, place
        if at in self._seen:
            return False
        self._step()
        check = self._checks.get(schema) or self._kept.engine.check(schema)
        if check(value):
            return False
        self._seen.add(at)
        return True

    def _holds(self, schema: Place, value: JsonValue) -> bool:
        self._step()
        return self._kept.engine.holds(schema, value)

    def _step(self) -> None:
        self._steps += 1
        if self._steps > SCHEMA_STEPS_MAX:
            raise _TooManySteps

    def _fail(
        self,
        place: Place,
        keyword: str,
        expected: Place | None,
        name: str | None = None,
        *,
        branch: Place | None = None,
        constants: Constants | None = None,
    ) -> None:
        key = place, keyword, (expected or constants) if name is None else name
        if key in self._known:
            return
        self._known.add(key)
        failures = self.failures
        failures.append(Failure(place, keyword, expected, name, branch, constants))
        if len(failures) >= SCHEMA_FINDINGS_MAX:
            raise _TooManySteps

    def _keyword_alone(
        self,
        about: tuple[Callable[[JsonValue], bool], str, Place],
        value: JsonValue,
        place: Place,
    ) -> None:
        holds, keyword, expected = about
        if not holds(value):
            self._fail(place, keyword, expected)

    def _nothing_allowed(self, _: Place, __: JsonValue, place: Place) -> None:
        self._fail(place, "not", None)

    def _reference(self, target: Place, value: JsonValue, place: Place) -> Iterable[_Task]:
        return ((target, value, place),)

    # --- Objects ---

    def _required(self, names: Sequence[tuple[str, Place]], value: JsonValue, place: Place) -> None:
        if isinstance(value, dict):
            for name, expected in names:
                if name not in value:
                    self._fail(place, "required", expected, name)

    def _dependent_required(self, schema: Place, value: JsonValue, place: Place) -> None:
        keyword = "dependentRequired"
        for trigger in named(self._keyword(schema, keyword)):
            if trigger in named(value):
                names = self._kept.document.value((*schema, keyword, trigger))
                for index, name in enumerate(strings(names)):
                    if name not in named(value):
                        self._fail(place, keyword, (*schema, keyword, trigger, index), name)

    def _properties(
        self, members: Sequence[tuple[str, Place]], value: JsonValue, place: Place
    ) -> Iterator[_Task]:
        if isinstance(value, dict):
            checks = self._checks
            for name, schema in members:
                if name in value:
                    member = value[name]
                    check = checks.get(schema)
                    if check is not None and check(member):  # as most do, and in less time
                        self._step()
                    else:
                        yield schema, member, (*place, name)

    def _pattern_properties(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        keyword = "patternProperties"
        if isinstance(value, dict):
            for pattern in named(self._keyword(schema, keyword)):
                for name, member in value.items():
                    if self._kept.engine.matches(pattern, name):
                        yield (*schema, keyword, pattern), member, (*place, name)

    def _additional_properties(
        self, about: tuple[KeysView[str], KeysView[str], Place], value: JsonValue, place: Place
    ) -> Iterator[_Task]:
        declared, patterns, here = about
        if not isinstance(value, dict) or value.keys() <= declared:
            return
        matches = self._kept.engine.matches
        forbidden = self._kept.document.at(here) is False
        for name in value:
            if name in declared or any(matches(one, name) for one in patterns):
                continue
            if forbidden:
                self._fail(place, "additionalProperties", here, name)
            else:
                yield here, value[name], (*place, name)

    def _property_names(self, schema: Place, value: JsonValue, place: Place) -> None:
        here = (*schema, "propertyNames")
        if isinstance(value, dict) and not all(self._holds(here, name) for name in value):
            self._fail(place, "propertyNames", here)

    def _dependent_schemas(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        if isinstance(value, dict):
            for trigger in named(self._keyword(schema, "dependentSchemas")):
                if trigger in value:
                    yield (*schema, "dependentSchemas", trigger), value, place

    def _unevaluated_properties(self, schema: Place, value: JsonValue, place: Place) -> None:
        keyword = "unevaluatedProperties"
        if isinstance(value, dict):
            here = (*schema, keyword)
            names = self._kept.evaluated.of(schema, value, own=False)
            for name, member in value.items():
                if name not in names and not self._holds(here, member):
                    self._fail(place, keyword, here, name)

    # --- Arrays ---

    def _prefix_items(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        if isinstance(value, list):
            schemas = self._kept.document.branches(schema, "prefixItems")
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
        node = self._kept.document.node(schema)
        count = sum(self._holds((*schema, "contains"), item) for item in value)
        least = node.get("minContains", 1)
        most = node.get("maxContains")
        if isinstance(least, int | float | Decimal) and count < least:
            keyword = "minContains" if "minContains" in node else "contains"
            self._fail(place, keyword, (*schema, keyword))
        if isinstance(most, int | float | Decimal) and count > most:
            self._fail(place, "maxContains", (*schema, "maxContains"))

    def _unevaluated_items(self, schema: Place, value: JsonValue, place: Place) -> None:
        here = (*schema, "unevaluatedItems")
        if isinstance(value, list):
            indexes = self._kept.evaluated.of(schema, value, own=False)
            for index, item in enumerate(value):
                if index not in indexes and not self._holds(here, item):
                    self._fail(place, "unevaluatedItems", here)
                    return

    # --- In place ---

    def _all_of(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        for branch in self._kept.document.branches(schema, "allOf"):
            yield branch, value, place

    def _any_of(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        if not any(
            self._holds(branch, value) for branch in self._kept.document.branches(schema, "anyOf")
        ):
            yield from self._none_of(schema, "anyOf", value, place)

    def _one_of(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        count = sum(
            self._holds(branch, value) for branch in self._kept.document.branches(schema, "oneOf")
        )
        if count == 0:
            yield from self._none_of(schema, "oneOf", value, place)
        elif count > 1:
            self._fail(place, "oneOf", (*schema, "oneOf"))

    def _none_of(
        self, schema: Place, keyword: str, value: JsonValue, place: Place
    ) -> Iterator[_Task]:
        """Go into the branch that the tags of a value decide for, or tell what is wrong."""
        decision = self._kept.tags.decide(schema, keyword, value)
        if decision.branch is not None:
            yield decision.branch, value, place
        elif decision.missing or decision.wrong:
            for name, required in decision.missing:
                self._fail(place, "required", required, name)
            for name, constants in decision.wrong:
                self._fail((*place, name), "enum", None, constants=constants)
        else:
            self._fail(place, keyword, (*schema, keyword))

    def _not(self, schema: Place, value: JsonValue, place: Place) -> None:
        here = (*schema, "not")
        if self._holds(here, value):
            self._fail(place, "not", here)

    def _if(self, schema: Place, value: JsonValue, place: Place) -> Iterator[_Task]:
        chosen = "then" if self._holds((*schema, "if"), value) else "else"
        if chosen not in self._kept.document.node(schema) or self._holds((*schema, chosen), value):
            return
        if isinstance(value, dict) and self._kept.tags.tests_constants((*schema, "if")):
            yield (*schema, chosen), value, place
        else:
            self._fail(place, "if", (*schema, "if"), branch=(*schema, chosen))

    # --- The schema ---

    def _keyword(self, schema: Place, keyword: str) -> JsonValue:
        return self._kept.document.node(schema).get(keyword)

    _LOOKS: ClassVar[dict[str, _Look]] = {
        "dependentRequired": _dependent_required,
        "propertyNames": _property_names,
        "unevaluatedProperties": _unevaluated_properties,
        "contains": _contains,
        "unevaluatedItems": _unevaluated_items,
        "not": _not,
        "patternProperties": _pattern_properties,
        "dependentSchemas": _dependent_schemas,
        "prefixItems": _prefix_items,
        "items": _items,
        "allOf": _all_of,
        "anyOf": _any_of,
        "oneOf": _one_of,
        "if": _if,
    }
