"""Narrowing: laws that hold for any schema, candidates and answer."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.core.chat import SchemaLimits
from lakehouse.core.errors import Refusal
from lakehouse.core.json_text import pointer_parts
from lakehouse.validation.flat_schema import FlatSchema
from lakehouse.validation.narrowed_places import NarrowedPlaces
from lakehouse.validation.narrowing import Candidates, NarrowedSchema, SchemaNarrowing
from lakehouse.validation.schema import compile_schema
from support.narrowing import EVENT, PAIRS
from support.narrowing import one as rule_of
from support.narrowing_cases import PLACE_CASES
from support.narrowing_pair_cases import ROW_CASES

NAMES = ["a", "b"]
VALUES = ["x", "yy", "z", 1, 2.5, True, None]
PLACES = ["/a", "/b", "/a/a", "/a/b", "/b/a", "/a/0", "/b/0/a", ""]
EACH = [["/a/*"], ["/*"], ["/a/*/a"], ["/a/*/*"], ["/a/*/a", "/a/*/b"], ["/*/a", "/*/b", "/b"]]
EACH += [["/a/*/a", "/b"], ["/a/*/a", "/a/*/b", "/b"], ["/a/*/*/a", "/a/*/*/b", "/a/*/b"]]
OPTIONS = settings(max_examples=400)

scalars = st.sampled_from(VALUES)
texts = st.sampled_from(["x", "yy", "z"])
leaves: st.SearchStrategy[Any] = st.sampled_from(
    [
        {"type": "string"},
        {"type": ["string", "null"], "description": "noted"},
        {"type": "string", "maxLength": 1},
        {"pattern": "^[xz]$"},
        {"enum": ["x", "yy", 1, None]},
        {"const": "z"},
        {"type": "number", "minimum": 2},
        {"type": "integer"},
        {"type": ["boolean", "string"]},
        {"$ref": "#/$defs/text"},
        {"$ref": "#/$defs/text", "maxLength": 1},
        {"$ref": "#/$defs/object"},
        {"$ref": "#/properties/a"},
        {"$ref": "#"},
        {},
        True,
        False,
    ]
)


def _branching(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    members = st.dictionaries(st.sampled_from(NAMES), inner, min_size=1, max_size=2)
    required = st.lists(st.sampled_from(NAMES), unique=True)
    objects = st.fixed_dictionaries(
        {"properties": members},
        optional={
            "type": st.sampled_from(["object", ["object", "null"]]),
            "required": required,
            "additionalProperties": st.just(False) | inner,
            "patternProperties": st.fixed_dictionaries({"^b": inner}),
            "unevaluatedProperties": st.just(False),
            "not": st.fixed_dictionaries({"properties": members, "required": required}),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "$ref": st.just("#/$defs/object"),
        },
    )
    arrays = st.fixed_dictionaries(
        {"items": inner},
        optional={
            "type": st.sampled_from(["array", ["array", "string"]]),
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "maxItems": st.integers(1, 2),
            "minItems": st.just(1),
            "uniqueItems": st.just(True),
            "contains": inner,
        },
    )
    unions = st.sampled_from(["anyOf", "oneOf", "allOf"]).flatmap(
        lambda keyword: st.fixed_dictionaries(
            {keyword: st.lists(inner, min_size=1, max_size=3)}, optional={"title": st.just("t")}
        )
    )
    return objects | arrays | unions


parts = st.recursive(leaves, _branching, max_leaves=8)
roots = st.fixed_dictionaries(
    {"properties": st.fixed_dictionaries({"a": parts, "b": parts})},
    optional={
        "type": st.just("object"),
        "required": st.lists(st.sampled_from(NAMES), unique=True),
        "additionalProperties": st.just(False),
        "oneOf": st.lists(parts, min_size=1, max_size=2),
        "allOf": st.lists(parts, min_size=1, max_size=2),
    },
) | _branching(parts).map(lambda root: {"properties": {"a": True}} | root)
definitions = st.fixed_dictionaries(
    {"text": texts.map(lambda _: {"type": "string"}), "object": parts}
)
schemas = st.tuples(roots, definitions).map(lambda pair: {**pair[0], "$defs": pair[1]})
answers = (
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            NAMES,
            st.recursive(
                scalars,
                lambda inner: (
                    st.lists(inner, max_size=2)
                    | st.fixed_dictionaries({}, optional=dict.fromkeys([*NAMES, "c"], inner))
                ),
                max_leaves=4,
            ),
        ),
    )
    | st.lists(scalars, max_size=2)
    | scalars
)


@st.composite
def rules(draw: st.DrawFn) -> Candidates:
    chosen = st.lists(st.sampled_from(PLACES), min_size=1, max_size=3, unique=True)
    usual = [["/a"], ["/a", "/b"], ["/b", "/a"]]
    places = draw(st.sampled_from(usual) | chosen | st.sampled_from(EACH))
    rows = draw(st.lists(st.tuples(*(scalars for _ in places)), min_size=1, max_size=5))
    return Candidates(
        tuple((at, f"t.c{n}") for n, at in enumerate(places)), tuple(rows), draw(st.booleans())
    )


def compiled(schema: Any) -> Any:
    try:
        return compile_schema(json.dumps(schema).encode())
    except Refusal:  # a reference loop, say
        return None


def resolve(answer: Any, at: str) -> Any:
    for part in pointer_parts(at):
        if isinstance(answer, dict):
            answer = answer.get(part)
        elif isinstance(answer, list) and part.isdigit():
            answer = answer[int(part)] if int(part) < len(answer) else None
        else:
            return None
    return answer


def same(left: Any, right: Any) -> bool:
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def each_element(answer: Any, places: list[str], start: int = 1) -> Iterator[list[str]]:
    """Write the index of each element for each `*` of the main place that is in an array."""
    parts = places[0].split("/")
    at = next((n for n, part in enumerate(parts) if n >= start and part == "*"), None)
    if at is None:
        yield places
        return
    above = "/".join(parts[:at])
    found = resolve(answer, above)
    if not isinstance(found, list):
        yield from each_element(answer, places, at + 1)
        return
    for n in range(len(found)):
        inner = [
            f"{above}/{n}{one[len(above) + 2 :]}" if f"{one}/".startswith(f"{above}/*/") else one
            for one in places
        ]
        yield from each_element(answer, inner, at + 1)


def given_only(answer: Any, rule: Candidates) -> bool:
    """Tell whether `given_at` holds for each element that a `*` of the main place stands for."""
    places = [at for at, _ in rule.places]
    given = [given_at(answer, rule, one) for one in each_element(answer, places)]
    return all(given) if given else all(resolve(answer, at) is None for at in places[1:])


def given_at(answer: Any, rule: Candidates, places: list[str]) -> bool:
    """Tell whether the places hold values of one row, or of one row for each element.

    Elements that no main value stands beside are of their column. Without any main value there
    are no others: a null there leaves them free, which the tables of cases hold.
    """
    main, *others = (resolve(answer, at) for at in places)
    mains = main if isinstance(main, list) else [main]
    if not any(one is not None for one in mains):
        return all(one is None for one in others)
    for index in range(max(len(one) if isinstance(one, list) else 1 for one in (mains, *others))):
        values = [
            (one[index] if index < len(one) else None) if isinstance(one, list) else one
            for one in (mains, *others)
        ]
        if not any(
            all(value is None or same(value, cell) for cell, value in zip(row, values, strict=True))
            for row in rule.rows
        ):
            return False
    return True


@pytest.mark.slow
@OPTIONS
@given(
    schemas, st.lists(rules(), min_size=1, max_size=2), st.lists(answers, min_size=10, max_size=40)
)
def test_a_narrowed_schema_accepts_nothing_new_and_all_that_was_given(schema, given_rules, tries):
    """In any combination of unions, references, arrays, conditions and rules."""
    original = compiled(schema)
    if original is None:
        return
    done = SchemaNarrowing(json.dumps(schema).encode()).narrow(given_rules)
    narrowed = compile_schema(done.schema)
    assert bool(done.narrowed) is (done.schema != json.dumps(schema).encode())
    for answer in tries:
        if narrowed.accepts(answer):
            assert original.accepts(answer), (done, answer)
        elif original.accepts(answer):
            assert not all(given_only(answer, rule) for rule in given_rules), (done, answer)


@st.composite
def lists(draw: st.DrawFn) -> tuple[Any, Candidates, list[Any]]:
    """A schema of a list of objects, rows for its elements, and lists of objects of such rows."""
    few = st.sampled_from([{"type": "string"}, {"type": ["string", "null"]}, {"maxLength": 1}, {}])
    element = st.fixed_dictionaries(
        {"type": st.just("object"), "properties": st.fixed_dictionaries({"a": few, "b": few})},
        optional={
            "required": st.lists(st.sampled_from(NAMES), unique=True),
            "additionalProperties": st.just(False),
        },
    )
    found = st.fixed_dictionaries(
        {"type": st.just("array"), "items": element},
        optional={
            "prefixItems": st.lists(element, min_size=1, max_size=2),
            "minItems": st.integers(0, 3),
            "uniqueItems": st.just(True),
        },
    )
    whole = st.fixed_dictionaries({"properties": st.fixed_dictionaries({"a": found, "b": few})})
    places = draw(st.sampled_from([one for one in EACH if one[0] == "/a/*/a"]))
    values = st.sampled_from(["x", "yy", "z", None])
    given_rows = draw(st.lists(st.tuples(*(values for _ in places)), min_size=1, max_size=4))
    rule = Candidates(tuple((at, f"t.c{n}") for n, at in enumerate(places)), tuple(given_rows))
    cells = dict.fromkeys(places, values)
    one_row = st.sampled_from([*given_rows, *draw(st.lists(st.tuples(*cells.values())))])
    objects = one_row.map(lambda row: dict(zip(["a", "b"], row, strict=False)))
    tries = st.fixed_dictionaries({"a": st.lists(objects, max_size=3), "b": values})
    return draw(whole), rule, draw(st.lists(tries, min_size=10, max_size=40))


@OPTIONS
@given(lists())
def test_both_laws_hold_for_lists_of_objects(case):
    schema, rule, tries = case
    original = compile_schema(json.dumps(schema).encode())
    narrowed = compile_schema(SchemaNarrowing(json.dumps(schema).encode()).narrow([rule]).schema)
    for answer in tries:
        if narrowed.accepts(answer):
            assert original.accepts(answer)
        elif original.accepts(answer):
            assert not given_only(answer, rule)


# --- A plain object is written in one go --------------------------------------------------------

flat_schemas = st.tuples(
    st.fixed_dictionaries(
        {
            "type": st.just("object"),
            "properties": st.fixed_dictionaries({"a": leaves}, optional={"b": parts, "c": parts}),
        },
        optional={
            "title": st.just("T"),
            "$comment": st.just("none"),
            "required": st.lists(st.sampled_from(NAMES), unique=True),
            "additionalProperties": st.just(False) | parts,
            "default": st.just({"enum": ["x"]}),
        },
    ),
    definitions,
).flatmap(
    lambda pair: st.permutations(list(pair[0])).map(
        lambda order: {**{name: pair[0][name] for name in order}, "$defs": pair[1]}
    )
)
limits = st.none() | st.builds(
    SchemaLimits,
    values_max=st.none() | st.integers(1, 12),
    characters_max=st.none() | st.integers(1, 12),
    bytes_max=st.none() | st.integers(100, 600),
    root_union=st.booleans(),
)


def in_both_ways(schema: Any, given_rules: list[Candidates], most: Any) -> list[NarrowedSchema]:
    raw = json.dumps(schema).encode()
    found = [SchemaNarrowing(raw).narrow(given_rules, most)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FlatSchema, "of", lambda *_: None)
        return [*found, SchemaNarrowing(raw).narrow(given_rules, most)]


@OPTIONS
@given(flat_schemas, st.lists(rules(), min_size=1, max_size=3), limits)
def test_a_plain_object_is_written_as_any_other_schema(schema, given_rules, most):
    if compiled(schema) is not None:
        at_once, step_by_step = in_both_ways(schema, given_rules, most)
        assert at_once == step_by_step


@pytest.mark.parametrize("name", PLACE_CASES | ROW_CASES)
def test_each_case_is_written_the_same_in_both_ways(name: str) -> None:
    schema, given_rules, _, _ = (PLACE_CASES | ROW_CASES)[name]
    at_once, step_by_step = in_both_ways(schema, given_rules, None)
    assert at_once == step_by_step


def test_the_usual_schema_is_written_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    narrowing = SchemaNarrowing(json.dumps(EVENT).encode())
    monkeypatch.delattr(NarrowedPlaces, "rewrite")
    for given_rules in ([PAIRS], [rule_of("/airport", "OSL")], [PAIRS, rule_of("/note", "n")]):
        assert narrowing.narrow(given_rules).narrowed
