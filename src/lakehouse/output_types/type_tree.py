"""The parts of a Python type: its members and elements, each with what `Annotated` says of it.

One reading for every kind of class, with generics resolved. It refuses what no answer can be read
into; what else a class may be is for the library that reads it.
"""

import collections.abc
import dataclasses
import inspect
import types
from collections.abc import Iterator, Mapping
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Generic,
    Literal,
    NewType,
    NoReturn,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from lakehouse.core.errors import SetupError

_ARRAYS = frozenset(
    {list, set, frozenset, collections.abc.Sequence, collections.abc.MutableSequence}
    | {collections.abc.Collection, collections.abc.Set, collections.abc.MutableSet}
    | {collections.abc.Iterable}
)
_MAPS = frozenset({dict, collections.abc.Mapping, collections.abc.MutableMapping})
_ARGUMENTS: Mapping[Any, str] = {list: "[str]", dict: "[str, int]", tuple: "[str, int]"}
_WRAPPERS = frozenset({"Required", "NotRequired", "ReadOnly", "Final"})

Step = tuple[str, str | int]
"""How a part lies in its whole: `member` and its name, `element`, `value`, `key` of a map, `branch`
of a union and its number, or `position` in an array."""


class TypePart(msgspec.Struct, frozen=True):
    """One part. `member` names it for people; `hint` is its type without `Annotated`."""

    member: str
    hint: Any
    metadata: tuple[object, ...]


def parts(whole: object) -> Iterator[TypePart]:
    """Walk a type from its root, each class once.

    In a Pydantic model, what says nothing of its values (`Any`, `dict`) may hold any, as Pydantic
    has it.

    Raises:
        SetupError: Naming the member that cannot be part of an answer.
    """
    seen = set()
    waiting = [(title_of(whole), whole, False)]
    while waiting:
        member, annotated, theirs = waiting.pop()
        hint, metadata = bare(annotated)
        yield TypePart(member, hint, metadata)
        if _named(hint):
            if hint in seen:
                continue
            seen.add(hint)
        if not any(hasattr(one, "__get_pydantic_core_schema__") for one in metadata):
            _check(member, hint)
            if not theirs:
                _check_says_something(member, hint, metadata)
        theirs = theirs or is_pydantic_model(hint)
        inner = [(_called(member, hint, step), child, theirs) for step, child in children(hint)]
        waiting += reversed(inner)


def bare(annotated: Any) -> tuple[Any, tuple[object, ...]]:
    """Split a type into itself and its metadata; see through `NewType`, aliases, `Required`."""
    hint: Any = annotated
    metadata: tuple[object, ...] = ()
    while True:
        origin = get_origin(hint)
        if origin is Annotated:
            metadata = hint.__metadata__ + metadata
            hint = hint.__origin__
        elif isinstance(hint, NewType):
            hint = hint.__supertype__
        elif getattr(origin, "_name", None) in _WRAPPERS:
            hint = get_args(hint)[0]
        elif type(hint).__name__ == "TypeAliasType" and not _recursive(hint):
            hint = hint.__value__
        elif type(origin).__name__ == "TypeAliasType":
            assert origin is not None
            values = dict(zip(origin.__type_params__, get_args(hint), strict=True))
            hint = _filled(origin.__value__, values)
        else:
            return hint, metadata


def children(hint: Any) -> list[tuple[Step, Any]]:
    """Return the parts right inside a bare type, still annotated."""
    origin, args = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, types.UnionType):
        branches = [one for one in args if one is not msgspec.UnsetType]
        return [(("branch", index), one) for index, one in enumerate(branches)]
    if is_fielded(origin):
        return [(("member", name), one) for name, one in fields_of(hint).items()]
    if not args or origin is Literal:
        return []
    if origin in _ARRAYS or (origin is tuple and len(args) == 2 and args[1] is ...):
        return [(("element", 0), args[0])]
    if origin is tuple:
        return [(("position", index), one) for index, one in enumerate(args)]
    if origin in _MAPS and len(args) == 2:
        return [(("key", 0), args[0]), (("value", 0), args[1])]
    return []


def fields_of(hint: Any) -> dict[str, Any]:
    """Return the members of a class in their order, type variables filled in.

    Raises:
        SetupError: An annotation cannot be resolved.
    """
    cls = get_origin(hint) or hint
    if is_pydantic_model(cls):
        if not cls.__pydantic_complete__:
            cls.model_rebuild(raise_errors=False)
        fields = cls.model_fields.items()
        return {name: _again(one.annotation, one.metadata) for name, one in fields}
    hints = _hints(hint)
    if dataclasses.is_dataclass(cls):
        return {one.name: hints[one.name] for one in dataclasses.fields(cls)}
    if msgspec.inspect.is_struct_type(cls):
        return {name: hints[name] for name in cls.__struct_fields__}
    return {name: hints[name] for name in getattr(cls, "_fields", hints) if name in hints}


def is_fielded(cls: Any) -> bool:
    """Return whether it is a class whose values have named members."""
    return isinstance(cls, type) and (
        is_pydantic_model(cls)
        or dataclasses.is_dataclass(cls)
        or issubclass(cls, msgspec.Struct)
        or _is_typed_dict(cls)
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
    )


def is_pydantic_model(cls: Any) -> bool:
    """Return whether it is a model of Pydantic 2, without importing Pydantic. BaseModel is none."""
    return (
        isinstance(cls, type)
        and hasattr(cls, "__pydantic_generic_metadata__")
        and hasattr(cls, "model_fields")
    )


def title_of(annotated: Any) -> str:
    """Name a type for people, as it is written: `Event`, `list[Event]`, `Event | None`."""
    return _written(annotated, lambda cls: cls.__qualname__.rpartition("<locals>.")[2])


def name_of(annotated: Any) -> str:
    """Name a type with the modules of its classes: `package.module:Event`."""

    def qualified(cls: type) -> str:
        return f"{cls.__module__}:{cls.__qualname__}"

    return _written(annotated, qualified)


def _written(annotated: Any, called: collections.abc.Callable[[type], str]) -> str:
    hint = bare(annotated)[0]
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, args))}]"
    inner = [_written(one, called) for one in args]
    if origin in (Union, types.UnionType):
        return " | ".join(inner)
    cls = origin or hint
    if hint is types.NoneType:
        return "None"
    if not isinstance(cls, type):
        return "..." if cls is ... else str(getattr(cls, "__name__", cls))
    name = cls.__name__ if cls.__module__ in {"builtins", "collections.abc"} else called(cls)
    return f"{name}[{', '.join(inner)}]" if inner else name


def _check(member: str, hint: Any) -> None:
    """Refuse what no library makes a schema of."""
    origin = get_origin(hint) or hint
    if origin in (collections.abc.Callable, type) or _is_function(hint):
        name = "a class" if origin is type else "a callable"
        _refuse(member, name, "An answer is JSON: texts, numbers, lists and objects.")
    elif isinstance(hint, str | ForwardRef):
        text = hint if isinstance(hint, str) else hint.__forward_arg__
        _refuse(
            member,
            f"the name {text!r}, which leads to no type",
            "Define that class at the top of its module.",
        )


def _check_says_something(member: str, hint: Any, metadata: tuple[object, ...]) -> None:
    origin, args = get_origin(hint) or hint, get_args(hint)
    if hint in (Any, object):
        if not any(hasattr(one, "__get_pydantic_json_schema__") for one in metadata):
            _refuse(member, "Any" if hint is Any else "object", "Say which values it may have.")
    elif hasattr(hint, "model_rebuild") and not is_pydantic_model(hint):
        _refuse(member, "BaseModel itself", "Name a class that is derived from it.")
    elif isinstance(hint, TypeVar):
        _refuse(member, f"the type variable {hint.__name__}", "Write the type: `Box[str]`, say.")
    elif not args and (origin in _ARRAYS or origin in _MAPS or origin is tuple):
        name = origin.__name__
        _refuse(
            member,
            f"{name}, without a type for what is in it",
            f"Write `{name}{_ARGUMENTS.get(origin, '[str]')}`, say.",
        )


def _refuse(member: str, what: str, hint: str) -> NoReturn:
    raise SetupError(f"{member} is {what}; that cannot be a type of answers.", hint=hint)


def _called(member: str, hint: Any, step: Step) -> str:
    way, name = step
    if way == "member":
        return f"{title_of(hint)}.{name}"
    words = {"element": "each element of ", "value": "each value of ", "key": "each key of "}
    return f"item {name} of {member}" if way == "position" else words.get(way, "") + member


def _hints(hint: Any) -> dict[str, Any]:
    """Return the annotations of a class and its bases, with each one's type variables filled in."""
    cls = get_origin(hint) or hint
    values: Mapping[Any, Any] = {}
    if get_args(hint):
        values = dict(zip(cls.__parameters__, get_args(hint), strict=True))
    found: dict[str, Any] = {}
    for base in reversed(cls.__dict__.get("__orig_bases__", cls.__bases__)):
        if is_fielded(get_origin(base) or base) and get_origin(base) is not Generic:
            found |= {name: _filled(one, values) for name, one in _hints(base).items()}
    try:
        known = get_type_hints(cls, localns={cls.__name__: cls}, include_extras=True)
    except (NameError, TypeError, SyntaxError) as error:
        raise SetupError(
            f"An annotation of {cls.__qualname__} cannot be read: {error}.",
            hint="Define the classes that it names at the top of its module.",
        ) from error
    own = known if _is_typed_dict(cls) else inspect.get_annotations(cls)
    return found | {name: _filled(known[name], values) for name in own}


def _filled(hint: Any, values: Mapping[Any, Any]) -> Any:
    if isinstance(hint, TypeVar):
        return values.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    if not parameters or isinstance(hint, type):
        return hint
    return hint[tuple(values.get(one, one) for one in parameters)]


def _again(hint: Any, metadata: list[Any]) -> Any:
    for one in metadata:
        hint = Annotated[hint, one]
    return hint


def _named(hint: Any) -> bool:
    return is_fielded(get_origin(hint) or hint) or type(hint).__name__ == "TypeAliasType"


def _recursive(alias: Any) -> bool:
    """Return whether an alias names itself; then only a library that knows it can follow."""

    def names_it(value: Any) -> bool:
        text = value.__forward_arg__ if isinstance(value, ForwardRef) else value
        return value is alias or text == alias.__name__ or any(map(names_it, get_args(value)))

    return names_it(alias.__value__)


def _is_typed_dict(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, dict) and hasattr(cls, "__total__")


def _is_function(hint: Any) -> bool:
    return callable(hint) and isinstance(
        hint, types.FunctionType | types.BuiltinFunctionType | types.MethodType | types.LambdaType
    )
