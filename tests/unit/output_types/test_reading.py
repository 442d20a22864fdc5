"""Reading artifacts: instances, and faults at their places."""

import dataclasses
import datetime as dt
import decimal
import enum
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import pydantic
import pytest

from lakehouse.core.kind import ModelFault
from lakehouse.output_types.output_type import output_type
from lakehouse.output_types.reading import InvalidArtifact


def faults_of(type_: Any, artifact: bytes, context: object = None) -> list[ModelFault]:
    with pytest.raises(InvalidArtifact) as caught:
        output_type(type_).read(artifact, context=context)
    return caught.value.faults


class Way(enum.Enum):
    IN = "in"
    OUT = "out"


@dataclasses.dataclass
class Delay:
    minutes: int
    way: Way = Way.IN

    def __post_init__(self) -> None:
        if self.minutes == 13:
            raise ValueError("unlucky")
        if self.minutes == 14:
            raise RuntimeError("broken")


class Seat(NamedTuple):
    row: int
    letter: Literal["A", "B"]


class Note(TypedDict):
    text: str


class Flight(msgspec.Struct):
    when: dt.date
    delays: list[Delay]
    seats: dict[str, Seat] = {}
    note: Note | None = None


class Model(pydantic.BaseModel):
    number: str = pydantic.Field(alias="flight")
    legs: list[int]

    @pydantic.field_validator("number")
    @classmethod
    def _known(cls, number: str, info: pydantic.ValidationInfo) -> str:
        if number not in (info.context or {}).get("known", [number]):
            raise ValueError(f"{number} does not fly")
        if number == "broken":
            raise RuntimeError("the check is broken")
        return number


def test_an_instance_is_read_with_all_that_is_in_it():
    artifact = (
        b'{"when":"2026-11-29","delays":[{"minutes":25,"way":"out"}],'
        b'"seats":{"x":[1,"A"]},"note":{"text":"t"}}'
    )
    assert output_type(Flight).read(artifact) == Flight(
        dt.date(2026, 11, 29), [Delay(25, Way.OUT)], {"x": Seat(1, "A")}, {"text": "t"}
    )


def test_the_wrapped_value_is_given_without_its_wrapper():
    assert output_type(list[Delay]).read(b'{"result":[{"minutes":1}]}') == [Delay(1)]
    models = output_type(list[Model]).read(b'{"result":[{"flight":"VY1","legs":[1]}]}')
    assert [(one.number, one.legs) for one in models] == [("VY1", [1])]
    assert output_type(int | None).read(b'{"result":null}') is None
    assert output_type({"type": "array"}).read(b'{"result":[1,{"a":1.5}]}') == [1, {"a": 1.5}]


@pytest.mark.parametrize(
    ("type_", "artifact", "place", "message"),
    [
        (Flight, b'{"when":"x","delays":[]}', ("when",), "Invalid"),
        (Flight, b'{"when":"2026-11-29"}', (), "missing required field 'delays'"),
        (
            Flight,
            b'{"when":"2026-11-29","delays":[{"minutes":1},{"minutes":13}]}',
            ("delays", 1),
            "unlucky",
        ),
        (
            Flight,
            b'{"when":"2026-11-29","delays":[{"minutes":"1"}]}',
            ("delays", 0, "minutes"),
            "Expected 'int', got 'str'",
        ),
        # msgspec does not say which member of a map it is.
        (Flight, b'{"when":"2026-11-29","delays":[],"seats":{"x":[1,"C"]}}', ("seats",), "Invalid"),
        (list[Delay], b'{"result":[{"minutes":13}]}', ("result", 0), "unlucky"),
        (list[Delay], b'{"result":[],"more":1}', (), "unknown field 'more'"),
        (list[Delay], b"[]", (), "Expected 'object', got 'array'"),
        (Model, b'{"flight":1,"legs":[1]}', ("flight",), "valid string"),
        (Model, b'{"flight":"VY1","legs":[1,"x"]}', ("legs", 1), "valid integer"),
        (Model, b'{"legs":[]}', (), "Field required"),
        (
            list[Model],
            b'{"result":[{"flight":"VY1","legs":["x"]}]}',
            ("result", 0, "legs", 0),
            "valid integer",
        ),
        ({"type": "object", "required": ["a"]}, b"{}", (), 'the member "a" is missing'),
        (
            {"type": "array", "items": {"type": "string"}},
            b'{"result":[1]}',
            ("result", "0"),
            "string",
        ),
    ],
)
def test_a_fault_has_its_place_in_the_artifact(
    type_: Any, artifact: bytes, place: tuple[str | int, ...], message: str
):
    [fault] = faults_of(type_, artifact)
    assert fault.place == place
    assert message in fault.message


@pytest.mark.parametrize("type_", [Flight, Model, list[int], {"type": "object"}])
def test_what_is_not_json_is_a_fault(type_: Any):
    for artifact in (b"", b"{", b'{"a":1}}', b"\xff", b'{"a":"\xff"}'):
        [fault] = faults_of(type_, artifact)
        assert fault.place == ()


def test_names_with_dots_and_brackets_are_followed():
    class Odd(msgspec.Struct):
        a: int = msgspec.field(name="a.b[0]", default=0)
        c: int = msgspec.field(name="a", default=0)

    assert faults_of(Odd, b'{"a":1,"a.b[0]":"x"}')[0].place == ("a.b[0]",)
    assert faults_of(Odd, b'{"a":"x","a.b[0]":1}')[0].place == ("a",)


def test_pydantic_tells_every_fault():
    found = faults_of(Model, b'{"flight":1,"legs":["x","y"]}')
    assert [fault.place for fault in found] == [("flight",), ("legs", 0), ("legs", 1)]


def test_context_reaches_validators():
    artifact = b'{"flight":"VY1","legs":[]}'
    assert output_type(Model).read(artifact, context={"known": ["VY1"]}).number == "VY1"
    [fault] = faults_of(Model, artifact, {"known": ["VY2"]})
    assert (fault.place, fault.message) == (("flight",), "Value error, VY1 does not fly")


@pytest.mark.parametrize(
    ("type_", "artifact"),
    [
        (Delay, b'{"minutes":14}'),
        (Model, b'{"flight":"broken","legs":[]}'),
    ],
)
def test_a_validator_that_breaks_is_no_fault_of_the_artifact(type_: Any, artifact: bytes):
    with pytest.raises(RuntimeError, match="broken"):
        output_type(type_).read(artifact)


def test_a_class_in_a_function_is_read():
    class Local(pydantic.BaseModel):
        a: int

    @dataclasses.dataclass
    class Other:
        a: Annotated[int, "a note"]

    assert output_type(Local).read(b'{"a":1}') == Local(a=1)
    assert output_type(Other).read(b'{"a":1}') == Other(1)


class Exact(msgspec.Struct):
    total: decimal.Decimal

    def __post_init__(self) -> None:
        if self.total > 1:
            raise ValueError("over 1")


class ExactModel(pydantic.BaseModel):
    total: decimal.Decimal = pydantic.Field(le=1)

    @pydantic.model_validator(mode="after")
    def check(self, info: pydantic.ValidationInfo) -> "ExactModel":
        if info.context == "closed":
            raise ValueError("closed")
        return self


class Compared(pydantic.BaseModel):
    total: decimal.Decimal

    @pydantic.field_validator("total", mode="before")
    @classmethod
    def compares_numbers(cls, value: Any) -> Any:
        if value < 0:
            raise ValueError("negative")
        return value


@pytest.mark.parametrize("type_", [Exact, ExactModel, dict[str, Exact], list[ExactModel]])
def test_every_digit_of_a_number_counts(type_: Any):
    """Pydantic reads numbers as doubles, and would take this one for 1."""
    one = b'{"total":%b}'
    whole = {dict[str, Exact]: b'{"a":%b}' % one, list[ExactModel]: b'{"result":[%b]}' % one}
    artifact = whole.get(type_, one)
    assert output_type(type_).faults(artifact % b"1.000") == []
    [fault] = output_type(type_).faults(artifact % b"1.0000000000000000001")
    assert "1" in fault.message
    [same] = output_type(type_).faults(artifact % b"2")
    assert same.message == fault.message


def test_faults_are_what_reading_refuses_and_more():
    assert output_type(ExactModel).faults(b'{"total":1}', context="open") == []
    [fault] = output_type(ExactModel).faults(b'{"total":1}', context="closed")
    assert fault == faults_of(ExactModel, b'{"total":1}', "closed")[0]
    [told] = output_type(Compared).faults(b'{"total":1.0000000000000000001}')
    assert "too many digits" in told.message
    [broken] = output_type(list[int]).faults(b"{")
    assert broken.place == ()


def test_what_a_type_s_code_raises_is_no_fault_of_the_answer():
    artifact = b'{"result":[{"minutes":14}]}'
    for read in (output_type(list[Delay]).read, output_type(list[Delay]).faults):
        with pytest.raises(RuntimeError, match="broken"):
            read(artifact)


class Legs(pydantic.RootModel[list[Delay]]):
    pass


def test_the_class_of_a_root_model_says_its_root():
    """A kind has its schema as it is, so a type has it too."""
    made = output_type(Legs)
    assert not made.wrapped
    assert msgspec.json.decode(made.schema)["type"] == "array"
    assert made.read(b'[{"minutes":1}]').root == [Delay(1)]
    assert output_type(list[Legs]).wrapped
    assert output_type(Annotated[Legs, "remark"]).read(b"[]") == Legs([])
