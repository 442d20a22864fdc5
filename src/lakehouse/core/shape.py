"""What a schema says of a value's type, as far as SQL can be told it."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from lakehouse.core.json_text import JsonValue


class Shape(msgspec.Struct, frozen=True):
    """The type of one value. Null may stand for any of them.

    `list` and `map` have an `item`, `struct` has `members`, `decimal` a number of digits after
    the point, `scale`. `json` is every value of which the schema says no type, or several.
    """

    kind: Literal[
        "boolean", "integer", "number", "decimal", "text", "list", "struct", "map", "json"
    ]
    item: "Shape | None" = None
    members: "tuple[tuple[str, Shape], ...]" = ()
    scale: int = 0


class RuleInputs(msgspec.Struct, frozen=True):
    """What the rules of a kind are prepared with: the types of members, and answers to try.

    `samples` are made from the schema, by member; a member that is not in `shapes` has no type.
    """

    shapes: Mapping[str, Shape] = {}
    samples: tuple[Mapping[str, JsonValue], ...] = ()
