"""Refuses markers and rules that stand where they would check nothing."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.core.kind import GROUNDING_KEYWORD
from lakehouse.output_types.markers import Grounded, Quote, Rule, ValueMarker, Within
from lakehouse.output_types.type_tree import TypePart, is_fielded, is_pydantic_model, title_of

RULES_NAME: Final = "lakehouse_rules"
_UNCALLED: Final = (Grounded, Quote, Rule, ValueMarker, Within)


def check_written(found: list[TypePart]) -> None:
    """See that every marker is called, stands in `Annotated`, and that its value has one name.

    Raises:
        SetupError: One is not; names the member.
    """
    marked = any(isinstance(one, ValueMarker | Rule) for part in found for one in part.metadata)
    for part in found:
        for one in part.metadata:
            if any(one is each for each in _UNCALLED):
                name = getattr(one, "__name__", "")
                raise SetupError(
                    f"{part.member} has {name} itself, which checks nothing.",
                    hint=f"Call it: `Annotated[str, {name}(…)]`.",
                )
        cls = getattr(part.hint, "__origin__", part.hint)
        if is_fielded(cls):
            for name, default in _defaults(cls):
                _check_member(f"{title_of(part.hint)}.{name}", name, default)
        if marked or hasattr(cls, RULES_NAME):
            _check_names(part, cls)


def check_kept(found: list[TypePart], schema: Mapping[str, Any]) -> None:
    """See that the schema of a type has what its markers say.

    Raises:
        SetupError: Something took a marker out of it; names the member.
    """
    marked = [(part, one) for part in found for one in part.metadata]
    said = list(_said(schema)) if marked else []
    for part, one in marked:
        if isinstance(one, ValueMarker) and one.keyword() not in said:
            raise SetupError(
                f"{part.member} has {one!r}, which is not in the schema that is made of it.",
                hint="Write the marker last in Annotated: WithJsonSchema and SkipJsonSchema take "
                f"out what is before them; and keep {GROUNDING_KEYWORD!r} in json_schema_extra.",
            )


def _check_member(member: str, name: str, default: object) -> None:
    if name == RULES_NAME:
        raise SetupError(
            f"{member} is a member of the answer, so its rules would check nothing.",
            hint=f'Write `{RULES_NAME}: ClassVar = [Rule("SELECT …", "message")]`.',
        )
    if isinstance(default, ValueMarker | Rule):
        raise SetupError(
            f"{member} has {default!r} as its default, which checks nothing.",
            hint=f"Write it into the type: `{name}: Annotated[str, {type(default).__name__}(…)]`.",
        )


def _check_names(part: TypePart, cls: Any) -> None:
    for name, info in getattr(cls, "__pydantic_fields__", {}).items():
        alias = info.validation_alias
        if not isinstance(alias, str | None):
            raise SetupError(
                f"{title_of(part.hint)}.{name} is read from {alias!r}, and markers and rules check "
                "one name only, which an answer could evade.",
                hint=f'Give it one name: `{name}: … = Field(alias="…")`.',
            )


def _defaults(cls: Any) -> Iterator[tuple[str, object]]:
    """Give the members of a class and their defaults, None where there is none."""
    if is_pydantic_model(cls):
        yield from ((name, info.default) for name, info in cls.model_fields.items())
    elif dataclasses.is_dataclass(cls):
        yield from ((one.name, one.default) for one in dataclasses.fields(cls))
    elif msgspec.inspect.is_struct_type(cls):
        yield from ((one.name, one.default) for one in msgspec.structs.fields(cls))
    else:
        yield from {**cls.__annotations__, **getattr(cls, "_field_defaults", {})}.items()


def _said(schema: Mapping[str, Any]) -> Iterator[object]:
    """Give what every `x-lakehouse` in a schema says."""
    waiting: list[Any] = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            keyword = one.get(GROUNDING_KEYWORD, [])
            yield from keyword if isinstance(keyword, list) else [keyword]
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
