"""Generic classes, and names for types, carry the markers of what they stand for."""

import dataclasses
from typing import Annotated, Any, Generic, NewType, NotRequired, TypedDict, TypeVar

import msgspec
import pytest
from typing_extensions import TypeAliasType

from lakehouse.output_types.markers import Grounded, Quote
from lakehouse.output_types.output_type import output_type

T = TypeVar("T")
Quoted = Annotated[str, Quote()]


@dataclasses.dataclass
class Box(Generic[T]):
    item: T
    more: list[T]


@dataclasses.dataclass
class QuotedBox(Box[Quoted]):
    label: str


@dataclasses.dataclass
class DatedBox(QuotedBox):
    date: Quoted


@dataclasses.dataclass
class Pair(Box[T], Generic[T]):
    other: Box[str]


@pytest.mark.parametrize(
    ("type_", "paths"),
    [
        (Box[Quoted], ["/item", "/more/*"]),
        (Box[Box[Quoted]], ["/item/item", "/item/more/*", "/more/*/item", "/more/*/more/*"]),
        (Box[str], []),
        (QuotedBox, ["/item", "/more/*"]),
        (DatedBox, ["/item", "/more/*", "/date"]),
        (Pair[Quoted], ["/item", "/more/*"]),
    ],
)
def test_generics_carry_the_markers_of_their_arguments(type_: Any, paths: list[str]):
    """A marker of one argument does not reach the same class with another."""
    assert [rule.path for rule in output_type(type_).grounding] == paths
    assert "title" not in msgspec.json.decode(output_type(type_).schema)


def test_a_generic_s_name_has_its_arguments():
    assert output_type(Box[Quoted]).name == f"{Box.__module__}:Box[str]"


Code = NewType("Code", str)
Codes = TypeAliasType("Codes", list[Annotated[Code, Grounded("airports.iata")]])
Pairs = TypeAliasType("Pairs", tuple[T, T], type_params=(T,))


@dataclasses.dataclass
class Aliased:
    codes: Codes
    pair: Pairs[Quoted]


class Named(TypedDict):
    code: Annotated[Code, Grounded("airports.iata")]
    note: NotRequired[Quoted]


def test_names_for_types_are_seen_through():
    """msgspec does not know the aliases of typing_extensions, and Pydantic does."""
    aliased = output_type(Aliased).grounding
    assert [rule.path for rule in aliased] == ["/codes/*", "/pair/0", "/pair/1"]
    named = output_type(Named).grounding
    assert [rule.path for rule in named] == ["/code", "/note"]
