"""What is offered for each element of an array of objects."""

import json
from pathlib import Path
from typing import Any

from lakehouse.core.chat import SchemaLimits
from lakehouse.core.kind import GroundingRule
from support.offers import TEXT, Session, with_

NULLABLE = {"type": ["string", "null"]}
CODE = GroundingRule(path="/events/*/airport", column="t.iata")
PAIR = with_(CODE, with_={"/events/*/city": "t.city"})
APART = with_(CODE, with_={"/city": "t.city"})
QUOTE = GroundingRule(path="/events/*/quote", match="quote")


def members(airport: Any = TEXT) -> dict[str, Any]:
    """The members of an answer with events."""
    event = {"airport": airport, "city": TEXT, "quote": TEXT}
    items = {"type": "object", "properties": event, "required": list(event)}
    return {"events": {"type": "array", "items": items}}


def event(airport: Any, city: Any = "any", quote: str = "any") -> dict[str, Any]:
    return {"airport": airport, "city": city, "quote": quote}


def test_each_element_has_only_values_that_the_text_names(tmp_path: Path) -> None:
    session = Session(tmp_path, "From JFK to PHL: delayed.", CODE, members=members())
    assert session.writable(events=[])
    assert session.writable(events=[event("JFK"), event("PHL"), event("JFK")])
    assert not session.writable(events=[event("JFK"), event("LAX")])
    assert session.narrowed() == [("/events/*/airport", "t.iata", "decode", 2)]
    assert session.prompt() == ""


def test_only_pairs_of_one_row_can_be_written_in_an_element(tmp_path: Path) -> None:
    text = "JFK and PHL are closed."
    for limits in (SchemaLimits(), SchemaLimits(root_union=False)):
        session = Session(tmp_path, text, PAIR, members=members(), limits=limits)
        both = [event("PHL", "Philadelphia"), event("JFK", "New York")]
        assert session.writable(events=both)
        assert not session.writable(events=[*both, event("PHL", "New York")])
        assert [one[0] for one in session.narrowed()] == ["/events/*/airport", "/events/*/city"]
        assert session.prompt() == ""


def test_a_value_outside_the_array_has_its_column_and_the_rows_are_told(tmp_path: Path) -> None:
    """Two elements may have different rows with one city: no union could say so."""
    given = members() | {"city": TEXT}
    session = Session(tmp_path, "JFK, LGA, PHL: closed.", APART, members=given)
    two = [event("JFK"), event("LGA")]
    assert session.writable(city="New York", events=two)
    assert not session.writable(city="New York", events=[event("LAX")])
    assert not session.writable(city="Boston", events=two)
    assert session.prompt() == (
        'Rows of t that the text names: {"airport":"JFK","city":"New York"}, '
        '{"airport":"LGA","city":"New York"}, {"airport":"PHL","city":"Philadelphia"}.'
    )


def test_a_prompt_names_members_of_an_element_where_that_is_clear(tmp_path: Path) -> None:
    session = Session(tmp_path, "PHL is closed.", PAIR, members=members(), limits=None)
    assert session.prompt() == (
        'Rows of t that the text names: {"airport":"PHL","city":"Philadelphia"}.'
    )
    both = with_(PAIR, with_={"/events/*/city": "t.city", "/city": "t.city"})
    given = members() | {"city": TEXT}
    session = Session(tmp_path, "PHL is closed.", both, members=given, limits=None)
    assert session.prompt() == (
        'Rows of t that the text names: {"/events/*/airport":"PHL","/city":"Philadelphia",'
        '"/events/*/city":"Philadelphia"}.'
    )


def test_only_null_is_left_in_each_element_where_a_candidate_is_required(tmp_path: Path) -> None:
    rule = with_(CODE, candidates_required=True)
    null = members(airport=NULLABLE)
    session = Session(tmp_path, "The canteen is closed.", rule, members=null)
    assert session.writable(events=[event(None)])
    assert not session.writable(events=[event(None), event("PHL")])
    asked = Session(tmp_path, "The canteen is closed.", rule, members=null, limits=None)
    assert asked.prompt() == "The text names no value of t.iata: airport is null."


def test_the_nearest_values_of_a_rejected_element_are_offered_next(tmp_path: Path) -> None:
    wrong = json.dumps({"events": [event("LAX"), event("PHX")]})
    null = members(airport=NULLABLE)
    session = Session(tmp_path, "It is closed.", CODE, answers=2, members=null, wrong=wrong)
    [finding] = session.run.attempts[0].findings
    assert finding.path == "/events/1/airport"
    assert session.free(0)
    assert session.writable(1, events=[event("PHL"), event(None)])
    assert not session.writable(1, events=[event("PHX")])


def test_a_place_that_is_a_quote_too_gets_what_stands_in_the_text(tmp_path: Path) -> None:
    quoted = with_(QUOTE, path="/events/*/city")
    session = Session(tmp_path, "JFK New York, LAX: closed.", PAIR, quoted, members=members())
    assert session.writable(events=[event("JFK", "New York")])
    assert not session.writable(events=[event("LAX", "Los Angeles")])


def test_sentences_are_offered_in_each_element(tmp_path: Path) -> None:
    rule = with_(QUOTE, candidates="decode")
    session = Session(tmp_path, "PHL is closed. Snow.", rule, members=members())
    assert session.writable(events=[event("x", quote="PHL is closed."), event("x", quote="Snow.")])
    assert not session.writable(events=[event("x", quote="closed")])
