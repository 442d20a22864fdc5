"""What limits of a decoder are about: the values that a schema lists, and their characters."""

from collections.abc import Iterable, Mapping
from typing import Self

import msgspec

from lakehouse.core.chat import SchemaLimits
from lakehouse.core.json_text import JsonValue, pointer_parts


class SchemaWeight(msgspec.Struct, frozen=True):
    """The values of every `enum` and `const`, the characters of those that are texts."""

    values: int = 0
    characters: int = 0
    references: frozenset[str] = frozenset()
    """Names of definitions that references lead to."""

    @classmethod
    def of(cls, node: JsonValue) -> Self:
        values = characters = 0
        references = set()
        pending = [node]
        while pending:
            one = pending.pop()
            if isinstance(one, list):
                pending += [item for item in one if isinstance(item, dict | list)]
                continue
            if not isinstance(one, dict):
                continue
            target = one.get("$ref")
            if isinstance(target, str):
                references.add("".join(pointer_parts(target.removeprefix("#"))[1:2]))
            if "enum" in one or "const" in one:
                listed = one.get("enum")
                found = [*(listed if isinstance(listed, list) else ()), one.get("const", True)]
                values += len(found) - ("const" not in one)
                characters += sum(len(value) for value in found if isinstance(value, str))
            pending += [item for item in one.values() if isinstance(item, dict | list)]
        return cls(values, characters, frozenset(references))

    def fits(self, size: int, limits: SchemaLimits) -> bool:
        """Return whether a schema of so many bytes is within the limits; not all are about this."""
        return (
            (limits.values_max is None or self.values <= limits.values_max)
            and (limits.characters_max is None or self.characters <= limits.characters_max)
            and (limits.bytes_max is None or size <= limits.bytes_max)
        )


def total(weights: Iterable[SchemaWeight]) -> SchemaWeight:
    """Add weights up."""
    each = list(weights)
    return SchemaWeight(
        sum([one.values for one in each]),
        sum([one.characters for one in each]),
        frozenset().union(*[one.references for one in each]),
    )


class Definitions:
    """The definitions of a schema, of which a narrowed one keeps those that it refers to."""

    def __init__(self, nodes: Mapping[str, JsonValue]) -> None:
        self._nodes = nodes
        self._weights = {name: SchemaWeight.of(node) for name, node in nodes.items()}

    def needed(self, weight: SchemaWeight) -> tuple[dict[str, JsonValue], SchemaWeight]:
        """Return those that a part refers to, themselves or by others, and the weight of all."""
        pending, used = list(weight.references), set[str]()
        while pending:
            name = pending.pop()
            if name in self._weights and name not in used:
                used.add(name)
                pending += self._weights[name].references
        if not used:
            return {}, weight
        weights = [weight, *(self._weights[name] for name in used)]
        return {name: self._nodes[name] for name in self._nodes if name in used}, total(weights)
