"""A marker or a rule that would check nothing is refused, wherever it stands."""

import dataclasses
from typing import Annotated, Any, ClassVar, NamedTuple, TypedDict

import msgspec
import pydantic
import pytest
from pydantic.json_schema import SkipJsonSchema

from lakehouse.core.errors import SetupError
from lakehouse.output_types.markers import Grounded, Quote, Rule, Within
from lakehouse.output_types.output_type import output_type

CODE = Grounded("airports.iata")
RULE = Rule("SELECT $code <> ''", "the code is empty")
TEXT = pydantic.WithJsonSchema({"type": "string"})
RULES: Any = (RULE,)


def classes(hint: Any, default: Any) -> list[Any]:
    """Return one class of every kind, with one member."""
    dataclass = dataclasses.make_dataclass(
        "Event", [("code", hint, dataclasses.field(default=default))]
    )
    model = pydantic.create_model("Event", code=(hint, default))
    return [dataclass, model, msgspec.defstruct("Event", [("code", hint, default)])]


class Pair(NamedTuple):
    code: str = Quote()  # type: ignore[assignment]  # what is refused


class Uncalled(TypedDict):
    code: Annotated[str, Quote]


class Cleared(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(
        json_schema_extra={"properties": {"code": {"type": "string"}}}
    )
    code: Annotated[str, CODE]


class RulesAreAMember(pydantic.BaseModel):
    lakehouse_rules: list[Any] = [RULE]
    code: str


class Named(pydantic.BaseModel):
    lakehouse_rules: ClassVar[list[Rule]] = [RULE]
    code: Annotated[str, TEXT, CODE]


@pytest.mark.parametrize("marker", [Grounded, Quote, Within, Rule])
def test_a_marker_that_is_not_called(marker: Any):
    for type_ in [*classes(Annotated[str, marker], ""), list[Annotated[str, marker]]]:
        with pytest.raises(SetupError, match=f"has {marker.__name__} itself, which checks nothing"):
            output_type(type_)


@pytest.mark.parametrize("marker", [CODE, Quote(), RULE])
def test_a_marker_in_the_place_of_a_default(marker: Any):
    for type_ in classes(str, marker):
        with pytest.raises(SetupError, match=r"Event\.code has .* as its default") as caught:
            output_type(list[type_])  # type: ignore[valid-type]  # made here
        assert "Annotated" in caught.value.hint


@pytest.mark.parametrize(
    ("type_", "told"),
    [
        (Pair, "Pair.code has Quote() as its default"),
        (Uncalled, "Uncalled.code has Quote itself"),
        (Cleared, f"Cleared.code has {CODE!r}, which is not in the schema"),
        (RulesAreAMember, "RulesAreAMember.lakehouse_rules is a member of the answer"),
        (list[Annotated[str, CODE, TEXT]], f"each element of list[str] has {CODE!r}, which is"),
        (
            pydantic.create_model("Event", code=(SkipJsonSchema[Annotated[str, CODE]], "")),
            f"Event.code has {CODE!r}, which is not in the schema",
        ),
        (
            dataclasses.make_dataclass("Event", [("lakehouse_rules", RULES, RULES)]),
            "Event.lakehouse_rules is",
        ),
    ],
)
def test_what_would_check_nothing_is_told_by_its_member(type_: Any, told: str):
    with pytest.raises(SetupError) as caught:
        output_type(type_)
    assert caught.value.public.startswith(told)
    assert caught.value.hint


@pytest.mark.parametrize(
    "alias",
    [pydantic.AliasChoices("code", "iata"), pydantic.AliasPath("codes", 0)],
    ids=["choices", "path"],
)
def test_a_member_that_is_read_from_elsewhere_evades_no_marker(alias: Any):
    """The schema has one name; a value under another would reach the instance unchecked."""

    class Event(pydantic.BaseModel):
        code: str = pydantic.Field("", validation_alias=alias)

    class Marked(Event):
        code: Annotated[str, CODE] = pydantic.Field("", validation_alias=alias)

    class Ruled(Event):
        lakehouse_rules: ClassVar[list[Rule]] = [RULE]

    day = dataclasses.make_dataclass("Day", [("quote", Annotated[str, Quote()]), ("event", Event)])
    for type_ in (Marked, list[Marked], Ruled, Annotated[Event, RULE], day):
        with pytest.raises(SetupError, match=r"\.code is read from Alias.* one name only"):
            output_type(type_)
    assert output_type(Event).grounding == ()  # nothing to evade


@pytest.mark.parametrize("how", ["populate_by_name", "validate_by_name"])
def test_a_value_under_its_python_name_is_no_value(how: Any):
    config: Any = {how: True}

    class Event(pydantic.BaseModel):
        model_config = config
        code: Annotated[str, CODE] = pydantic.Field("none", alias="iataCode")

    class Day(pydantic.BaseModel):
        event: Event

    read = output_type(Event).read
    assert read(b'{"iataCode":"BCN"}').code == "BCN"
    assert read(b'{"code":"XXX"}').code == "none"
    assert output_type(Day).read(b'{"event":{"code":"XXX"}}').event.code == "none"


def test_a_marker_after_a_schema_stays():
    assert [rule.path for rule in output_type(Named).grounding] == ["/code"]
    assert len(output_type(Named).rules) == 1
