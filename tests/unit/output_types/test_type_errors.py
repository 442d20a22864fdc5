"""What cannot be a type of answers is refused when the type is made, by the member's name."""

import collections.abc
import dataclasses
import io
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Generic, TypeVar, Union

import msgspec
import pydantic
import pytest

from lakehouse.core.errors import SetupError
from lakehouse.output_types.markers import Grounded, Quote, Rule
from lakehouse.output_types.output_type import output_type

T = TypeVar("T")
Quoted = Annotated[str, Quote()]
RULE = Rule("SELECT true", "never")


@dataclasses.dataclass
class Box(Generic[T]):
    item: T


def refusal(type_: Any) -> SetupError:
    with pytest.raises(SetupError) as caught:
        output_type(type_)
    assert caught.value.hint
    return caught.value


def with_member(hint: Any, way: str) -> Any:
    if way == "pydantic":
        config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        return pydantic.create_model("Event", __config__=config, notes=(hint, ...))
    if way == "struct":
        return msgspec.defstruct("Event", [("notes", hint)])
    return dataclasses.make_dataclass("Event", [("notes", hint)])


@pytest.mark.parametrize("way", ["dataclass", "struct"])
@pytest.mark.parametrize(
    ("hint", "told"),
    [
        (Any, "Event.notes is Any;"),
        (object, "Event.notes is object;"),
        (list, "Event.notes is list, without a type"),
        (dict, "Event.notes is dict, without a type"),
        (tuple, "Event.notes is tuple, without a type"),
        (collections.abc.Sequence, "Event.notes is Sequence, without a type"),
        (list[Any], "each element of Event.notes is Any;"),
        (dict[str, Any], "each value of Event.notes is Any;"),
        (tuple[int, Any], "item 1 of Event.notes is Any;"),
        (int | list[Any], "each element of Event.notes is Any;"),
        (Callable[[int], str], "Event.notes is a callable;"),
        (type[int], "Event.notes is a class;"),
        (Box, "Box.item is the type variable T;"),
        (Box[Any], "Box[Any].item is Any;"),
    ],
)
def test_the_member_is_named(way: str, hint: Any, told: str):
    assert refusal(with_member(hint, way)).public.startswith(told)


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        (Callable[[int], str], "Event.notes is a callable;"),
        (type[int], "Event.notes is a class;"),
        (list[type[int]], "each element of Event.notes is a class;"),
    ],
)
def test_the_member_of_a_pydantic_model_is_named(hint: Any, told: str):
    assert refusal(with_member(hint, "pydantic")).public.startswith(told)


@pytest.mark.parametrize(
    "hint", [Any, object, list, dict, tuple, list[Any], dict[str, Any], tuple[int, Any], Box]
)
def test_members_of_a_pydantic_model_may_hold_anything(hint: Any):
    """As Pydantic has it: such models are kinds already."""
    model = with_member(hint, "pydantic")
    artifact = b'{"notes":[1]}' if hint is not Box else b'{"notes":{"item":1}}'
    if hint in (dict, dict[str, Any]):
        artifact = b'{"notes":{"a":1}}'
    if hint == tuple[int, Any]:
        artifact = b'{"notes":[1,"x"]}'
    assert output_type(model).faults(artifact) == []
    with_any: Any = dataclasses.make_dataclass("Day", [("event", model), ("more", Any)])
    assert refusal(with_any).public.startswith("Day.more is Any;")


@pytest.mark.parametrize(
    ("type_", "told"),
    [
        (Any, "Any is Any;"),
        (list, "list is list, without a type"),
        (print, "print is a callable;"),
        (lambda: 1, "<lambda> is a callable;"),
        ("Event", "Event is the name 'Event', which leads to no type;"),
        (pydantic.BaseModel, "BaseModel is BaseModel itself;"),
        (list[pydantic.BaseModel], "each element of list[BaseModel] is BaseModel itself;"),
        (io.BytesIO, "BytesIO cannot be a type of answers: "),
        ({"type": 5}, "The schema cannot be used: The schema is not accepted: at '/type'"),
        ({"type": {1, 2}}, "The schema cannot be used: "),
        (
            {"type": "object", "properties": {"a": {"x-lakehouse": {"match": "within"}}}},
            "The marker of the value at '/a' cannot be used: tolerance belongs to",
        ),
        ({"$ref": "http://127.0.0.1:1/other"}, "The schema cannot be used: "),
    ],
)
def test_what_is_no_class_is_told_as_it_is_written(type_: Any, told: str):
    assert refusal(type_).public.startswith(told)


@pytest.mark.parametrize("way", ["pydantic", "dataclass", "struct"])
def test_a_class_that_no_library_knows_is_told_by_its_member(way: str):
    event: Any = with_member(list[io.BytesIO], way)
    day = dataclasses.make_dataclass("Day", [("event", list[event])])
    told = refusal(day).public
    assert told.startswith("each element of Event.notes, BytesIO, cannot be a type of answers: ")


class NeedsPackage:
    """As pydantic.EmailStr is without its package."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        raise ImportError("email-validator is not installed")


def test_a_type_whose_package_is_missing_names_the_package():
    """Also where the class itself is asked for."""
    assert "email-validator is not installed" in refusal(NeedsPackage).public
    told = refusal(with_member(NeedsPackage, "dataclass")).public
    assert told.startswith(
        "Event.notes, NeedsPackage, cannot be a type of answers: email-validator"
    )


def test_what_both_libraries_refuse_has_both_reasons():
    told = refusal(with_member(io.BytesIO, "dataclass"))
    assert "Unable to generate pydantic-core schema" in told.public
    assert "msgspec refused the type too: " in told.hint


def test_two_classes_of_one_name():
    """As a notebook has them once a cell ran twice."""
    one, two = (msgspec.defstruct("Event", [(name, int)], tag=name) for name in "ab")
    told = refusal(list[Union[one, two]]).public  # type: ignore[valid-type]  # noqa: UP007  made here
    assert "two classes have the name " in told
    left, right = (dataclasses.make_dataclass("Event", [(name, Quoted)]) for name in "ab")
    both = dataclasses.make_dataclass("Both", [("one", left), ("two", right)])
    assert [rule.path for rule in output_type(both).grounding] == ["/one/a", "/two/b"]


def test_a_name_that_leads_nowhere():
    Event = dataclasses.make_dataclass("Event", [("other", "Missing")])  # noqa: N806
    told = refusal(Event)
    assert told.public == ("An annotation of Event cannot be read: name 'Missing' is not defined.")


def test_classes_of_two_libraries_in_one_type():
    model = pydantic.create_model("Model", a=(int, ...))
    struct = msgspec.defstruct("Struct", [("b", int)])
    both = dataclasses.make_dataclass("Both", [("model", model), ("struct", struct)])
    assert refusal(both).public.startswith(
        "Both.struct is msgspec's, and Both.model is Pydantic's;"
    )
    limits = dataclasses.make_dataclass(
        "Limits",
        [("a", Annotated[int, pydantic.Field(gt=1)]), ("b", Annotated[int, msgspec.Meta(gt=1)])],
    )
    assert refusal(limits).public.startswith("Limits.b is msgspec's, and Limits.a is Pydantic's;")


def test_limits_of_pydantic_hold_in_a_dataclass():
    """msgspec would not know them."""
    event = dataclasses.make_dataclass("Event", [("a", Annotated[int, pydantic.Field(gt=1)])])
    assert b'"exclusiveMinimum":1' in output_type(event).schema


def test_structs_without_tags_in_a_union():
    left = msgspec.defstruct("Left", [("a", int)])
    right = msgspec.defstruct("Right", [("b", int)])
    assert "cannot be a type of answers: " in refusal(left | right).public


def test_a_rule_inside_is_refused():
    """It binds members of the whole answer."""

    @dataclasses.dataclass
    class Event:
        quote: str
        lakehouse_rules: ClassVar = [RULE]

    assert output_type(Event).rules
    assert refusal(list[Event]).public.startswith("each element of list[Event] has a Rule;")
    member = dataclasses.make_dataclass("Day", [("note", Annotated[str, RULE])])
    assert refusal(member).public.startswith("Day.note has a Rule;")
    around = output_type(Annotated[list[str], RULE])
    assert [rule.sql for rule in around.rules] == [RULE.sql]


def test_rules_of_a_class_are_rules():
    @dataclasses.dataclass
    class Event:
        quote: str
        lakehouse_rules: ClassVar = ["SELECT true"]

    assert refusal(Event).public.startswith("Event.lakehouse_rules is ['SELECT true'];")


@pytest.mark.parametrize("way", ["pydantic", "dataclass", "struct"])
@pytest.mark.parametrize(
    ("hint", "told"),
    [
        (
            dict[str, Quoted],
            "Event.notes cannot be used: 'x-lakehouse' cannot stand under",
        ),
        (
            Quoted | int,
            "Event.notes cannot be used: another branch allows a value",
        ),
        (
            Annotated[str, Grounded("a.b", with_={"note": "a.c"})],
            "Event.notes cannot be used: 'note' is no member beside '/notes' (did you mean 'n",
        ),
    ],
)
def test_a_marker_where_no_pointer_says_the_same(way: str, hint: Any, told: str):
    assert told in refusal(with_member(hint, way)).public


def test_a_marker_on_keys():
    told = refusal(dataclasses.make_dataclass("Event", [("notes", dict[Quoted, int])]))
    assert told.public.startswith("The keys of Event.notes have a marker;")


@dataclasses.dataclass
class Node:
    quote: Quoted
    inner: "list[Node]"


class ModelNode(pydantic.BaseModel):
    quote: Quoted
    inner: "list[ModelNode]"


@pytest.mark.parametrize("type_", [Node, ModelNode, list[Node], list[ModelNode]])
def test_a_marker_in_a_recursive_type(type_: Any):
    """Its pointers would have no end, and some values would not be checked."""
    assert "it contains itself, so no pointer reaches every" in refusal(type_).public
