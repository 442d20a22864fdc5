"""How an artifact becomes an instance, and what is said if it does not."""

from typing import Any, Final, Protocol, TypeVar

from lakehouse.core.json_text import JsonError, JsonValue, parse_bytes
from lakehouse.core.kind import ModelFault

T_co = TypeVar("T_co", covariant=True)

WRAPPED_MEMBER: Final = "result"
"""The member that holds a value which is no object: models write objects."""


class InvalidArtifact(ValueError):
    """An artifact that is no instance of the type. `faults` has at least one."""

    def __init__(self, faults: list[ModelFault]) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = faults


class Reader(Protocol[T_co]):
    """Reads artifacts into one type. Safe to share between threads."""

    def read(self, artifact: bytes, context: object) -> T_co:
        """Return the instance.

        Every digit of a number counts, also where the instance has a double.

        Raises:
            InvalidArtifact: There is none; or whatever the type's own code raises beyond that.
        """
        ...


class TypeLibrary(Protocol):
    """A library that knows types. Each of the three raises what it likes for others."""

    def schema_of(self, type_: Any) -> dict[str, Any]:
        """Return the JSON Schema of a type, with markers."""
        ...

    def wrapper(self, type_: Any) -> Any:
        """Return a class with the one member `WRAPPED_MEMBER`."""
        ...

    def reader_of(self, type_: Any) -> Reader[Any]: ...


def json_of(artifact: bytes) -> JsonValue:
    """Parse an artifact.

    Raises:
        InvalidArtifact: It is not JSON.
    """
    try:
        return parse_bytes(artifact)
    except JsonError as error:
        raise InvalidArtifact([ModelFault((), f"It is not JSON: {error}")]) from error
