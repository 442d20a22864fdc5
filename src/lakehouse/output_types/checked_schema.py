"""The schema of a type, compiled, with faults of its markers told by the member they stand at."""

from itertools import pairwise
from typing import Final

from lakehouse.core.errors import Refusal, SetupError
from lakehouse.core.json_text import pointer
from lakehouse.grounding.rules import fault_of
from lakehouse.validation.pointers import doubts_of
from lakehouse.validation.raw_tree import Place
from lakehouse.validation.schema import CompiledSchema, compile_schema
from lakehouse.validation.schema_grounding import CarriedFault

_HINT: Final = (
    "A marker grounds a plain value: a member, an element of a list, or every branch of a union."
)


def checked_schema(raw: bytes, title: str | None) -> CompiledSchema:
    """Compile the schema of the type with a title, or one that a caller wrote; it can judge.

    Raises:
        SetupError: No session would accept it, or a marker in it would check nothing.
    """
    try:
        schema = compile_schema(raw)
    except Refusal as error:
        fault = error.__cause__
        if isinstance(fault, CarriedFault):
            raise _error(_member_at(fault.place, title), str(fault)) from error
        told = f"{title or 'The schema'} cannot be used: {error.public}"
        raise SetupError(told, hint=error.hint) from error
    for rule in schema.grounding:
        faults = [fault_of(rule)]
        faults += [doubt.message for doubt in doubts_of(schema, rule) if doubt.fatal]
        for why in filter(None, faults):
            raise _error(f"the value at {rule.path!r}", why)
    return schema


def _member_at(place: Place, title: str | None) -> str:
    """Name the member that a place in a type's schema belongs to: `Event.airport`."""
    if title is None:
        return repr(pointer(*place))
    named = title
    for keyword, name in pairwise(place):
        if keyword == "$defs":
            title = named = str(name)
        elif keyword == "properties":
            named = f"{title}.{name}"
    return named


def _error(member: str, why: str) -> SetupError:
    return SetupError(f"The marker of {member} cannot be used: {why}.", hint=_HINT)
