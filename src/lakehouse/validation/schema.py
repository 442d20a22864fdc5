"""JSON Schemas from any source, compiled once, and the findings they produce.

A schema may come from anybody: its size, depth, nodes and patterns are limited before it is
compiled, it cannot make us fetch or read anything, and checking an answer is linear in the answer
for each of its subschemas. Numbers are compared by value, not as doubles.

The form of a schema finding, beyond the contract, for other runtimes:

- `path`: where the failing value stands; for a missing or an extra member, its object.
- `expected`: one member, the keyword, with its value as it stands in the schema, bytes kept, white
  space between tokens aside. `required` and `dependentRequired` give the one missing name:
  `{"required":"name"}`. `contains` failing by its count gives `minContains` or `maxContains`
  where these stand. A `false` schema gives `{"not":{}}`, which is what the standard says it is;
  but `additionalProperties` and `unevaluatedProperties` are findings of their own object.
- `got`: the bytes of the value at `path`; for an extra member its name as it stands there. Left
  out over 256 bytes. Two findings that differ only in `got` are ordered by the name.
- A union (`anyOf`, `oneOf`) whose branch the constants of a value decide gives the findings of that
  branch, or of the tag; so does an `if` that compares constants. See `schema_tags`.
- References in `expected` are replaced by what they refer to. See `schema_expected`.
- Else `if` is the keyword of a failing `then` or `else`, with the value of `if`.
- `propertyNames` and `unevaluatedItems` are one finding for the object or array.
- At most `SCHEMA_FINDINGS_MAX` findings and `SCHEMA_FINDINGS_BYTES_MAX` bytes of one answer.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property

import msgspec

from lakehouse.core.errors import Refusal
from lakehouse.core.finding import Finding, raw_evidence
from lakehouse.core.json_text import (
    ENCODER,
    LONG_NUMBER,
    JsonError,
    JsonValue,
    compact,
    parse_bytes,
    pointer,
)
from lakehouse.core.kind import FormatMode, GroundingRule, Kind
from lakehouse.core.limits import (
    PATTERNS_COMPILED_BYTES_MAX,
    SCHEMA_BYTES_MAX,
    SCHEMA_CHECKS_MAX,
    SCHEMA_EXACT_CHECKS_MAX,
    SCHEMA_FINDINGS_BYTES_MAX,
    SCHEMA_MATCHED_CHARS_MAX,
    SCHEMA_NODES_MAX,
    SCHEMAS_CACHED_BYTES_MAX,
    SCHEMAS_CACHED_MAX,
)
from lakehouse.core.suggestion import did_you_mean
from lakehouse.validation.formats import FORMATS, AssertedFormats
from lakehouse.validation.narrowing import SchemaNarrowing
from lakehouse.validation.raw_tree import Place, RawTree
from lakehouse.validation.schema_document import SchemaDocument, SchemaError
from lakehouse.validation.schema_engine import (
    SchemaEngine,
    check_against_dialect,
    pattern_cost_bytes,
)
from lakehouse.validation.schema_grounding import carried_rules, may_carry, without_keyword
from lakehouse.validation.schema_message import EXTRA, FailureWords
from lakehouse.validation.schema_places import Failure, FailureSearch
from lakehouse.validation.schema_tags import SchemaTags
from lakehouse.validation.schema_view import SchemaView

_HINT = (
    "JSON Schema 2020-12 with references inside the document and RE2 patterns of up to 256 "
    "characters."
)


class CompiledSchema:
    """One compiled schema. `cost_bytes` estimates its memory, `formats` are those asserted.

    `decoding` is the schema that models decode under: its own bytes, or others that say the same.
    `grounding` are the rules that it carries; its document and `decoding` have them no more.
    """

    formats: FormatMode = "off"
    grounding: tuple[GroundingRule, ...] = ()
    carried_types: Mapping[str, frozenset[str]] | None = None
    """What a value at each pointer of `grounding` can be; None until these are checked."""

    def __init__(
        self, document: SchemaDocument, engine: SchemaEngine, raw: bytes, nodes: int
    ) -> None:
        self.cost_bytes = len(raw) * 16
        self.decoding = msgspec.Raw(raw)
        # What one answer may cost: the engine holds the interpreter while it checks.
        self._values_max = SCHEMA_CHECKS_MAX // max(nodes, 1)
        self._text_max = SCHEMA_MATCHED_CHARS_MAX // max(document.pattern_uses, 1)
        # A value takes a byte, and its comma, bracket or colon another.
        self._checkable_bytes = min(self._values_max * 2, self._text_max)
        self.document = document
        self._engine = engine
        self._exact_engine: SchemaEngine | None = None
        self._exact_values_max = SCHEMA_EXACT_CHECKS_MAX // max(document.bound_uses, 1)
        self._tags = SchemaTags(document)
        self._searches: dict[SchemaEngine, FailureSearch] = {}
        self._words = FailureWords(document, RawTree(raw))

    @cached_property
    def narrowing(self) -> SchemaNarrowing:
        """What narrows the schema for decoding; made when a session first needs it."""
        return SchemaNarrowing(bytes(self.decoding), self.formats)

    def view(self) -> SchemaView:
        """Return what the schema allows at each place, for checks before any answer.

        Raises:
            ViewTooLarge: Here or at a later step.
        """
        return SchemaView.of(self.document, self._engine)

    def accepts(self, value: JsonValue) -> bool:
        """Return whether a value from `json_text.parse` is valid. Cost: about 1 µs for 200 bytes.

        A value that is too large for this schema is not.
        """
        values, chars, inexact = _weigh(value)
        if self._too_large(values, chars, inexact=inexact) is not None:
            return False
        return self._engine_for(inexact=inexact).accepts(value)

    def findings(self, value: JsonValue, artifact: bytes) -> tuple[Finding, ...]:
        """Return all failures, in the contract's order; empty if the value is valid.

        A value with so many members, items or characters that checking it against a schema of
        this size could take over a second is one finding `too_large`, and is not checked.

        Args:
            value: The artifact, parsed by `json_text.parse`.
            artifact: Its text without white space between tokens; `got` is taken from it.
        """
        inexact = False
        bounded = self.document.bound_uses > 0  # all else the engine compares exactly
        if len(artifact) > self._checkable_bytes or (
            bounded and LONG_NUMBER.search(artifact) is not None
        ):
            values, chars, inexact = _weigh(value)
            if (reason := self._too_large(values, chars, inexact=inexact)) is not None:
                return (Finding(code="too_large", path="", message=reason),)
        engine = self._engine_for(inexact=True) if inexact else self._engine
        if engine.accepts(value):
            return ()
        search = self._searches.get(engine)
        if search is None:
            search = FailureSearch(self.document, engine, self._tags)
            self._searches[engine] = search
        failures = search.failures(value)
        if not failures:
            return (Finding(code="schema", path="", message="the schema does not hold"),)
        return _within_bytes(self._worded(failures, RawTree(artifact)))

    def _worded(self, failures: Sequence[Failure], tree: RawTree) -> list[Finding]:
        """Make findings of failures, in the contract's order, which is that of their keys here."""
        # Two branches may hold the same keyword alike: for a reader that is one finding.
        findings: dict[tuple[str, bytes, str], Finding] = {}
        places: dict[Place, tuple[str, msgspec.Raw | msgspec.UnsetType]] = {}
        for failure in failures:
            place, name = failure.place, failure.name
            known = places.get(place)
            if known is None:
                known = places[place] = pointer(*place), raw_evidence(tree.at(place))
            path, got = known
            said = self._words.of(failure)
            key = path, said.expected, name or ""
            if key in findings:
                continue
            if name is not None and failure.keyword in EXTRA:
                got = raw_evidence(tree.name(place, name))
            findings[key] = Finding(
                code="schema", path=path, message=said.message, got=got, expected=said.raw
            )
        return [findings[key] for key in sorted(findings)]

    def _engine_for(self, *, inexact: bool) -> SchemaEngine:
        if not inexact or not self.document.bound_uses:
            return self._engine
        if self._exact_engine is None:
            self._exact_engine = SchemaEngine(self.document, exact=True)
        return self._exact_engine

    def _too_large(self, values: int, chars: int, *, inexact: bool) -> str | None:
        values_max = min(self._values_max, self._exact_values_max) if inexact else self._values_max
        if values > values_max:
            return f"{values} values; at most {values_max} are checked with this schema"
        if chars > self._text_max:
            return f"{chars} characters; at most {self._text_max} are matched with its patterns"
        return None


class SchemaCache:
    """Compiled schemas by their bytes; the least recently used is evicted first.

    Limited by count and by memory, because callers send their own schemas.
    """

    def __init__(
        self, *, count_max: int = SCHEMAS_CACHED_MAX, bytes_max: int = SCHEMAS_CACHED_BYTES_MAX
    ) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._schemas: OrderedDict[tuple[object, ...], CompiledSchema] = OrderedDict()

    def __len__(self) -> int:
        return len(self._schemas)

    def of(self, kind: Kind) -> CompiledSchema:
        """Return the compiled schema of a kind, its formats asserted as the kind says."""
        return self.get(bytes(kind.schema), kind.formats)

    def get(self, raw: bytes, formats: FormatMode = "off") -> CompiledSchema:
        """Return the compiled schema, compiling it if it is not cached.

        Raises:
            Refusal: `invalid_schema`; failures are not cached.
        """
        schema = self._schemas.get((raw, formats))
        if schema is None:
            return self.kept((raw, formats), lambda: compile_schema(raw, formats))
        self._schemas.move_to_end((raw, formats))
        return schema

    def kept(self, key: tuple[object, ...], make: Callable[[], CompiledSchema]) -> CompiledSchema:
        """Return what is kept under a key, making it if it is not; a failure is not kept.

        A key is all that the schema is made of, of no more bytes than the schema.
        """
        schema = self._schemas.get(key)
        if schema is not None:
            self._schemas.move_to_end(key)
            return schema
        schema = self._schemas[key] = make()
        self._bytes += schema.cost_bytes
        while len(self._schemas) > self._count_max or (
            self._bytes > self._bytes_max and len(self._schemas) > 1
        ):
            _, oldest = self._schemas.popitem(last=False)
            self._bytes -= oldest.cost_bytes
        return schema


def check_schema_size(raw: bytes) -> None:
    """Reject a schema that is too large, before anything else is done with it.

    Raises:
        Refusal: `invalid_schema`.
    """
    if len(raw) > SCHEMA_BYTES_MAX:
        raise _refusal(f"it takes {len(raw):,} bytes; at most {SCHEMA_BYTES_MAX:,} are allowed")


def compile_schema(raw: bytes, formats: FormatMode = "off") -> CompiledSchema:
    """Compile a JSON Schema (2020-12) that may come from anybody.

    `formats` other than `off` asserts `format`; with `all`, an unknown format is an error.

    Raises:
        Refusal: `invalid_schema`, naming the place, the value and what is allowed.

    Cost: about 0.3 ms for a schema of 1 KB.
    """
    check_schema_size(raw)
    try:
        root = parse_bytes(raw)
    except JsonError as error:
        raise _refusal(f"it is not JSON: {error}") from error
    if not isinstance(root, bool | dict):
        raise _refusal("it is neither an object nor a boolean")
    if (nodes := _count_nodes(root)) > SCHEMA_NODES_MAX:
        raise _refusal(f"it has {nodes} objects and arrays; at most {SCHEMA_NODES_MAX} are allowed")
    try:
        check_against_dialect(root)
        document = SchemaDocument(root, AssertedFormats.of(formats))
        if formats == "all":
            _check_formats(document)
        patterns_bytes = _check_patterns(document)
        engine = SchemaEngine(document)
        if may_carry(raw) and (rules := carried_rules(document, engine)):
            bare = compile_schema(without_keyword(compact(raw.decode("utf-8"))), formats)
            bare.grounding = rules
            return bare
    except SchemaError as error:
        place = pointer(*error.place)
        why = f"at {place!r}: {error}" if place else str(error)
        raise _refusal(why, error.hint or _HINT) from error
    schema = CompiledSchema(document, engine, compact(raw.decode("utf-8")), nodes)
    schema.formats = formats
    schema.cost_bytes += patterns_bytes
    return schema


def _check_formats(document: SchemaDocument) -> None:
    for place in document.formats_unknown:
        node = document.at(place[:-1])
        assert isinstance(node, dict)
        name = str(node["format"])
        raise SchemaError(
            place,
            f"the format {name!r} cannot be asserted{did_you_mean(name, sorted(FORMATS))}; "
            f"known are {', '.join(sorted(FORMATS))}",
        )


def _check_patterns(document: SchemaDocument) -> int:
    total = 0
    for pattern, engine_pattern in document.patterns.items():
        try:
            total += pattern_cost_bytes(engine_pattern)
        except SchemaError as error:
            place = document.pattern_place(pattern)
            raise SchemaError(place, f"the pattern {pattern!r} {error}") from error
        if total > PATTERNS_COMPILED_BYTES_MAX:
            place = document.pattern_place(pattern)
            raise SchemaError(
                place, f"with {pattern!r}, the patterns are too large together once compiled"
            )
    return total


def _refusal(why: str, hint: str = _HINT) -> Refusal:
    return Refusal("invalid_schema", f"The schema is not accepted: {why}.", hint=hint)


def _count_nodes(root: JsonValue) -> int:
    count = 0
    stack = [root]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            count += 1
            stack.extend(value.values())
        elif isinstance(value, list):
            count += 1
            stack.extend(value)
    return count


def _weigh(root: JsonValue) -> tuple[int, int, bool]:
    """Count the values in a value, and the characters of its strings and member names.

    And say whether one of its numbers is not held by a double.
    """
    values = chars = 0
    inexact = False
    stack = [root]
    while stack:
        value = stack.pop()
        values += 1
        if isinstance(value, str):
            chars += len(value)
        elif isinstance(value, dict):
            stack.extend(value.values())
            chars += sum(map(len, value))
        elif isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, Decimal):
            inexact = True
    return values, chars, inexact


def _within_bytes(findings: list[Finding]) -> tuple[Finding, ...]:
    """Keep the first findings that fit `SCHEMA_FINDINGS_BYTES_MAX`, and at least one."""
    room = SCHEMA_FINDINGS_BYTES_MAX
    for index, finding in enumerate(findings):
        room -= len(ENCODER.encode(finding))
        if room < 0:
            return tuple(findings[: max(index, 1)])
    return tuple(findings)
