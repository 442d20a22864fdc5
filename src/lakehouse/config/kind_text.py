"""The kind that a type means, as TOML: what would stand in `lakehouse.toml` instead of it."""

import json
import re
from typing import Any, Final

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.core.json_text import parse_bytes
from lakehouse.output_types.output_type import OutputType
from lakehouse.output_types.reading import WRAPPED_MEMBER
from lakehouse.validation.schema_grounding import without_keyword

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def toml_of(type_: OutputType[Any], name: str) -> str:
    """Write the kind `[kinds.NAME]` that a type means; its schema follows as a comment.

    Grounding stands in entries of the kind, so the schema is without markers. What validators of
    the type check cannot be said in TOML.

    Raises:
        SetupError: No kind can have the name.
    """
    if _NAME.fullmatch(name) is None:
        raise SetupError(
            f"The name of the kind is {name!r}; it must match {_NAME.pattern}.",
            hint="Use lower-case letters, digits, `_` and `-`.",
        )
    file = f"{name}.schema.json"
    lines = [f"# The kind that {_comment(type_.name)} means."]
    if type_.wrapped:
        lines.append(f"# Its value is the member {WRAPPED_MEMBER!r}: models write objects.")
    lines += ["", f"[kinds.{name}]", f"schema = {_text(file)}"]
    for rule in type_.grounding:
        said = {key: one for key, one in msgspec.to_builtins(rule).items() if one not in (None, {})}
        if said["match"] == "exact":
            del said["match"]
        lines += ["", f"[[kinds.{name}.grounding]]"]
        lines += [f"{key} = {_value(one)}" for key, one in said.items()]
    for query in type_.rules:
        lines += ["", f"[[kinds.{name}.rules]]"]
        lines += [f"sql = {_text(query.sql)}", f"message = {_text(query.message)}"]
    pretty = json.dumps(parse_bytes(without_keyword(type_.schema)), indent=2, default=float)
    lines += ["", f"# {file}:", *(f"# {line}" for line in pretty.splitlines())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        pairs = ", ".join(f"{_text(key)} = {_text(one)}" for key, one in value.items())
        return f"{{ {pairs} }}"
    return _text(value) if isinstance(value, str) else repr(value)


def _text(text: str) -> str:
    """Write a basic string: JSON's escapes are TOML's, except for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    return text if text.isprintable() else ascii(text)
