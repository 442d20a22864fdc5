"""Types as schemas: every kind of class, one form, with what its markers mean."""

import dataclasses
import datetime as dt
import enum
from collections.abc import Sequence
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    NotRequired,
    TypedDict,
    TypeVar,
)

import msgspec
import pydantic
import pytest

from lakehouse.core.kind import GroundingRule, SqlRule
from lakehouse.output_types.markers import Grounded, Quote, Rule
from lakehouse.output_types.output_type import output_type
from lakehouse.validation.schema import compile_schema

T = TypeVar("T")
Iata = Annotated[str, Grounded("airports.iata", with_={"city": "airports.city"})]
Quoted = Annotated[str, Quote()]
RULE = Rule("SELECT length($quote) > 3", "quote more")


class Delay(enum.Enum):
    LONG = "long"
    SHORT = "short"


class ModelEvent(pydantic.BaseModel):
    airport: Iata
    city: str
    quote: Quoted
    lakehouse_rules: ClassVar = [RULE]


@dataclasses.dataclass
class DataEvent:
    airport: Iata
    city: str
    quote: Quoted
    lakehouse_rules: ClassVar = [RULE]


class StructEvent(msgspec.Struct):
    airport: Iata
    city: str
    quote: Quoted
    lakehouse_rules: ClassVar = [RULE]


class DictEvent(TypedDict):
    airport: Iata
    city: str
    quote: Quoted


PAIR = GroundingRule(path="/airport", column="airports.iata", with_={"/city": "airports.city"})
QUOTE = GroundingRule(path="/quote", match="quote")
EVENTS = [ModelEvent, DataEvent, StructEvent, Annotated[DictEvent, RULE]]


def schema_of(type_: Any) -> Any:
    made = output_type(type_)
    compile_schema(made.schema)
    return msgspec.json.decode(made.schema)


@pytest.mark.parametrize("type_", EVENTS)
def test_one_type_has_one_schema_whatever_class_it_is(type_: Any):
    assert schema_of(type_) == {
        "type": "object",
        "properties": {
            "airport": {
                "type": "string",
                "x-lakehouse": {
                    "match": "exact",
                    "column": "airports.iata",
                    "with": {"city": "airports.city"},
                },
            },
            "city": {"type": "string"},
            "quote": {"type": "string", "x-lakehouse": {"match": "quote"}},
        },
        "required": ["airport", "city", "quote"],
    }
    assert list(schema_of(type_)["properties"]) == ["airport", "city", "quote"]


class Unsorted(TypedDict):
    zone: str
    airport: NotRequired[str]
    city: str


def test_members_stand_in_the_order_of_the_class():
    """A model writes them in that order, so what comes first can be a reason for what follows."""
    made = schema_of(Unsorted)
    assert list(made["properties"]) == ["zone", "airport", "city"]
    assert made["required"] == ["zone", "city"]


@pytest.mark.parametrize("type_", EVENTS)
def test_markers_mean_rules(type_: Any):
    made = output_type(type_)
    assert made.grounding == (PAIR, QUOTE)
    assert made.rules == (SqlRule(RULE.sql, RULE.message),)
    assert not made.wrapped


@pytest.mark.parametrize("type_", [ModelEvent, DataEvent, StructEvent])
def test_an_event_in_a_list_in_a_member(type_: Any):
    """The rules of a class judge whole answers, so an event without them stands in the list."""
    bare = pydantic.create_model("Bare", airport=Iata, city=str) if type_ is ModelEvent else None
    inner = bare or dataclasses.make_dataclass("Bare", [("airport", Iata), ("city", str)])
    outer = dataclasses.make_dataclass("Day", [("events", list[inner])])  # type: ignore[valid-type]  # a class at run time
    [rule] = output_type(outer).grounding
    assert (rule.path, rule.with_) == ("/events/*/airport", {"/events/*/city": "airports.city"})


@pytest.mark.parametrize(
    ("type_", "inner"),
    [
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (Sequence[str], {"type": "array", "items": {"type": "string"}}),
        (int, {"type": "integer"}),
        (str | None, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        (
            int | list[str],
            {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "string"}}]},
        ),
        (Literal["a", "b"], {"enum": ["a", "b"]}),
        (dt.date, {"type": "string", "format": "date"}),
        (dt.datetime, {"type": "string", "format": "date-time"}),
        (dt.time, {"type": "string", "format": "time"}),
        (Annotated[dt.datetime, msgspec.Meta(tz=False)], {"type": "string"}),
        (Quoted, {"type": "string", "x-lakehouse": {"match": "quote"}}),
        (
            {"type": "array", "items": {"type": "string"}},
            {"type": "array", "items": {"type": "string"}},
        ),
    ],
)
def test_a_root_that_is_no_object_is_the_member_of_one(type_: Any, inner: Any):
    assert output_type(type_).wrapped
    assert schema_of(type_) == {
        "type": "object",
        "properties": {"result": inner},
        "required": ["result"],
        "additionalProperties": False,
    }


def test_pointers_of_a_wrapped_root_have_its_member():
    assert [rule.path for rule in output_type(list[Quoted]).grounding] == ["/result/*"]
    assert [rule.path for rule in output_type(list[list[Quoted]]).grounding] == ["/result/*/*"]


def test_a_map_is_an_object():
    assert schema_of(dict[str, int]) == {
        "type": "object",
        "additionalProperties": {"type": "integer"},
    }


def test_enums_and_literals_are_their_values():
    @dataclasses.dataclass
    class Event:
        delay: Delay
        way: Literal["in", "out"]

    made = schema_of(Event)
    assert made["$defs"] == {"Delay": {"enum": ["long", "short"]}}
    assert made["properties"] == {
        "delay": {"$ref": "#/$defs/Delay"},
        "way": {"enum": ["in", "out"]},
    }


def test_members_have_their_names_in_json():
    class Event(msgspec.Struct, rename="camel"):
        iata_code: Annotated[str, Grounded("airports.iata", with_={"cityName": "airports.city"})]
        city_name: str

    class Model(pydantic.BaseModel):
        iata_code: Annotated[str, Grounded("airports.iata")] = pydantic.Field(alias="iataCode")

    assert output_type(Event).grounding[0].path == "/iataCode"
    assert output_type(Event).grounding[0].with_ == {"/cityName": "airports.city"}
    assert output_type(Model).grounding[0].path == "/iataCode"


def test_a_named_tuple_is_an_array():
    class Leg(NamedTuple):
        minutes: int
        airport: Annotated[str, Grounded("airports.iata")]

    assert output_type(Leg).wrapped
    assert output_type(Leg).grounding[0].path == "/result/1"
    assert output_type(dict[str, int] | None).wrapped


class Left(msgspec.Struct, tag="left"):
    airport: Annotated[str, Grounded("airports.iata")]


class Right(msgspec.Struct, tag="right"):
    city: Quoted


def test_a_union_of_structs_has_the_markers_of_each():
    unions: list[Any] = [Left | Right, Right | None | Left, Left | list[str] | Right | int]
    for type_ in unions:
        found = {rule.path: rule.match for rule in output_type(type_).grounding}
        assert found == {"/result/airport": "exact", "/result/city": "quote"}


@dataclasses.dataclass
class Train:
    number: Quoted


@dataclasses.dataclass
class Flight:
    airport: Annotated[str, Grounded("airports.iata")]


def test_a_union_that_msgspec_does_not_know_is_pydantic_s():
    made = output_type(Train | Flight)
    assert {rule.path for rule in made.grounding} == {"/result/number", "/result/airport"}
    assert made.read(b'{"result": {"airport": "BCN"}}') == Flight("BCN")


@dataclasses.dataclass
class Node:
    value: int
    inner: "list[Node]"


class ModelNode(pydantic.BaseModel):
    value: int
    inner: "list[ModelNode]"


@pytest.mark.parametrize("type_", [Node, ModelNode])
def test_a_recursive_type_has_its_members_at_its_root(type_: Any):
    made = schema_of(type_)
    assert made["type"] == "object"
    assert list(made["properties"]) == ["value", "inner"]
    assert made["properties"]["inner"]["items"]["$ref"] == f"#/$defs/{type_.__name__}"
    value = output_type(type_).read(b'{"value": 1, "inner": [{"value": 2, "inner": []}]}')
    assert value.inner[0].value == 2


def test_a_class_in_a_function_may_name_itself():
    class Tree(pydantic.BaseModel):
        inner: "list[Tree]"

    @dataclasses.dataclass
    class Branch:
        inner: "list[Branch]"

    assert output_type(Tree).read(b'{"inner":[{"inner":[]}]}').inner == [Tree(inner=[])]
    assert output_type(Branch).read(b'{"inner":[{"inner":[]}]}') == Branch([Branch([])])


def test_a_type_of_pydantic_s_own_may_say_its_schema():
    class Event(pydantic.BaseModel):
        when: Annotated[Any, pydantic.WithJsonSchema({"type": "string"})]
        code: Annotated[Any, pydantic.AfterValidator(str.strip), pydantic.Field(max_length=3)]

    assert schema_of(Event)["properties"]["when"] == {"type": "string"}


def test_titles_that_say_more_than_a_name_are_kept():
    class Event(pydantic.BaseModel):
        airport_code: str
        gate: str = pydantic.Field(title="Where it leaves")

    assert schema_of(Event)["properties"] == {
        "airport_code": {"type": "string"},
        "gate": {"type": "string", "title": "Where it leaves"},
    }


def test_docstrings_reach_the_model():
    @dataclasses.dataclass
    class Event:
        """One delay."""

        airport: Annotated[str, msgspec.Meta(description="Its IATA code.")]

    made = schema_of(Event)
    assert made["description"] == "One delay."
    assert made["properties"]["airport"]["description"] == "Its IATA code."


def test_a_schema_is_taken_as_it_is():
    whole = {
        "title": "Event",
        "type": "object",
        "properties": {"a": {"title": "A", "type": "string"}},
    }
    assert schema_of(whole) == whole
    assert output_type(whole).name == "Event"


def test_references_of_a_wrapped_schema_still_lead_to_their_targets():
    made = schema_of(
        {
            "type": "array",
            "items": {"anyOf": [{"$ref": "#/$defs/text"}, {"$ref": "#"}]},
            "contains": {"$ref": "#/items"},
            "default": [{"$ref": "#/items"}],
            "$defs": {"text": {"type": "string"}, "all": {"$ref": "#"}},
        }
    )
    whole = made["properties"]["result"]
    assert whole["items"]["anyOf"] == [{"$ref": "#/$defs/text"}, {"$ref": "#/properties/result"}]
    assert whole["contains"] == {"$ref": "#/properties/result/items"}
    assert whole["default"] == [{"$ref": "#/items"}]  # data, no reference
    assert made["$defs"]["all"] == {"$ref": "#/properties/result"}


def test_names_and_digests_say_which_code_it_is():
    here = "unit.output_types.test_output_type" if __name__.startswith("unit") else __name__
    assert output_type(ModelEvent).name == f"{here}:ModelEvent"
    assert output_type(list[Node]).name == f"list[{here}:Node]"
    assert output_type(ModelEvent).digest == output_type(Node).digest  # one module
    assert output_type(list[int]).digest != output_type(list[str]).digest
    program: dict[str, Any] = {"__name__": "made.by.a.program"}
    exec("import dataclasses\n@dataclasses.dataclass\nclass Event:\n    a: int", program)
    assert output_type(program["Event"]).digest is None
