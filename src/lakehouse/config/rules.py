"""Checks the SQL rules of all kinds against their schemas, and tries them, at start.

Separate from `kinds`, because this loads DuckDB, which a gateway and a stack without rules do not
need.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Literal

import msgspec

from lakehouse.config.settings import Config
from lakehouse.core.errors import SetupError
from lakehouse.core.json_text import pointer
from lakehouse.core.kind import RULES_KEYWORD, Kind, SqlRule
from lakehouse.core.shape import RuleInputs
from lakehouse.core.suggestion import did_you_mean
from lakehouse.grounding.binding import PreparedRule
from lakehouse.grounding.preparing import prepare_rules
from lakehouse.grounding.tables import Rules, TableFiles
from lakehouse.validation.pointers import state_of
from lakehouse.validation.samples import samples_of
from lakehouse.validation.schema import CompiledSchema, SchemaCache
from lakehouse.validation.schema_choices import ViewTooLarge
from lakehouse.validation.shapes import member_shapes

Place = Callable[[int], tuple[str, str]]
"""Names a rule by its index for a message, and says where it is written."""


def prepare_kinds(
    kinds: Mapping[str, Kind], schemas: SchemaCache, config: Config
) -> Mapping[str, Rules]:
    """Prepare the rules of every kind. Rules that read no table are also tried. Blocks.

    Raises:
        SetupError: Naming the kind and the rule: it is not a query, reads an unknown table, binds a
            member that the schema does not allow, or fails for every answer.
    """
    return {
        name: prepare(kind.rules, schemas.of(kind), config, partial(_place, kind, config))
        for name, kind in kinds.items()
        if kind.rules
    }


def table_files(kinds: Mapping[str, Kind], schemas: SchemaCache, config: Config) -> TableFiles:
    """Make the tables of a configuration, with the rules that read them; see `prepare_kinds`."""
    settings = {
        name: msgspec.structs.replace(table, path=str(config.path(table.path)))
        for name, table in config.tables.items()
    }
    return TableFiles(settings, prepare_kinds(kinds, schemas, config))


def doubts_about_rules(
    rules: Mapping[str, Rules], kinds: Mapping[str, Kind], schemas: SchemaCache
) -> list[str]:
    """List rules whose result is always the same, and members that schemas do not name."""
    found = []
    for name, kind in kinds.items():
        schema = schemas.of(kind)
        for index, rule in enumerate(kind.rules):
            field = f"kinds.{name}.rules[{index}].sql"
            prepared = rules[name][rule.sql]
            if not prepared.members:
                found.append(
                    f"{field}: it binds no $member, so its result is the same for every answer"
                )
            found += [
                f"{field}: ${member} is not named in the schema, which allows any member: "
                f"without it, NULL is bound"
                for member, state in _states(prepared, schema)
                if state == "open"
            ]
    return found


def prepare(
    rules: Sequence[SqlRule],
    schema: CompiledSchema,
    config: Config,
    place: Place,
    *,
    named_only: bool = False,
) -> Mapping[str, PreparedRule]:
    """Prepare rules for the answers of a schema; see `prepare_kinds`.

    With `named_only`, they may bind only members that the schema names.
    """
    inputs = RuleInputs(member_shapes(schema), samples_of(schema))
    prepared: dict[str, PreparedRule] = {}
    for index, rule in enumerate(rules):
        field, written = place(index)
        try:
            one = prepare_rules([rule], config.tables, inputs)[rule.sql]
        except SetupError as error:
            raise SetupError(
                f"{field}: {error.public}",
                hint=error.hint or f"Correct `sql` {written}.",
            ) from error
        for member, state in _states(one, schema):
            if state == "missing" or (named_only and state == "open"):
                raise SetupError(
                    f"{field}: the rule {rule.sql!r} binds ${member}, a member that the schema "
                    f"does not {'allow' if state == 'missing' else 'name'}"
                    f"{_known(member, inputs)}.",
                    hint="Correct the name, or name the member in the kind's schema.",
                )
        prepared[rule.sql] = one
    return prepared


def _place(kind: Kind, config: Config, index: int) -> tuple[str, str]:
    """Name a rule of a kind, and where it is written: the configuration's come first."""
    settings = config.kinds[str(kind.name)]
    field = f"{config.source}: kinds.{kind.name}"
    if index < len(settings.rules):
        return f"{field}.rules[{index}].sql", f"under [[kinds.{kind.name}.rules]]"
    if settings.python is not None:
        return f"{field}.python", f"in a Rule of {settings.python}"
    return f"{field}.schema: `{RULES_KEYWORD}`", f"in {settings.schema}"


def _states(
    rule: PreparedRule, schema: CompiledSchema
) -> Iterator[tuple[str, Literal["declared", "open", "missing"]]]:
    for member in rule.members:
        try:
            yield member, state_of(schema.view(), pointer(member))
        except ViewTooLarge:
            yield member, "open"


def _known(member: str, inputs: RuleInputs) -> str:
    if member.isdecimal():
        return "; parameters are not positional: write $name, the member's name, not ? or $1"
    if not inputs.shapes:
        return "; the schema names none"
    names = ", ".join(f"${name}" for name in inputs.shapes)
    return f"{did_you_mean(member, inputs.shapes)}; its members are {names}"
