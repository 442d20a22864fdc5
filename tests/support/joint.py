"""Two schemas that one answer must satisfy."""

from typing import Any

import msgspec

from lakehouse.core.json_text import dumps
from lakehouse.core.kind import FormatMode, Kind
from lakehouse.validation.joint_schema import joint_schema
from lakehouse.validation.schema import CompiledSchema, SchemaCache

STRING = {"type": "string"}
EVENT: dict[str, Any] = {
    "type": "object",
    "properties": {"code": STRING, "quote": STRING},
    "required": ["code"],
    "additionalProperties": False,
}


def raw(schema: object) -> bytes:
    return dumps(schema).encode()


def kind_of(schema: object, formats: FormatMode = "off") -> Kind:
    return Kind(
        name="event",
        schema=msgspec.Raw(schema if isinstance(schema, bytes) else raw(schema)),
        system=None,
        grounding=(),
        rules=(),
        max_iterations=3,
        model="small",
        digest="sha256:" + "1" * 64,
        formats=formats,
    )


def joint(ours: object, theirs: object, formats: FormatMode = "off") -> CompiledSchema:
    caller = theirs if isinstance(theirs, bytes) else raw(theirs)
    return joint_schema(SchemaCache(), kind_of(ours, formats), caller, formats)


def closed(**members: object) -> dict[str, Any]:
    """Make a closed object that requires all its members."""
    return {
        "type": "object",
        "properties": members,
        "required": list(members),
        "additionalProperties": False,
    }
