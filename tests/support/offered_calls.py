"""Offers of values for one call, and what of them a call to an endpoint contains."""

import json
from typing import Any

import msgspec

from lakehouse.core.chat import ChatRequest, Offer
from support.capability import CLOSED, question

HINT = "Values of cities.name that the text names: Oslo."


def narrowed(values: int) -> bytes:
    """Narrow the one member of `CLOSED` to so many values."""
    schema = json.loads(CLOSED)
    schema["properties"]["city"]["enum"] = [f"City {n}" for n in range(values)]
    return json.dumps(schema).encode()


def offering(
    values: int, schema: bytes = CLOSED, *, hint: str = HINT, text: str = "Which city?"
) -> ChatRequest:
    """Ask for a city out of so many."""
    offer = Offer(msgspec.Raw(narrowed(values)), hint)
    return question(schema, text, offer=offer)


def schema_in(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the schema that a call in either dialect contains."""
    found = body.get("format")
    if found is None:
        found = body.get("response_format", {}).get("json_schema", {}).get("schema")
    return found if isinstance(found, dict) else None


def values_in(body: dict[str, Any]) -> int:
    """Count the values that the schema of a call lists."""
    city = (schema_in(body) or {}).get("properties", {}).get("city", {})
    return len(city.get("enum", ()))


def told_in(body: dict[str, Any]) -> bool:
    """Return whether the last turn of a call contains the hint, after what the caller wrote."""
    return f"\n\n{HINT}" in body["messages"][-1]["content"]
