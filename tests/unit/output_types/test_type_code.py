"""Which types run code of their author's when an answer is read into them."""

import dataclasses
import enum
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypedDict

import annotated_types
import msgspec
import pydantic
import pydantic.dataclasses
import pytest

from lakehouse.output_types.markers import Grounded, Quote, Rule
from lakehouse.output_types.output_type import output_type

Iata = Annotated[str, Grounded("airports.iata"), Quote()]


class Plain(pydantic.BaseModel):
    airport: Iata
    count: int = pydantic.Field(default=1, gt=0)
    more: list[int] = pydantic.Field(default_factory=list)
    _private: int = 0
    model_config: ClassVar = pydantic.ConfigDict(extra="forbid")

    @pydantic.computed_field  # type: ignore[prop-decorator]  # as its documentation says
    @property
    def twice(self) -> int:
        return self.count * 2


class Root(pydantic.RootModel[list[Plain]]):
    pass


@dataclasses.dataclass(frozen=True, slots=True)
class Data:
    airport: Iata
    more: list[int] = dataclasses.field(default_factory=list)


@pydantic.dataclasses.dataclass
class TheirData:
    airport: Iata


class Struct(msgspec.Struct, frozen=True):
    airport: Iata
    more: list[int] = []


class Row(TypedDict):
    airport: Iata


class Leg(NamedTuple):
    minutes: int = 1


class Way(enum.StrEnum):
    IN = "in"


@pytest.mark.parametrize(
    "type_",
    [
        *(Plain, Root, Data, TheirData, Struct, Row, Leg, Way, int, list[Data], Plain | None),
        *(Literal["a"], dict[str, Leg], Annotated[Row, Rule("SELECT true", "never")]),
        *({"type": "object"}, Annotated[str, pydantic.AfterValidator(str.strip)]),
    ],
)
def test_what_libraries_made_is_no_code(type_: Any):
    assert not output_type(type_).has_code


def shout(text: str) -> str:
    return text.upper()


class Own:
    """A type that says itself how Pydantic reads it."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Callable[[Any], Any]) -> Any:
        return handler(str)


class Validated(Plain):
    @pydantic.field_validator("airport")
    @classmethod
    def check(cls, text: str) -> str:
        return text


class Deeper(Validated):
    pass


class Whole(Plain):
    @pydantic.model_validator(mode="after")
    def check(self) -> "Whole":
        return self


class After(Plain):
    def model_post_init(self, context: Any, /) -> None:
        pass


class Init(Plain):
    def __init__(self, **members: Any) -> None:
        super().__init__(**members)


class Made(Plain):
    other: str = pydantic.Field(default_factory=lambda: "x")


class Tagged(Plain):
    one: Annotated[
        Annotated[Plain, pydantic.Tag("a")] | Annotated[Root, pydantic.Tag("b")],
        pydantic.Discriminator(lambda value: "a"),
    ]


@dataclasses.dataclass
class Posted:
    airport: str

    def __post_init__(self) -> None:
        pass


@dataclasses.dataclass
class MadeData:
    more: str = dataclasses.field(default_factory=lambda: "x")


class PostedStruct(msgspec.Struct):
    airport: str

    def __post_init__(self) -> None:
        pass


class MadeStruct(msgspec.Struct):
    more: str = msgspec.field(default_factory=lambda: "x")


class Missing(enum.Enum):
    IN = "in"

    @classmethod
    def _missing_(cls, value: object) -> "Missing":
        return cls.IN


@pytest.mark.parametrize(
    "type_",
    [
        *(Validated, Deeper, Whole, After, Init, Made, Tagged, Posted, MadeData, PostedStruct),
        *(MadeStruct, Missing, Own, list[Posted], dict[str, Missing] | None),
        Annotated[str, pydantic.AfterValidator(shout)],
        Annotated[str, pydantic.BeforeValidator(lambda text: text)],
        Annotated[int, annotated_types.Predicate(lambda number: number > 1)],
    ],
)
def test_what_an_author_wrote_is_code(type_: Any):
    assert output_type(type_).has_code


def test_what_an_author_wrote_in_a_command_line_is_code():
    """`python -c` gives code the file name that dataclasses give to what they make."""
    space: dict[str, Any] = {"__name__": "__main__"}
    exec("def known(value):\n    return value", space)
    known = pydantic.AfterValidator(space["known"])
    assert output_type(pydantic.create_model("Event", day=(Annotated[str, known], ...))).has_code
