"""What an answer is read into: a Python type as a JSON Schema, and artifacts as its instances.

Known are Pydantic models, dataclasses, TypedDict, NamedTuple, `msgspec.Struct`, Enum, Literal,
unions, lists, maps, plain values, dates and times, and all of these inside each other; and a JSON
Schema as a dict, whose artifacts are read as JSON values. A NamedTuple is an array in JSON.

Pydantic is used where the type has a part of Pydantic's (a model, a `Field`), or if msgspec does
not know the type (a union of two dataclasses); it is imported then only. msgspec reads all others.

Models write objects: many decode under no other schema. So a type whose values are no objects (a
list, a union, a text) is the one member of an object, in the schema and in every artifact, row,
rule and pointer: `{"result": …}`. Only `read` returns what is in it. A schema as a dict too; a
RootModel of Pydantic not, since its class says its root.

A schema that only refers to a definition has that definition's members at its root. Titles that
repeat a name are left out.
"""

import enum
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.core.json_text import ENCODER, JsonValue, pointer_parts
from lakehouse.core.kind import RULES_KEYWORD, GroundingRule, ModelFault, SqlRule, digest_of
from lakehouse.output_types import msgspec_types
from lakehouse.output_types.checked_schema import checked_schema
from lakehouse.output_types.idle_markers import RULES_NAME, check_kept, check_written
from lakehouse.output_types.markers import Rule
from lakehouse.output_types.reading import (
    WRAPPED_MEMBER,
    InvalidArtifact,
    Reader,
    TypeLibrary,
    json_of,
)
from lakehouse.output_types.schema_root import (
    is_of_object,
    with_plain_root,
    without_titles,
    wrapped_schema,
)
from lakehouse.output_types.type_code import has_code
from lakehouse.output_types.type_source import source_digest
from lakehouse.output_types.type_tree import (
    TypePart,
    bare,
    children,
    is_fielded,
    is_pydantic_model,
    name_of,
    parts,
    title_of,
)
from lakehouse.validation.schema import CompiledSchema
from lakehouse.validation.schema_rules import without_rules

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar("T")

_PYDANTIC = frozenset({"pydantic", "pydantic_core", "annotated_types"})


class OutputType(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A type that answers are read into.

    `name` has the modules of its classes: `shop.events:Event`, `list[shop.events:Event]`. `schema`
    is JSON Schema 2020-12, compact, with references inside it only, and with the markers of values
    as keywords: `grounding` is what these mean. `rules` are not in it. `wrapped`: each artifact is
    `{"result": …}`.
    `digest` covers the source of the modules that define the type's classes and validators; of one
    module it is the digest of its text; None if the source of one is not known. A type without code
    has the digest of its schema. `has_code`: reading an artifact runs code of the type's author.
    """

    name: str
    schema: bytes
    grounding: tuple[GroundingRule, ...]
    rules: tuple[SqlRule, ...]
    wrapped: bool
    digest: str | None
    has_code: bool
    reader: Reader[Any]

    def read(self, artifact: bytes, context: object = None) -> T:
        """Return the instance that an artifact is. `context` is for validators of Pydantic.

        The schema is not checked here, except for a type that is a schema: what the type's own
        reader takes beyond it, such as `"5"` for 5 by Pydantic, the session has refused before.

        Raises:
            InvalidArtifact: It is none. `faults` are places in the artifact, and messages;
                msgspec tells the first only.
            Exception: Whatever a validator raises that is no rejection: beside `ValueError` and
                `AssertionError` for Pydantic, `ValueError` and `TypeError` for others.
        """
        value: Any = self.reader.read(artifact, context)
        return _unwrapped(value) if self.wrapped else value  # type: ignore[no-any-return]  # a T

    def faults(self, artifact: bytes, context: object = None) -> list[ModelFault]:
        """Return why an artifact is no instance, as `read` raises it; empty if it is one.

        Raises:
            Exception: As `read`, other than `InvalidArtifact`.
        """
        try:
            self.reader.read(artifact, context)
        except InvalidArtifact as error:
            return error.faults
        return []


@overload
def output_type(type_: type[T], /) -> OutputType[T]: ...
@overload
def output_type(type_: Mapping[str, Any], /) -> OutputType[Any]: ...
@overload
def output_type(type_: "TypeForm[T]", /) -> OutputType[T]: ...
@overload  # one made at run time
def output_type(type_: Any, /) -> OutputType[Any]: ...
def output_type(type_: Any, /) -> OutputType[Any]:
    """Make an output type. Cost: about 1 ms, with Pydantic 2 to 4: keep what it returns.

    Raises:
        SetupError: Naming the member: no answer can be read into it, a marker stands where no
            pointer leads or would check nothing, or a rule stands inside.
    """
    if isinstance(type_, Mapping):
        return _of_schema(dict(type_))
    found = list(parts(type_))
    check_written(found)
    rules = _rules(found)
    schema, reader, wrapped = _read_by(type_, found)
    check_kept(found, schema)
    title = title_of(type_)
    schema = without_titles(with_plain_root(schema), "Wrapped" if wrapped else title)
    raw, more = without_rules(ENCODER.encode(schema))
    return OutputType(
        name=name_of(type_),
        schema=raw,
        grounding=checked_schema(raw, title).grounding,
        rules=(*rules, *more),
        wrapped=wrapped,
        digest=source_digest(found, schema),
        has_code=has_code(found),
        reader=reader,
    )


def _of_schema(schema: dict[str, Any]) -> OutputType[Any]:
    wrapped, title = not is_of_object(schema), schema.get("title")
    try:
        raw, rules = without_rules(ENCODER.encode(schema))
        schema.pop(RULES_KEYWORD, None)
        compiled = checked_schema(raw, None)  # as it is, which errors speak of
        if wrapped:
            schema = wrapped_schema(schema)
            raw = ENCODER.encode(schema)
            compiled = checked_schema(raw, None)
    except (TypeError, ValueError) as error:
        hint = "Write plain lists, dicts and texts."
        raise SetupError(f"The schema cannot be used: {error}", hint=hint) from error
    return OutputType(
        name=title if isinstance(title, str) else "schema",
        schema=raw,
        grounding=compiled.grounding,
        rules=rules,
        wrapped=wrapped,
        digest=digest_of(schema),
        has_code=False,
        reader=_SchemaReader(compiled),
    )


class _SchemaReader:
    """Reads artifacts of a schema as JSON values."""

    def __init__(self, schema: CompiledSchema) -> None:
        self._schema = schema

    def read(self, artifact: bytes, context: object) -> JsonValue:  # noqa: ARG002  no validators
        value = json_of(artifact)
        found = self._schema.findings(value, artifact)
        if found:
            faults = [ModelFault(tuple(pointer_parts(one.path)), one.message) for one in found]
            raise InvalidArtifact(faults)
        return value


def _read_by(type_: Any, found: list[TypePart]) -> tuple[dict[str, Any], Reader[Any], bool]:
    """Choose who reads a type: its schema, its reader, and whether it had to be wrapped."""
    refused: Exception = ImportError("Pydantic is not installed.")
    theirs = next(filter(_is_pydantic_s, found), None)
    struct = next(filter(_is_msgspec_s, found), None)
    if theirs is not None and struct is not None:
        raise SetupError(
            f"{struct.member} is msgspec's, and {theirs.member} is Pydantic's; one of them reads "
            "a whole type.",
            hint="Make all its classes of one kind; dataclasses go with both.",
        )
    if theirs is None:
        try:
            return _read_with(msgspec_types, type_)
        except TypeError as error:
            refused = error
            if struct is not None:
                hint = "Structs of one union need tags; other classes must be known to msgspec."
                raise _unknown(found, error, msgspec_types, hint) from error
    try:
        from lakehouse.output_types import pydantic_types  # noqa: PLC0415  imported where it is used
    except ImportError as error:
        hint = "Give that member a JSON type, or install pydantic, which knows more types."
        raise _unknown(found, refused, msgspec_types, hint) from error
    try:
        return _read_with(pydantic_types, type_)
    except pydantic_types.UNKNOWN as error:
        hint = "Give that member a JSON type, or `pydantic.WithJsonSchema`."
        if theirs is None:
            hint += f" msgspec refused the type too: {_first_line(refused)}"
        raise _unknown(found, error, pydantic_types, hint) from error


def _read_with(library: TypeLibrary, type_: Any) -> tuple[dict[str, Any], Reader[Any], bool]:
    schema = library.schema_of(type_)
    # The class of a Pydantic model says what is at its root, also where that is no object.
    wrapped = not is_of_object(schema) and not is_pydantic_model(bare(type_)[0])
    if wrapped:
        type_ = library.wrapper(type_)
        schema = library.schema_of(type_)
    return schema, library.reader_of(type_), wrapped


def _rules(found: list[TypePart]) -> list[SqlRule]:
    """Collect the rules of the whole type; inside it there can be none."""
    rules: list[SqlRule] = []
    for index, part in enumerate(found):
        own = [one for one in part.metadata if isinstance(one, Rule)]
        listed = getattr(part.hint, RULES_NAME, ()) if _is_fielded_class(part.hint) else ()
        if not isinstance(listed, list | tuple) or not all(isinstance(one, Rule) for one in listed):
            raise SetupError(
                f"{part.member}.{RULES_NAME} is {listed!r}; it must list Rule(…).",
                hint='Write `lakehouse_rules: ClassVar = [Rule("SELECT …", "message")]`.',
            )
        if index and (own or (listed and part.hint is not found[0].hint)):
            raise SetupError(
                f"{part.member} has a Rule; a rule judges whole answers, and binds their members.",
                hint=f"Put it around the type: Annotated[{found[0].member}, Rule(…)].",
            )
        rules += [] if index else [SqlRule(one.sql, one.message) for one in (*listed, *own)]
    return rules


def _is_fielded_class(hint: Any) -> bool:
    return is_fielded(getattr(hint, "__origin__", hint))


def _is_pydantic_s(part: TypePart) -> bool:
    names = ("__get_pydantic_core_schema__", "__pydantic_validator__")
    modules = {type(one).__module__.partition(".")[0] for one in part.metadata}
    return (
        any(hasattr(part.hint, name) for name in names)
        or any(hasattr(one, names[0]) for one in part.metadata)
        or not _PYDANTIC.isdisjoint(modules)
    )


def _is_msgspec_s(part: TypePart) -> bool:
    cls = getattr(part.hint, "__origin__", part.hint)
    return msgspec.inspect.is_struct_type(cls) or any(
        isinstance(one, msgspec.Meta) for one in part.metadata
    )


def _unknown(
    found: list[TypePart], error: Exception, library: TypeLibrary, hint: str
) -> SetupError:
    """Name the part that a library does not know: the first without parts that it refuses alone."""
    member = found[0].member
    for part in found[1:]:
        if not children(part.hint):
            try:
                library.schema_of(part.hint)
            except Exception as own:  # noqa: BLE001  whatever it says, this is the part
                member, error = f"{part.member}, {title_of(part.hint)},", own
                break
    if _is_plain_class(found[0].hint):
        return SetupError(
            f"{member} is a plain class, and cannot be a type of answers.",
            hint="Make it a dataclass, a TypedDict, a msgspec.Struct or a Pydantic model.",
        )
    told = f"{member} cannot be a type of answers: {_first_line(error)}"
    return SetupError(told, hint=hint)


def _is_plain_class(hint: Any) -> bool:
    """Return whether it is a class of a program, with annotations that nothing reads."""
    return (
        isinstance(hint, type)
        and not is_fielded(hint)
        and not issubclass(hint, enum.Enum)
        and not hasattr(hint, "__get_pydantic_core_schema__")
        and hint.__module__ not in sys.stdlib_module_names
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _unwrapped(value: Any) -> Any:
    return value[WRAPPED_MEMBER] if isinstance(value, dict) else getattr(value, WRAPPED_MEMBER)
