"""Markers: values that say what a grounding rule says, and the keyword that they are."""

from typing import Annotated, Any

import msgspec
import pydantic
import pytest

from lakehouse.core.errors import SetupError
from lakehouse.output_types.markers import Grounded, Quote, Rule, ValueMarker, Within

PAIR = Grounded("airports.iata", with_={"city": "airports.city"})


@pytest.mark.parametrize(
    ("marker", "keyword"),
    [
        (Grounded("airports.iata"), {"match": "exact", "column": "airports.iata"}),
        (
            PAIR,
            {"match": "exact", "column": "airports.iata", "with": {"city": "airports.city"}},
        ),
        (
            Grounded("airports.city", match="casefold", candidates="hint"),
            {"match": "casefold", "column": "airports.city", "candidates": "hint"},
        ),
        (
            Within("parts.price", tolerance=0.5),
            {"match": "within", "column": "parts.price", "tolerance": 0.5},
        ),
        (
            Grounded("parts.price", match="within", tolerance=0),
            {"match": "within", "column": "parts.price", "tolerance": 0},
        ),
        (Quote(), {"match": "quote"}),
    ],
)
def test_a_marker_is_an_object_of_what_it_says(marker: ValueMarker, keyword: dict[str, Any]):
    assert marker.keyword() == keyword


@pytest.mark.parametrize("marker", [PAIR, Quote(), Rule("SELECT $a > 1", "a is small")])
def test_a_marker_is_a_value(marker: Any):
    """It can be compared, hashed, which unions need, and not changed."""
    assert marker == msgspec.structs.replace(marker)
    assert {marker, msgspec.structs.replace(marker)} == {marker}
    assert Annotated[str, marker] | None
    with pytest.raises(AttributeError):
        marker.column = "x"


def test_pairs_belong_to_the_marker():
    """What a caller does with its own dict afterwards changes nothing."""
    pairs = {"city": "airports.city"}
    marker = Grounded("airports.iata", with_=pairs)
    pairs["country"] = "airports.country"
    assert marker == PAIR


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Grounded("airports"), "column 'airports' must be written table.column"),
        (lambda: Grounded(".iata"), "column '.iata' must be written"),
        (lambda: Grounded(7), "Grounded(7): Expected 'str | null', got 'int'"),  # type: ignore[arg-type]  # what is tested
        (lambda: Grounded("a.b", with_={"c": "a"}), "column 'a' must be written table.column"),
        (lambda: Grounded("a.b", with_={"/c~": "a.c"}), "'/c~' is not a JSON Pointer"),
        (lambda: Grounded("a.b", with_={"c": "d.c"}), "'d.c', which is not in the table of 'a.b'"),
        (lambda: Grounded("a.b", with_=["c"]), "with_ is ['c']; it must map members to columns"),  # type: ignore[arg-type]  # what is tested
        (lambda: Grounded("a.b", match="near"), "Invalid enum value 'near'"),  # type: ignore[arg-type]  # what is tested
        (lambda: Grounded("a.b", match="quote"), "match = 'quote' allows neither column nor with"),
        (lambda: Grounded("a.b", match="within"), "tolerance belongs to match = 'within'"),
        (lambda: Grounded("a.b", tolerance=1), "tolerance belongs to match = 'within'"),
        (lambda: Within("a.b", tolerance=-1), "tolerance is -1.0; it must be"),
        (lambda: Within("a.b", tolerance=float("inf")), "tolerance is inf; it must be"),
        (lambda: Within("a.b", tolerance=float("nan")), "tolerance is nan; it must be"),
        (lambda: Grounded("a.b", candidates="on"), "Invalid enum value 'on'"),  # type: ignore[arg-type]  # what is tested
        (lambda: Rule("", "no"), "sql is ''"),
        (lambda: Rule("SELECT 1", " "), "message is ' '"),
    ],
)
def test_a_marker_that_would_check_nothing_is_refused(make: Any, told: str):
    with pytest.raises(SetupError) as caught:
        make()
    assert told in caught.value.public


def test_a_model_s_own_schema_carries_the_keyword():
    """Also one that another library asks the model for, such as an OpenAI client."""

    class Event(pydantic.BaseModel):
        airport: Annotated[str, PAIR] | None
        city: Annotated[str, Grounded("airports.city"), Quote()]
        codes: list[Annotated[str, Quote()]]

    members = Event.model_json_schema()["properties"]
    assert members["airport"]["anyOf"][0]["x-lakehouse"] == PAIR.keyword()
    assert members["city"]["x-lakehouse"] == [
        Grounded("airports.city").keyword(),
        {"match": "quote"},
    ]
    assert members["codes"]["items"]["x-lakehouse"] == {"match": "quote"}
