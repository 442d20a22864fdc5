"""Output types by what was given for them: making one takes a millisecond, so they are kept."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.core.json_text import ENCODER
from lakehouse.core.wording import shown
from lakehouse.output_types.output_type import OutputType, output_type

_KEPT: Final = 256
_OF_TYPES: Final = frozenset({"types", "typing", "typing_extensions"})  # list[T], T | None, …


def type_of(type_: Any) -> OutputType[Any]:
    """Return the output type of a type or of a JSON Schema; the last 256 are kept.

    Raises:
        SetupError: No answer can be read into it.
    """
    if isinstance(type_, Mapping):
        try:
            return _of_schema(ENCODER.encode(dict(type_)))
        except (TypeError, ValueError):
            return output_type(type_)  # its error says what is wrong
    if not isinstance(type_, type) and type(type_).__module__ not in _OF_TYPES:
        raise SetupError(
            f"The type of the answer is {shown(type_)}, which is an instance of "
            f"{type(type_).__name__} and no type.",
            hint='The type comes first, then the prompt: create(Event, "…"), '
            'create(list[Event], "…").',
        )
    try:
        hash(type_)
    except TypeError:  # of what it has in `Annotated`
        return output_type(type_)
    # Unions are equal in any order, and the first branch that fits is the one that is read.
    return _of_type(type_, "" if isinstance(type_, type) else repr(type_))


@lru_cache(_KEPT)
def _of_type(type_: Any, written: str) -> OutputType[Any]:  # noqa: ARG001  a part of the key
    return output_type(type_)


@lru_cache(_KEPT)
def _of_schema(raw: bytes) -> OutputType[Any]:
    return output_type(msgspec.json.decode(raw))
