"""The matches of grounding: every way to compare a value, one line each.

This table is the only place that distinguishes matches: the configuration, the schema check, the
column index and the messages read it. The names are part of the contract.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, Literal

import msgspec

from lakehouse.core.folding import fold

MatchName = Literal["exact", "casefold", "within", "quote"]

Holds = Literal["text", "number", "boolean"]
"""The type of a column's cells. Values of different types never match."""

HELD_AS: Final[Mapping[type, Holds]] = {
    str: "text",
    int: "number",
    float: "number",
    Decimal: "number",
    bool: "boolean",
}
"""The type of column for each parsed JSON type; null, lists and objects have none."""

TYPES: Final[Mapping[Holds, frozenset[str]]] = {
    "text": frozenset({"string"}),
    "number": frozenset({"integer", "number"}),
    "boolean": frozenset({"boolean"}),
}
"""The same by JSON Schema type."""

SCALARS: Final = frozenset[str]().union(*TYPES.values())


class GroundingMatch(msgspec.Struct, frozen=True, kw_only=True):
    """One way to compare a value.

    `holds` are the types of values that it can compare. Texts match if their `key` is the same;
    without a key they must be equal. A `tolerant` match compares numbers within the rule's
    `tolerance`. Without `in_column` a value is searched in the session's text.
    """

    holds: tuple[Holds, ...] = ("text", "number", "boolean")
    key: Callable[[str], str] | None = None
    tolerant: bool = False
    in_column: bool = True

    @property
    def types(self) -> frozenset[str]:
        """The JSON Schema types of the values that it can compare."""
        return frozenset[str]().union(*(TYPES[one] for one in self.holds))

    @property
    def needs(self) -> str:
        """What the match needs, for messages."""
        words = {"text": "a string", "number": "a number"}
        return " or ".join(words[one] for one in self.holds if one in words)


MATCHES: Final[Mapping[MatchName, GroundingMatch]] = {
    "exact": GroundingMatch(),
    "casefold": GroundingMatch(key=fold),
    "within": GroundingMatch(holds=("number",), tolerant=True),
    "quote": GroundingMatch(holds=("text",), in_column=False),
}
