"""Grounding of arrays of objects: `*` in a pointer is each element."""

import asyncio
import json
from typing import Any

import pytest

from lakehouse.core.json_text import parse_bytes
from lakehouse.core.kind import GroundingRule
from lakehouse.core.limits import GROUNDING_FINDINGS_MAX
from lakehouse.grounding.check import check_grounding, values_at
from lakehouse.grounding.inline import InlineTables
from support.grounding import ground, kind_of, raw_rows

AIRPORTS: dict[str, list[dict[str, Any]]] = {
    "airports": [
        {"iata": "ZRH", "city": "Zürich", "runways": 3},
        {"iata": "BSL", "city": "Basel", "runways": 2},
        {"iata": "LHR", "city": "London", "runways": 2},
        {"iata": "LGW", "city": "London", "runways": 1},
    ]
}


def rule(path: str, **with_: str) -> GroundingRule:
    """A rule on codes; `with_` are the pointers to a city, to the runways."""
    columns = {"city": "airports.city", "runways": "airports.runways"}
    pairs = {at: columns[name] for name, at in with_.items()}
    return GroundingRule(path=path, column="airports.iata", with_=pairs)


def places(answer: Any, *rules: GroundingRule) -> list[tuple[str, Any]]:
    """What is found in an answer: each path with its evidence."""
    found = ground(rules, json.dumps(answer).encode(), AIRPORTS).findings
    return [(one.path, json.loads(bytes(one.got)) if one.got else None) for one in found]


def event(airport: Any, city: Any = None, **more: Any) -> dict[str, Any]:
    return {"airport": airport, "city": city, **more}


EVENTS = rule("/events/*/airport", city="/events/*/city")


def test_each_element_is_judged_at_its_own_place() -> None:
    answer = {"events": [event("ZRH"), event("XXX"), event(None), {}, event("YYY")]}
    assert places(answer, EVENTS) == [("/events/1/airport", "XXX"), ("/events/4/airport", "YYY")]


def test_an_array_may_be_the_root() -> None:
    assert places([event("ZRH"), event("XXX")], rule("/*/airport")) == [("/1/airport", "XXX")]
    assert places(["ZRH", "XXX"], rule("/*")) == [("/1", "XXX")]


@pytest.mark.parametrize("answer", [{}, {"events": []}, {"events": [None, 3, "x", []]}, [], 3])
def test_an_answer_without_such_a_value_is_not_judged(answer: Any) -> None:
    assert not ground([EVENTS], json.dumps(answer).encode(), AIRPORTS).applied


def test_the_value_beside_is_the_one_of_the_same_element() -> None:
    answer = {"events": [event("ZRH", "Basel"), event("BSL", "Basel"), event("LHR", "Basel")]}
    assert places(answer, EVENTS) == [("/events/0/city", "Basel"), ("/events/2/city", "Basel")]


def test_an_element_without_the_value_beside_takes_none_of_its_neighbours() -> None:
    answer = {"events": [event("ZRH"), event("BSL", "Basel"), {"airport": "LHR"}]}
    assert places(answer, EVENTS) == []


def test_several_levels_pair_level_by_level() -> None:
    deep = rule("/days/*/legs/*/airport", city="/days/*/legs/*/city", runways="/days/*/runways")
    day = {"runways": 2, "legs": [event("BSL", "Basel"), event("LHR", "London")]}
    assert places({"days": [day, day]}, deep) == []
    other = {"runways": 1, "legs": [event("LGW", "London"), event("LHR", "Basel")]}
    assert places({"days": [day, other]}, deep) == [
        ("/days/1/legs/1/city", "Basel"),
        ("/days/1/runways", 1),
    ]


def test_a_value_outside_the_array_goes_with_every_element() -> None:
    shared = rule("/events/*/airport", city="/city")
    answer = {"city": "London", "events": [event("LHR"), event("LGW"), event("ZRH")]}
    assert places(answer, shared) == [("/city", "London")]


def test_plain_arrays_within_an_element_pair_by_index() -> None:
    inner = rule("/days/*/codes", city="/days/*/cities")
    days = [
        {"codes": ["ZRH", "BSL"], "cities": ["Zürich", "Basel"]},
        {"codes": ["BSL", "ZRH"], "cities": ["Zürich", "Zürich", "x"]},
    ]
    assert places({"days": days}, inner) == [("/days/1/cities/0", "Zürich")]


@pytest.mark.parametrize("path", ["/codes", "/codes/*"])
@pytest.mark.parametrize("beside", ["/cities", "/cities/*"])
def test_a_last_star_is_the_array_at_its_end(path: str, beside: str) -> None:
    answer = {"codes": ["ZRH", "BSL", "LHR"], "cities": ["Zürich", "London"]}
    assert places(answer, rule(path, city=beside)) == [("/cities/1", "London")]


def test_a_star_of_another_array_chooses_no_element_and_nothing_passes_by_it() -> None:
    answer = {"events": [event("LHR")], "stays": [event(None, "London")]}
    apart = rule("/events/*/airport", city="/stays/*/city")
    assert places(answer, apart) == [("/stays", answer["stays"])]
    nested = rule("/codes/*", city="/cities/*")
    lists = {"codes": [["LHR"]], "cities": [["London"]]}
    assert places(lists, nested) == [("/cities/0", ["London"])]


def test_of_an_object_a_star_is_the_member_of_that_name() -> None:
    answer = {"events": {"*": event("ZRH", "Basel"), "0": event("XXX")}}
    assert places(answer, EVENTS) == [("/events/*/city", "Basel")]
    mixed = {"events": [{"*": "ZRH"}, {"*": ["XXX"]}]}
    assert places(mixed, rule("/events/*/*")) == [("/events/1/*/0", "XXX")]


def test_escaped_names_stay_escaped_in_the_path() -> None:
    answer = {"a/b": [{"~": "XXX"}]}
    assert places(answer, rule("/a~1b/*/~0")) == [("/a~1b/0/~0", "XXX")]


def test_quotes_are_judged_in_each_element() -> None:
    quote = GroundingRule(path="/events/*/quote", match="quote")
    raw = b'{"events":[{"quote":"was late"},{"quote":"was early"}]}'
    found = ground([quote], raw, {}, ["The train was late."]).findings
    assert [one.path for one in found] == ["/events/1/quote"]


def test_evidence_has_the_bytes_of_its_own_element() -> None:
    raw = rb'{"events": [ {"airport": "\u005aRH"}, {"airport" : "\u005aRX"} ]}'
    [found] = ground([EVENTS], raw, AIRPORTS).findings
    assert bytes(found.got or b"") == rb'"\u005aRX"'


# --- Large answers ------------------------------------------------------------------------------


async def judged(answer: Any, rules: list[GroundingRule]) -> tuple[int, int]:
    """How many findings there are, and how many turns others had in the meantime."""
    raw = json.dumps(answer).encode()
    source = InlineTables({name: raw_rows(rows) for name, rows in AIRPORTS.items()})
    snapshot = await source.snapshot(kind_of(rules))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    result = await check_grounding(rules, parse_bytes(raw), raw, (), snapshot)
    task.cancel()
    return len(result.findings), turns


@pytest.mark.parametrize("last", [[], [event("XXX")]])
def test_others_run_while_a_large_answer_is_judged(last: list[Any]) -> None:
    events = [event("LHR", "London")] * 20_000
    found, turns = asyncio.run(judged({"events": events + last}, [EVENTS]))
    assert found == len(last)
    assert turns > 10


@pytest.mark.parametrize("path", ["/events/*/airport", "/events"])
def test_no_more_findings_are_looked_for_than_may_be_told(path: str) -> None:
    values = [event("XXX")] * 50_000
    found, turns = asyncio.run(judged({"events": values}, [rule(path), rule("/events/*/city")]))
    assert found == GROUNDING_FINDINGS_MAX
    assert turns < 2 * GROUNDING_FINDINGS_MAX


def test_places_are_found_one_by_one() -> None:
    found = iter(values_at({"events": [event("A"), event("B")]}, "/events/*/airport"))
    assert next(found).path == "/events/0/airport"
    assert next(found).path == "/events/1/airport"
