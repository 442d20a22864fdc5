"""Laws over any type: a value comes back as it was, and the schema and the reader agree."""

import copy
import dataclasses
import datetime as dt
import enum
import itertools
import typing
from typing import Annotated, Any, Literal

import msgspec
import pydantic
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.core.json_text import parse_bytes
from lakehouse.output_types.markers import Grounded, Quote
from lakehouse.output_types.output_type import OutputType, output_type
from lakehouse.output_types.reading import InvalidArtifact
from lakehouse.validation.schema import compile_schema

Typed = tuple[Any, st.SearchStrategy[Any]]
LONG_AGO = dt.datetime(1000, 1, 1)  # noqa: DTZ001  the strategy adds the zone
NUMBER = itertools.count()
INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAMES = ("city", "airport", "type_", "x1")


class Way(enum.Enum):
    IN = "in"
    OUT = "out"


PLAIN: list[Typed] = [
    (int, INTEGERS),
    (float, NUMBERS),
    (str, TEXTS),
    (bool, st.booleans()),
    (type(None), st.none()),
    (dt.date, st.dates(LONG_AGO.date())),
    (dt.datetime, st.datetimes(LONG_AGO, timezones=st.just(dt.UTC))),
    (Way, st.sampled_from(Way)),
    (Literal["a", "b"], st.sampled_from(["a", "b"])),
    (Annotated[str, Quote()], TEXTS),
    (Annotated[int, Grounded("a.b")], INTEGERS),
]


def lists_of(inner: Typed) -> Typed:
    one: Any = inner[0]
    return list[one], st.lists(inner[1], max_size=3)


def maps_of(inner: Typed) -> Typed:
    one: Any = inner[0]
    return dict[str, one], st.dictionaries(TEXTS, inner[1], max_size=3)


def optional(inner: Typed) -> Typed:
    return inner[0] | None, st.none() | inner[1]


def classes_of(inner: list[Typed], way: str) -> Typed:
    """A class whose members have these types, with a name of its own."""
    called = f"Made{next(NUMBER)}"
    fields: Any = list(zip(NAMES, [type_ for type_, _ in inner], strict=False))
    required: Any = {name: (type_, ...) for name, type_ in fields}
    strict = pydantic.ConfigDict(strict=True)
    typed_dict: Any = typing.TypedDict
    makers: dict[str, Any] = {
        "pydantic": lambda: pydantic.create_model(called, __config__=strict, **required),
        "dataclass": lambda: dataclasses.make_dataclass(called, fields),
        "struct": lambda: msgspec.defstruct(called, fields),
        "tuple": lambda: typing.NamedTuple(called, fields),
        "dict": lambda: typed_dict(called, dict(fields)),
    }
    made = makers[way]()
    members = {name: value for (name, _), (_, value) in zip(fields, inner, strict=False)}
    return made, st.builds(made, **members)


def types(*ways: str) -> st.SearchStrategy[Typed]:
    """Types of one family of classes, in each other."""

    def larger(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
        several = st.lists(inner, min_size=1, max_size=3)
        return (
            inner.map(lists_of)
            | inner.map(optional)
            | st.builds(classes_of, several, st.sampled_from(ways))
        )

    # The values of a map have no pointer, so no marker either.
    plain = st.sampled_from(PLAIN)
    unmarked = st.sampled_from(PLAIN[:-2])
    return st.recursive(plain | unmarked.map(maps_of), larger, max_leaves=6)


FAMILIES = types("dataclass", "struct", "tuple", "dict") | types("pydantic", "dataclass")
STEADY = settings(max_examples=120)


def artifact_of(made: OutputType[Any], value: Any) -> bytes:
    """Encode a value, as a member of the wrapper if its type has one."""
    raw = (
        pydantic.TypeAdapter(Any).dump_json(value)
        if has_model(value)
        else msgspec.json.encode(value)
    )
    return b'{"result":' + raw + b"}" if made.wrapped else raw


def has_model(value: Any) -> bool:
    if isinstance(value, pydantic.BaseModel):
        return True
    if dataclasses.is_dataclass(value):
        return any(has_model(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, dict):
        return any(map(has_model, value.values()))
    return isinstance(value, list | tuple) and any(map(has_model, value))


def reads(made: OutputType[Any], artifact: bytes) -> bool:
    try:
        made.read(artifact)
    except InvalidArtifact:
        return False
    return True


@STEADY
@given(st.data())
def test_a_value_comes_back_as_it_was(data: st.DataObject):
    """And its schema accepts it, dates in their standard's form included."""
    type_, values = data.draw(FAMILIES)
    value = data.draw(values)
    made = output_type(type_)
    artifact = artifact_of(made, value)
    assert made.read(artifact) == value
    assert compile_schema(made.schema, "known").accepts(parse_bytes(artifact))


WRONG = st.one_of(
    st.none(), st.booleans(), st.just(7), st.just(1.5), TEXTS, st.just([]), st.just({"q": 1})
)


def damaged(value: Any, data: st.DataObject) -> Any:
    """Put something else at one place, or take a member away."""
    if isinstance(value, dict | list) and value and data.draw(st.integers(0, 4)):
        keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = data.draw(st.sampled_from(keys))
        if not data.draw(st.integers(0, 5)):
            del value[key]
        else:
            value[key] = damaged(value[key], data)
        return value
    return data.draw(WRONG)


@STEADY
@given(st.data())
def test_the_schema_and_the_reader_accept_the_same(data: st.DataObject):
    """Formats are asserted: else a schema takes any text for a date."""
    type_, values = data.draw(FAMILIES)
    made = output_type(type_)
    whole = parse_bytes(artifact_of(made, data.draw(values)))
    artifact = msgspec.json.encode(damaged(copy.deepcopy(whole), data))
    accepted = compile_schema(made.schema, "known").accepts(parse_bytes(artifact))
    assert reads(made, artifact) == accepted
