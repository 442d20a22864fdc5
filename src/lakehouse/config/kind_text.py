"""A kind as TOML: what would stand in `lakehouse.toml` instead of a type, or of a kind as it is."""

import json
import re
from typing import Any, Final

import msgspec

from lakehouse.config.settings import KindSettings
from lakehouse.core.errors import SetupError
from lakehouse.core.json_text import ENCODER, parse_bytes
from lakehouse.core.kind import Kind
from lakehouse.output_types.output_type import OutputType
from lakehouse.output_types.reading import WRAPPED_MEMBER
from lakehouse.validation.formats import AssertedFormats
from lakehouse.validation.schema_document import SchemaDocument
from lakehouse.validation.schema_grounding import without_keyword

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_DEFAULTS: Final = KindSettings()
_LISTED: Final = ("grounding", "rules")


def toml_of(type_: OutputType[Any], name: str) -> str:
    """Write the kind `[kinds.NAME]` that a type means; its schema follows as a comment.

    Grounding stands in entries of the kind, so the schema is without markers. Formats are asserted,
    as they are for a type. What validators of the type check cannot be said in TOML.

    Raises:
        SetupError: No kind can have the name.
    """
    if _NAME.fullmatch(name) is None:
        raise SetupError(
            f"The name of the kind is {name!r}; it must match {_NAME.pattern}.",
            hint="Use lower-case letters, digits, `_` and `-`.",
        )
    remarks = [f"The kind that {type_.name} means."]
    if type_.wrapped:
        remarks.append(f"Its value is the member {WRAPPED_MEMBER!r}: models write objects.")
    if type_.has_code:
        remarks.append("What the type's own code checks is not in it.")
    settings = KindSettings(grounding=type_.grounding, rules=type_.rules)
    return _written(name, settings, type_.schema, remarks, formats_known=True)


def toml_of_kind(kind: Kind, settings: KindSettings) -> str:
    """Write a configured kind with what its schema or its type carries as entries of its own."""
    remarks = [f"The kind {kind.name}."]
    if settings.python is not None:
        remarks.append(f"What the code of {settings.python} checks is not in it.")
    whole = msgspec.structs.replace(
        settings, schema=None, python=None, grounding=kind.grounding, rules=kind.rules
    )
    formats_known = settings.python is not None
    return _written(str(kind.name), whole, bytes(kind.schema), remarks, formats_known=formats_known)


def _written(
    name: str, settings: KindSettings, schema: bytes, remarks: list[str], *, formats_known: bool
) -> str:
    file = f"{name}.schema.json"
    schema = without_keyword(schema)
    lines = [f"# {_comment(remark)}" for remark in remarks]
    lines += ["", f"[kinds.{name}]", f"schema = {_text(file)}"]
    if formats_known:
        schema, asserted = _only_known_formats(schema)
        settings = msgspec.structs.replace(settings, assert_formats=asserted)
    lines += _members(msgspec.to_builtins(settings), msgspec.to_builtins(_DEFAULTS))
    for part in _LISTED:
        for rule in getattr(settings, part):
            lines += ["", f"[[kinds.{name}.{part}]]"]
            lines += _members(msgspec.to_builtins(rule), {"match": "exact"})
    pretty = msgspec.json.format(schema, indent=2).decode("utf-8").replace("\x7f", "\\u007f")
    lines += ["", f"# {file}:", *(f"# {line}" for line in pretty.split("\n"))]
    return "\n".join(lines) + "\n"


def _only_known_formats(schema: bytes) -> tuple[bytes, bool]:
    """Leave out formats that cannot be asserted, which a kind may not have that asserts them."""
    document = SchemaDocument(parse_bytes(schema), AssertedFormats.of("all"))  # type: ignore[arg-type]  # compiled before
    for place in document.formats_unknown:
        document.node(place[:-1]).pop("format")
    if document.formats_unknown:
        schema = ENCODER.encode(document.root)
    return schema, b'"format"' in schema


def _members(said: dict[str, Any], defaults: dict[str, Any]) -> list[str]:
    return [
        f"{name} = {_value(value)}"
        for name, value in said.items()
        if name not in _LISTED and value != defaults.get(name) and value not in (None, {})
    ]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        pairs = ", ".join(f"{_text(key)} = {_text(one)}" for key, one in value.items())
        return f"{{ {pairs} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return _text(value) if isinstance(value, str) else repr(value)


def _text(text: str) -> str:
    """Write a basic string: JSON's escapes are TOML's, except for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    return text if text.isprintable() else ascii(text)
