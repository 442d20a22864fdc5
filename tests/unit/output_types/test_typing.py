"""What type checkers know: `mypy --strict` reads this file, and running it says the same."""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict, assert_type

import msgspec
import pydantic

from lakehouse.output_types.markers import Quote, Rule
from lakehouse.output_types.output_type import OutputType, output_type

Quoted = Annotated[str, Quote()]


class Model(pydantic.BaseModel):
    a: int


@dataclasses.dataclass
class Data:
    a: Quoted


class Struct(msgspec.Struct):
    a: int


class Row(TypedDict):
    a: int


def test_a_class_gives_its_instances():
    assert_type(output_type(Model), OutputType[Model])
    assert assert_type(output_type(Model).read(b'{"a":1}'), Model).a == 1
    assert assert_type(output_type(Data).read(b'{"a":"q"}'), Data).a == "q"
    assert assert_type(output_type(Struct).read(b'{"a":1}'), Struct).a == 1
    assert assert_type(output_type(Row).read(b'{"a":1}'), Row)["a"] == 1


def test_what_is_no_class_gives_its_values():
    assert assert_type(output_type(list[Model]).read(b'{"result":[]}'), list[Model]) == []
    assert assert_type(output_type(Model | None).read(b'{"result":null}'), Model | None) is None
    word = output_type(Literal["a", "b"])
    assert assert_type(word.read(b'{"result":"a"}'), Literal["a", "b"]) == "a"
    ruled = output_type(Annotated[Model, Rule("SELECT $a > 0", "a must be positive")])
    assert assert_type(ruled.read(b'{"a":1}'), Model).a == 1
    schema: Mapping[str, Any] = {"type": "object"}
    assert_type(output_type(schema), OutputType[Any])
    made: Any = dataclasses.make_dataclass("Made", [("a", int)])
    assert_type(output_type(made), OutputType[Any])
