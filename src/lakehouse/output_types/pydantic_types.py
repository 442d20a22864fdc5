"""Types that Pydantic knows: its models, and whatever holds one. The only module that imports it.

Pydantic makes the schema, with our markers, and runs the validators of the type. It is as strict
as the type says: by default it takes `"5"` as 5. The schema is what refuses that, before.
"""

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import partial
from inspect import signature
from typing import Any, Final, Generic, TypeVar

import msgspec
from pydantic import ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError

from lakehouse.core.json_text import ENCODER, LONG_NUMBER, JsonValue
from lakehouse.core.kind import ModelFault
from lakehouse.output_types.error_places import place_of
from lakehouse.output_types.reading import (
    WRAPPED_MEMBER,
    InvalidArtifact,
    Reader,
    json_of,
)

T = TypeVar("T")

UNKNOWN: Final = (PydanticUserError, NameError, TypeError, AttributeError, ImportError)
"""What is raised for a type that Pydantic does not know, or needs another package for."""

# A model that is populated by its Python names too (`populate_by_name`) is read by those of the
# schema alone: the checks know no others. Pydantic 2.10 cannot be told so.
_NAMES: Final[Mapping[str, Any]] = (
    {"by_alias": True, "by_name": False}
    if "by_name" in signature(TypeAdapter.validate_json).parameters
    else {}
)
_FAULTS_MAX: Final = 200  # told of one artifact
_MESSAGE_CHARS_MAX: Final = 2_000
_TOO_LARGE: Final = "the number is too large to be read: at most 1.7e308"
_TOO_MANY_DIGITS: Final = "a number has too many digits to be checked: write it with at most 15"


class _Reader(Generic[T]):
    """Reads artifacts into one type. `context` reaches `ValidationInfo.context`.

    Raises:
        PydanticUserError: The type is none that Pydantic knows; or another of `UNKNOWN`.
    """

    def __init__(self, type_: Any) -> None:
        self._validate = partial(TypeAdapter[T](type_).validate_json, **_NAMES)

    def read(self, artifact: bytes, context: object) -> T:
        faults: list[ModelFault] = []
        try:
            instance = self._validate(artifact, context=context)
        except ValidationError as error:
            faults = _faults(error, json_of(artifact))
        if LONG_NUMBER.search(artifact) is not None:
            faults += [one for one in self._by_digits(artifact, context) if one not in faults]
        if faults:
            raise InvalidArtifact(faults[:_FAULTS_MAX])
        return instance

    def _by_digits(self, artifact: bytes, context: object) -> list[ModelFault]:
        """Return what is wrong with numbers that are no doubles.

        Pydantic reads JSON numbers as doubles; as texts it reads every digit of them.
        """
        value = json_of(artifact)
        beyond = [ModelFault(place, _TOO_LARGE) for place in _beyond_doubles(value, ())]
        if beyond:
            return beyond
        exact = msgspec.json.encode(value)
        if exact == ENCODER.encode(value):
            return []
        try:
            self._validate(exact, context=context)
        except ValidationError as error:
            return _faults(error, value, digits=True)
        except (TypeError, AttributeError):
            # It took the numbers, so it has no fault of its own: too many digits are the
            # answer's, and cannot be let through unchecked.
            return [ModelFault((), _TOO_MANY_DIGITS)]
        return []


def _beyond_doubles(value: JsonValue, at: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Yield the places of numbers that Pydantic would read as infinite."""
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        for name, one in inside:
            yield from _beyond_doubles(one, (*at, name))
    elif isinstance(value, Decimal) and math.isinf(float(value)):
        yield at


def _faults(error: ValidationError, value: JsonValue, *, digits: bool = False) -> list[ModelFault]:
    return [
        ModelFault(
            place_of(value, one["loc"], kind=one["type"], quoted=one["input"]),
            one["msg"][:_MESSAGE_CHARS_MAX],
        )
        for one in error.errors(include_url=False, include_context=False)[:_FAULTS_MAX]
        # A number that stands as text for its digits is of the wrong type only to us.
        if not (digits and one["type"].endswith("_type"))
    ]


def schema_of(type_: Any) -> dict[str, Any]:
    """Return the JSON Schema of a type, with markers. Raises `UNKNOWN`."""
    return TypeAdapter(type_).json_schema()


def reader_of(type_: Any) -> Reader[Any]:
    """Return what reads artifacts into a type."""
    return _Reader(type_)


def wrapper(type_: Any) -> Any:
    """Return a model of one member."""
    fields: dict[str, Any] = {WRAPPED_MEMBER: (type_, ...)}
    return create_model("Wrapped", __config__=ConfigDict(extra="forbid"), **fields)
