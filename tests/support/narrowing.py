"""Schemas and candidates in few words, for tests of narrowing."""

from typing import Any

from lakehouse.validation.narrowing import Candidates

TEXT = {"type": "string"}
CODE = {"type": "string", "pattern": "^[A-Z]{3}$"}
NULLABLE = {"type": ["string", "null"]}
SHARED = {"code": CODE}
REF = {"$ref": "#/$defs/code"}


def closed(**members: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(members),
        "properties": members,
    }


def one(at: str, *values: Any, open_end: bool = False) -> Candidates:
    return Candidates(((at, "t.c"),), tuple((value,) for value in values), open_end)


def rows(places: str, *found: tuple[Any, ...], open_end: bool = False) -> Candidates:
    named = tuple((at, f"t.c{n}") for n, at in enumerate(places.split()))
    return Candidates(named, found, open_end)


EVENT = closed(airport=TEXT, city=NULLABLE, note=TEXT)
PAIRS = rows("/airport /city", ("OSL", "Oslo"), ("BGO", "Bergen"))


def event(airport: Any, city: Any) -> dict[str, Any]:
    return {"airport": airport, "city": city, "note": "n"}


Case = tuple[Any, list[Candidates], list[Any], list[Any]]
"""A schema, candidates, answers still accepted, and answers that only the schema accepts."""
