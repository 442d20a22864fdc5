"""The type of a value as its schema declares it, as far as SQL can express it."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from lakehouse.core.json_text import JsonValue


class Shape(msgspec.Struct, frozen=True):
    """The type of one value; any type also allows null.

    `list` and `map` have an `item`, `struct` has `members`, `decimal` a number of digits after the
    point, `scale`. `json` is a value for which the schema gives no type, or several.
    """

    kind: Literal[
        "boolean", "integer", "number", "decimal", "text", "list", "struct", "map", "json"
    ]
    item: "Shape | None" = None
    members: "tuple[tuple[str, Shape], ...]" = ()
    scale: int = 0


class RuleInputs(msgspec.Struct, frozen=True):
    """Input to prepare a kind's rules: the types of members, and sample answers.

    `samples` are generated from the schema, by member; a member that is not in `shapes` has no
    type.
    """

    shapes: Mapping[str, Shape] = {}
    samples: tuple[Mapping[str, JsonValue], ...] = ()
