"""Types that Pydantic knows: its models, and whatever holds one. The only module that imports it.

Pydantic makes the schema, with our markers, and runs the validators of the type. It is as strict
as the type says: by default it takes `"5"` as 5. The schema is what refuses that, before.
"""

from typing import Any, Final, Generic, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError

from lakehouse.core.kind import ModelFault
from lakehouse.output_types.error_places import place_of
from lakehouse.output_types.reading import WRAPPED_MEMBER, InvalidArtifact, Reader, json_of

T = TypeVar("T")

UNKNOWN: Final = (PydanticUserError, NameError, TypeError)
"""What is raised for a type that Pydantic does not know."""

_FAULTS_MAX: Final = 200  # told of one artifact
_MESSAGE_CHARS_MAX: Final = 2_000


class _Reader(Generic[T]):
    """Reads artifacts into one type. `context` reaches `ValidationInfo.context`.

    Raises:
        PydanticUserError: The type is none that Pydantic knows; or another of `UNKNOWN`.
    """

    def __init__(self, type_: Any) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(type_)

    def read(self, artifact: bytes, context: object) -> T:
        try:
            return self._adapter.validate_json(artifact, context=context)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False)
            value = json_of(artifact)
            faults = [
                ModelFault(
                    place_of(value, one["loc"], kind=one["type"], quoted=one["input"]),
                    one["msg"][:_MESSAGE_CHARS_MAX],
                )
                for one in found[:_FAULTS_MAX]
            ]
            raise InvalidArtifact(faults) from error


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
