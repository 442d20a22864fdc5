"""Grounding that a schema carries (`x-lakehouse`), added to the kind whose answers it judges.

A caller's schema names tables of this configuration. What of it cannot work is the caller's fault,
and is refused before any call: a rule that cannot apply, an unknown table, a column that is not
there or whose values no answer could equal.
"""

from collections.abc import Collection
from typing import Final

import msgspec

from lakehouse.core.errors import ColumnUnfit, Refusal, TableUnavailable
from lakehouse.core.kind import GROUNDING_KEYWORD, GroundingRule, Kind
from lakehouse.core.matches import TYPES
from lakehouse.core.ports import TableSource
from lakehouse.core.suggestion import did_you_mean
from lakehouse.core.wording import shown
from lakehouse.grounding.rules import fault_of, required_fault, split_reference
from lakehouse.validation.pointers import doubts_of, null_fault, scalar_types
from lakehouse.validation.schema import CompiledSchema
from lakehouse.validation.schema_choices import ViewTooLarge

_TABLES_NAMED_MAX: Final = 20  # in one message


def with_carried(
    kind: Kind,
    schema: CompiledSchema,
    tables: Collection[str] | None,
    private: Collection[str] = (),
) -> Kind:
    """Return a kind with the rules that the schema in force carries, checked.

    Rules that the kind has already are not added again. `tables` are those configured; None: only
    another process knows them. Of those that are `private`, only the kind may use columns. Cost:
    none without such rules, else about 2 ms a rule, once.

    Raises:
        Refusal: `invalid_schema`, naming the value's pointer, what is wrong, and the nearest name.
    """
    if not schema.grounding:
        return kind
    for rule in schema.grounding:
        fault = fault_of(rule)
        if fault is None and rule.candidates_required:
            fault = required_fault(rule.candidates or kind.candidates)
        if fault is None and tables is not None:
            fault = _table_fault(rule, tables)
        if fault is not None:
            raise _refusal(rule, fault)
    if schema.carried_types is None:
        schema.carried_types = _types(schema)
    added = tuple([rule for rule in schema.grounding if rule not in kind.grounding])
    if not added:
        return kind
    for rule in added:
        table = "" if rule.column is None else split_reference(rule.column)[0]
        if table in private:
            told = f"table {shown(table)} is private: only configured kinds may use it"
            raise _refusal(rule, told)
    grounding, carried = (*kind.grounding, *added), msgspec.json.encode(added)
    return msgspec.structs.replace(kind, grounding=grounding, carried=carried)


async def check_columns(kind: Kind, schema: CompiledSchema, tables: TableSource) -> None:
    """Check what a caller's schema says of columns against the tables as they are now.

    A table that cannot be read is left to the session, whose row says so.

    Raises:
        Refusal: `invalid_schema`, naming the column, and the nearest one or its type.
    """
    try:
        snapshot = await tables.snapshot(kind)
    except ColumnUnfit as error:
        for rule in schema.grounding:
            if error.reference in rule.references():
                raise _refusal(rule, f"column {shown(error.reference)}: {error.fault}") from error
        return
    except TableUnavailable:
        return
    types = schema.carried_types or {}
    for rule in schema.grounding:
        places = {} if rule.column is None else {rule.path: rule.column, **rule.with_}
        for at, reference in places.items():
            column = snapshot.columns[reference]
            if at in types and not column.empty and not types[at] & TYPES[column.holds]:
                raise _refusal(
                    rule,
                    f"{at!r} can only be {' or '.join(sorted(types[at]))}, and column "
                    f"{shown(reference)} contains {column.holds}: no answer could be accepted",
                )


def _types(schema: CompiledSchema) -> dict[str, frozenset[str]]:
    """Check the pointers of the rules; returns the types that a value at each can have."""
    for rule in schema.grounding:
        fault = null_fault(schema, rule.path) if rule.candidates_required else None
        if fault is not None:
            raise _refusal(rule, fault)
    try:
        view = schema.view()
        for rule in schema.grounding:
            for doubt in doubts_of(schema, rule, view):
                if doubt.fatal:
                    raise _refusal(rule, doubt.message)
        places = dict.fromkeys(at for rule in schema.grounding for at in (rule.path, *rule.with_))
        types = {at: scalar_types(view, at) for at in places}
    except ViewTooLarge:
        return {}  # its answers are judged all the same
    return {at: found for at, found in types.items() if found}


def _table_fault(rule: GroundingRule, tables: Collection[str]) -> str | None:
    for reference in rule.references():
        table, _ = split_reference(reference)
        if table not in tables:
            known = ", ".join(map(shown, list(tables)[:_TABLES_NAMED_MAX]))
            return (
                f"table {shown(table)} is not configured{did_you_mean(table, tables)}; "
                f"{f'configured are {known}' if known else 'no table is configured'}"
            )
    return None


def _refusal(rule: GroundingRule, fault: str) -> Refusal:
    at = shown(rule.path) if rule.path else "the whole answer"
    return Refusal(
        "invalid_schema",
        f"The schema is not accepted: `{GROUNDING_KEYWORD}` of {at}: {fault}.",
        hint=f"`{GROUNDING_KEYWORD}` means a grounding rule: its columns are those of the "
        "configured tables.",
    )
