"""Checks grounding rules against their columns: a value that no cell can equal is an error.

Text, numbers and booleans never match each other. A rule whose pointer allows only numbers, on a
column of text, would reject every answer: of a CSV table that is known from the configuration
alone, of the others once the table is read.
"""

from collections.abc import Iterator
from typing import Final

from lakehouse.config.settings import Config
from lakehouse.core.errors import SetupError
from lakehouse.core.kind import GROUNDING_KEYWORD, GroundingRule, Kind
from lakehouse.core.matches import MATCHES, SCALARS, TYPES, Holds
from lakehouse.core.ports import TableSnapshot
from lakehouse.grounding.rules import split_reference
from lakehouse.tabular.formats import leaves_types
from lakehouse.validation.pointers import scalar_types
from lakehouse.validation.schema import CompiledSchema
from lakehouse.validation.schema_choices import ViewTooLarge

_TYPE_OF: Final[dict[str, Holds]] = {"integer": "number", "number": "number", "boolean": "boolean"}


def check_columns(kind: Kind, schema: CompiledSchema, config: Config) -> None:
    """Check a kind's grounding against the CSV columns that it names.

    Raises:
        SetupError: No value of a column is allowed by the schema; names the type to configure.
    """
    for index, rule in enumerate(kind.grounding):
        for at, reference, types in _asked(rule, schema):
            table, column = split_reference(reference)
            settings = config.tables[table]
            if not leaves_types(settings.path):
                continue
            configured = settings.types.get(column, "text")
            holds = _TYPE_OF.get(configured, "text")
            # Whatever the schema allows, `within` needs numbers.
            able = MATCHES[rule.match].types
            needed = types if able == SCALARS else able
            if needed & TYPES[holds]:
                continue
            raise SetupError(
                f"{config.source}: {place_of(kind, index, schema)}: {at!r} needs "
                f"{_words(needed)}, and column {column!r} of the CSV table {table!r} contains "
                f"{configured}: no answer could ever be accepted.",
                hint=_hint(table, column, needed),
            )


def place_of(kind: Kind, index: int, schema: CompiledSchema) -> str:
    """Name the place of a rule for messages: its entry, or what carries it in the kind's schema."""
    rule = kind.grounding[index]
    if rule in schema.grounding:
        return f"kinds.{kind.name}.schema: `{GROUNDING_KEYWORD}` of {rule.path!r}"
    return f"kinds.{kind.name}.grounding[{index}]"


def misfits(kind: Kind, schema: CompiledSchema, snapshot: TableSnapshot) -> Iterator[str]:
    """List grounded columns of loaded tables whose type the schema does not allow."""
    for rule in kind.grounding:
        for at, reference, types in _asked(rule, schema):
            column = snapshot.columns[reference]
            if not types & TYPES[column.holds]:
                yield (
                    f"{at!r} of kinds.{kind.name} can only be {_words(types)}, and "
                    f"{reference} contains {column.holds}: no answer could ever be accepted"
                )


def empty_columns(kind: Kind, snapshot: TableSnapshot) -> list[str]:
    """List the kind's grounded columns that have no values yet."""
    references = [one for rule in kind.grounding for one in rule.references()]
    return [one for one in dict.fromkeys(references) if snapshot.columns[one].empty]


def _asked(
    rule: GroundingRule, schema: CompiledSchema
) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Return each pointer of a rule with its column and the scalar types that the schema allows."""
    if rule.column is None:
        return
    try:
        view = schema.view()
        pairs = [(rule.path, rule.column), *rule.with_.items()]
        found = [(at, reference, scalar_types(view, at)) for at, reference in pairs]
    except ViewTooLarge:
        return
    yield from (one for one in found if one[2])


def _words(types: frozenset[str]) -> str:
    return " or ".join(sorted(types - {"integer"} if "number" in types else types))


def _hint(table: str, column: str, types: frozenset[str]) -> str:
    if "string" in types:
        return f"Leave {column!r} out of `types` under [tables.{table}], or correct the schema."
    wanted = "boolean" if types == {"boolean"} else "integer" if types == {"integer"} else "number"
    name = column if column.isidentifier() else f'"{column}"'
    return f'Add `types = {{ {name} = "{wanted}" }}` under [tables.{table}].'
