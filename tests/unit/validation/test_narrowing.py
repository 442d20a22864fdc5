"""Narrowing by table: a schema, candidates, and what the narrowed schema then accepts."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from lakehouse.core.chat import SchemaLimits
from lakehouse.core.json_text import parse_bytes
from lakehouse.core.kind import FormatMode, digest_of
from lakehouse.core.schema_weight import SchemaWeight
from lakehouse.core.session import Narrowed
from lakehouse.providers.llama_cpp import LlamaCppProvider, LlamaCppSettings
from lakehouse.providers.strict_schema import may_be_strict
from lakehouse.providers.weights import SMOLLM2
from lakehouse.validation.narrowing import (
    Candidates,
    NarrowedSchema,
    SchemaNarrowing,
)
from lakehouse.validation.schema import compile_schema
from lakehouse.validation.schema_choices import STEPS_MAX
from support.chat import question
from support.narrowing import (
    CODE,
    EVENT,
    NULLABLE,
    PAIRS,
    REF,
    SHARED,
    TEXT,
    closed,
    event,
    one,
    rows,
)
from support.narrowing_cases import PLACE_CASES
from support.narrowing_pair_cases import ROW_CASES
from support.weights import pulled_weights


def narrow(
    schema: Any,
    *candidates: Candidates,
    limits: SchemaLimits | None = None,
    formats: FormatMode = "off",
) -> NarrowedSchema:
    return SchemaNarrowing(json.dumps(schema).encode(), formats).narrow(candidates, limits)


CASES = PLACE_CASES | ROW_CASES


@pytest.mark.parametrize("name", CASES)
def test_the_narrowed_schema_accepts_only_what_was_given(name: str) -> None:
    """And the schema itself accepts all of both lists."""
    schema, candidates, accepted, refused = CASES[name]
    formats: FormatMode = "known" if name == "dates" else "off"
    whole = compile_schema(json.dumps(schema).encode(), formats)
    found = narrow(schema, *candidates, formats=formats)
    narrowed = compile_schema(found.schema, formats)
    for answer in accepted:
        assert whole.accepts(answer)
        assert narrowed.accepts(answer), found.schema
    for answer in refused:
        assert whole.accepts(answer)
        assert not narrowed.accepts(answer), found.schema


@pytest.mark.parametrize(
    ("schema", "candidates", "left"),
    [
        (closed(a=TEXT), one("/b", "x"), (("/b", "no_place"),)),
        (closed(a=TEXT), one("/a"), (("/a", "no_valid_value"),)),
        (closed(a=CODE), one("/a", "x"), (("/a", "no_valid_value"),)),
        (
            closed(a={"type": "array", "items": closed(b=TEXT)}),
            one("/a/0/b", "x"),
            (("/a/0/b", "not_expressible"),),
        ),
        (
            {
                "properties": {"b": TEXT},
                "anyOf": [
                    {"properties": {"a": {"type": "integer"}}},
                    {
                        "oneOf": [
                            {"properties": {"a": TEXT}},
                            {"properties": {"a": {"type": "null"}}},
                        ]
                    },
                ],
            },
            rows("/a /b", (1, "z"), (2, "y")),
            (("/a", "not_expressible"), ("/b", "not_expressible")),
        ),
    ],
)
def test_a_place_that_stays_says_why_and_the_schema_keeps_its_bytes(
    schema: Any, candidates: Candidates, left: Any
) -> None:
    """So a caller can hint instead."""
    found = narrow(schema, candidates)
    assert found.left == left
    assert found.narrowed == ()
    assert found.schema == json.dumps(schema).encode()


def test_each_narrowed_place_has_its_record() -> None:
    """The number and digest of the values that the schema let stand, each once."""
    found = narrow(EVENT, rows("/airport /city", ("OSL", "Oslo"), ("GEN", "Oslo"), (7, "Bergen")))
    assert found.narrowed == (
        Narrowed(
            path="/airport",
            column="t.c0",
            mode="decode",
            candidates=2,
            digest=digest_of(["OSL", "GEN"]),
        ),
        Narrowed(
            path="/city", column="t.c1", mode="decode", candidates=1, digest=digest_of(["Oslo"])
        ),
    )


def test_the_form_is_what_decoders_obey() -> None:
    """A plain enum with its type, constants in whole objects, nothing beside an anyOf."""
    schema = json.loads(narrow(closed(a={**NULLABLE, "title": "T"}), one("/a", "x")).schema)
    assert schema["properties"]["a"] == {
        "title": "T",
        "type": ["string", "null"],
        "enum": ["x", None],
    }
    pairs = json.loads(narrow({**EVENT, "title": "E"}, PAIRS).schema)
    assert pairs.keys() == {"title", "anyOf"}
    assert pairs["anyOf"][0] == EVENT | {
        "properties": {
            "airport": {"type": "string", "const": "OSL"},
            "city": {"type": ["string", "null"], "enum": ["Oslo", None]},
            "note": TEXT,
        }
    }


def test_definitions_that_nothing_needs_any_more_are_left_out() -> None:
    """They would count against the limits."""
    schema = closed(a=REF, b={"$ref": "#/$defs/d"}) | {"$defs": {"d": TEXT, **SHARED}}
    assert json.loads(narrow(schema, one("/a", "OSL")).schema)["$defs"] == {"d": TEXT}


def test_strict_mode_still_takes_a_schema_that_it_took() -> None:
    """Where the root may be no union, each place has the values of its column."""
    strict = narrow(EVENT, PAIRS, limits=SchemaLimits(root_union=False))
    assert may_be_strict(json.dumps(EVENT).encode())
    assert may_be_strict(strict.schema)
    assert not compile_schema(strict.schema).accepts(event("TRD", "Oslo"))
    assert compile_schema(strict.schema).accepts(event("OSL", "Bergen"))
    below = narrow(closed(e=EVENT), rows("/e/airport /e/city", ("A", "B"), ("C", "D")))
    assert may_be_strict(below.schema)
    assert not compile_schema(below.schema).accepts({"e": event("A", "D")})


def test_narrowing_never_takes_a_schema_out_of_strict_mode() -> None:
    """Providers decide it by the kind's schema, which does not change with every text."""
    strict = []
    for name, (schema, candidates, _, _) in CASES.items():
        if may_be_strict(json.dumps(schema).encode()):
            found = narrow(schema, *candidates, limits=SchemaLimits(root_union=False))
            assert may_be_strict(found.schema), name
            strict.append(found)
    assert sum(bool(found.narrowed) for found in strict) > 20


@pytest.mark.parametrize(
    "limits",
    [
        SchemaLimits(values_max=3),
        SchemaLimits(characters_max=8),
        SchemaLimits(bytes_max=230),
    ],
)
def test_where_all_is_too_much_the_fewest_candidates_come_first(limits: SchemaLimits) -> None:
    """The others are left, and say so."""
    many = one("/a", *(f"{n:06}" for n in range(20)))
    found = narrow(closed(a=TEXT, b=TEXT), many, one("/b", "x", "y"), limits=limits)
    assert [record.path for record in found.narrowed] == ["/b"]
    assert found.left == (("/a", "over_limits"),)
    assert fits(found.schema, limits)
    assert not fits(narrow(closed(a=TEXT, b=TEXT), many).schema, limits)


def fits(raw: bytes, limits: SchemaLimits) -> bool:
    return SchemaWeight.of(parse_bytes(raw)).fits(len(raw), limits)


def test_limits_count_the_values_that_the_schema_has_itself() -> None:
    """A provider counts them too."""
    schema = closed(a=TEXT, b={"enum": ["1", "2", "3"]})
    assert narrow(schema, one("/a", "x"), limits=SchemaLimits(values_max=4)).narrowed
    tight = narrow(schema, one("/a", "x"), limits=SchemaLimits(values_max=3))
    assert tight.left == (("/a", "over_limits"),)


def test_one_schema_is_narrowed_again_and_again() -> None:
    """Nothing of one text stays for the next."""
    narrowing = SchemaNarrowing(json.dumps(EVENT).encode())
    first = narrowing.narrow([PAIRS])
    assert narrowing.narrow([one("/airport", "TRD")]).narrowed[0].candidates == 1
    assert narrowing.narrow([PAIRS]) == first


def test_a_schema_is_narrowed_without_end() -> None:
    """What looking at a schema may cost is not used up by the values of many texts."""
    narrowing = SchemaNarrowing(json.dumps(closed(a={"type": "array", "items": CODE})).encode())
    many = one("/a", *(f"x{n}" for n in range(1_000)), "OSL")
    for _ in range(2 + STEPS_MAX // 1_000):
        assert narrowing.narrow([many]).narrowed[0].candidates == 1


@pytest.mark.model
@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("whole", [True, False])
def test_the_embedded_model_writes_one_of_two_real_pairs(whole: bool, listed: bool) -> None:
    """Although the text speaks of neither; without narrowing it writes something else."""
    pulled_weights()
    schema, places = closed(airport=TEXT, city=TEXT), "/airport /city"
    if listed:
        events = {"type": "array", "minItems": 2, "maxItems": 2, "items": schema}
        schema, places = closed(events=events), "/events/*/airport /events/*/city"
    found = narrow(schema, rows(places, ("QQX", "Zuzwil"), ("QQY", "Wabern")))

    async def run() -> Any:
        provider = LlamaCppProvider("small", LlamaCppSettings(model=SMOLLM2, slots=1))
        try:
            await provider.load()
            request = question(
                "Flight SK123 from Oslo is delayed. Give airport and city as JSON.",
                schema=json.dumps(schema).encode() if whole else found.schema,
            )
            request = msgspec.structs.replace(request, max_tokens=90, temperature=0.0, seed=1)
            reply = await provider.complete(request, trace={}, deadline_ms=90_000)
            return json.loads(reply.text)
        finally:
            await provider.close()

    answer = asyncio.run(run())
    real = [{"airport": "QQX", "city": "Zuzwil"}, {"airport": "QQY", "city": "Wabern"}]
    written = answer["events"] if listed else [answer]
    assert len(written) == 1 + listed
    assert [one in real for one in written] == [not whole] * len(written)
