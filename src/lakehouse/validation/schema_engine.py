"""The JSON Schema engine: the only module that knows `jsonschema-rs`.

Only its yes-or-no result is used. Its error lists are not: they copy the value into every error and
follow every branch, so one hostile answer to a recursive schema uses all memory and ends the
process (measured with 0.60). Places are found in `schema_places` instead.

Nothing can be fetched: retrieval is off, and the input contains no URI (`schema_document`).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, cast

import jsonschema_rs

from lakehouse.core.json_text import JsonValue
from lakehouse.core.limits import PATTERN_COMPILED_BYTES_MAX
from lakehouse.core.suggestion import did_you_mean
from lakehouse.validation.number_bounds import bound_holds, engine_keyword
from lakehouse.validation.raw_tree import ROOT, Place
from lakehouse.validation.schema_document import (
    BOUNDS,
    DEFINITIONS_URI,
    DIALECT,
    SchemaDocument,
    SchemaError,
    engine_value,
)

_PATTERN_COST: Final = (16 << 10, 256 << 10, PATTERN_COMPILED_BYTES_MAX)
_DFA_BYTES_MAX: Final = 256 << 10  # the engine's own cache, per pattern; full means slower only
_EXACT_KEYWORDS: Final = {keyword: engine_keyword(keyword) for keyword in BOUNDS}
_META: Final = jsonschema_rs.Draft202012Validator(
    {"$ref": DIALECT}, validate_formats=False, offline=True
)

_TYPES: Final = ("array", "boolean", "integer", "null", "number", "object", "string")
_MAPS: Final = {
    "properties": "property",
    "$defs": "definition",
    "definitions": "definition",
    "patternProperties": "pattern",
    "dependentSchemas": "property",
}


def check_against_dialect(schema: JsonValue) -> None:
    """Check a schema against the 2020-12 meta-schema, as data: references are not followed.

    Raises:
        SchemaError: With the first place that is wrong.
    """
    try:
        _META.validate(schema)
    except jsonschema_rs.ValidationError as error:
        place = tuple(error.instance_path)
        why = error.message if len(error.message) <= 200 else error.message[:200] + "…"
        if place and place[-1] == "type" and error.instance not in ([], None):
            why = _type_in_words(error.instance)
        raise SchemaError(place, f"{_in_words(place)}: {why}" if place else why) from error


def _in_words(place: Place) -> str:
    """Name the keyword and whose it is: what a person looks for in the file."""
    *owner, last = place
    if owner and owner[-1] in _MAPS:
        return f"the schema of {_MAPS[str(owner[-1])]} {last!r}"
    keyword = f"keyword {last!r}" if isinstance(last, str) else f"entry {last}"
    if len(owner) >= 2 and owner[-2] in _MAPS:
        return f"{keyword} of {_MAPS[str(owner[-2])]} {owner[-1]!r}"
    return keyword if owner else f"{keyword} of the schema itself"


def _type_in_words(found: object) -> str:
    allowed = ", ".join(_TYPES)
    near = did_you_mean(found, _TYPES) if isinstance(found, str) else ""
    shown = repr(found)
    shown = shown if len(shown) <= 80 else shown[:80] + "…"
    return f"is {shown}{near}; allowed are {allowed}, or a list of them"


def pattern_cost_bytes(engine_pattern: str) -> int:
    """Compile a pattern and return an upper bound of its compiled size.

    Raises:
        SchemaError: It does not compile, or takes over `PATTERN_COMPILED_BYTES_MAX`.
    """
    for size in _PATTERN_COST:
        try:
            _validator({"pattern": engine_pattern}, size)
        except jsonschema_rs.ValidationError:
            continue
        return size
    raise SchemaError((), "does not compile, or is too large once compiled")


class SchemaEngine:
    """Compiled parts of one schema document; parts other than the whole compile on first use.

    Safe to share between sessions on one event loop. `exact`: numeric bounds are checked in
    decimals, needed for values with a `Decimal`; each such check costs about 2 µs.
    """

    def __init__(self, document: SchemaDocument, *, exact: bool = False) -> None:
        self._document = document
        self._exact = exact
        self._formats = document.formats.checks
        definitions = {"$defs": document.definitions(guarded=exact)}
        check_against_dialect(cast("JsonValue", definitions))
        self._registry = jsonschema_rs.Registry(
            [(DEFINITIONS_URI, definitions)], draft=jsonschema_rs.Draft202012
        )
        self._patterns: dict[str, jsonschema_rs.Validator] = {}
        self.accepts = self._compile(ROOT).is_valid
        self.checks: dict[Place, Callable[[JsonValue], bool]] = {ROOT: self.accepts}
        """What `check` returned so far, by place."""

    def holds(self, place: Place, value: JsonValue) -> bool:
        """Return whether a value satisfies the subschema at a place. Cost: about 0.3 µs and up."""
        return self.check(place)(value)

    def check(self, place: Place) -> Callable[[JsonValue], bool]:
        """Return what tells whether a value satisfies the subschema at a place."""
        check = self.checks.get(place)
        if check is None:
            check = self.checks[place] = self._compile(place).is_valid
        return check

    def keyword_check(self, keyword: str, expected: JsonValue) -> Callable[[JsonValue], bool]:
        """Compile one keyword that needs no other one to be judged. Keep the result."""
        if self._exact and keyword in BOUNDS:
            return partial(bound_holds, keyword, expected)
        if keyword == "pattern":
            expected = self._document.patterns[str(expected)]
        form = {keyword: engine_value(keyword, expected)}
        return _validator(form, formats=self._formats).is_valid

    def matches(self, pattern: str, name: str) -> bool:
        """Return whether a pattern of the document, as written, matches in a name."""
        part = self._patterns.get(pattern)
        if part is None:
            part = self._patterns[pattern] = _validator(
                {"pattern": self._document.patterns[pattern]}
            )
        return part.is_valid(name)

    def _compile(self, place: Place) -> jsonschema_rs.Validator:
        form = self._document.engine_form(place, guarded=self._exact)
        keywords = _EXACT_KEYWORDS if self._exact else None
        try:
            return _validator(
                form, registry=self._registry, keywords=keywords, formats=self._formats
            )
        except jsonschema_rs.ValidationError as error:
            raise SchemaError((), error.message[:200]) from error


def _validator(
    form: JsonValue,
    pattern_bytes_max: int = PATTERN_COMPILED_BYTES_MAX,
    registry: jsonschema_rs.Registry | None = None,
    keywords: dict[str, type] | None = None,
    formats: Mapping[str, Callable[[str], bool]] = {},
) -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator(
        cast("bool | dict[str, Any]", form),
        validate_formats=True,  # of those that the document kept
        formats=dict(formats),
        offline=True,
        registry=registry,
        keywords=keywords,
        pattern_options=jsonschema_rs.RegexOptions(
            size_limit=pattern_bytes_max, dfa_size_limit=_DFA_BYTES_MAX
        ),
    )
