"""Types that msgspec knows: structs, dataclasses, TypedDict, NamedTuple and all that is plain.

msgspec makes the schema. What it leaves out is put in: our markers, the formats of times, and
members in the order of the class, in which a model writes them.
"""

import datetime as dt
import re
import types
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar, Union, get_origin

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.core.json_text import JsonValue, pointer_parts
from lakehouse.core.kind import ModelFault
from lakehouse.output_types.markers import ValueMarker, marked
from lakehouse.output_types.reading import (
    WRAPPED_MEMBER,
    InvalidArtifact,
    Reader,
    json_of,
)
from lakehouse.output_types.type_tree import bare, children, is_fielded, title_of

T = TypeVar("T")

# msgspec names no format where it takes times without a zone too. A model needs to know one.
_FORMATS: Final[Mapping[Any, str]] = {dt.datetime: "date-time", dt.time: "time"}
_PLACE: Final = re.compile(r"(.*?)(?: - at `(?:key` in `)?\$(.*)`)?", re.DOTALL)


class _Reader(Generic[T]):
    """Reads artifacts into one type. It names the first fault only, as msgspec does.

    Raises:
        TypeError: msgspec does not know the type.
    """

    def __init__(self, type_: Any) -> None:
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(type_)

    def read(self, artifact: bytes, context: object) -> T:  # noqa: ARG002  nobody asks for it here
        try:
            return self._decoder.decode(artifact)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidArtifact([_fault(str(error), artifact)]) from error


def schema_of(type_: Any) -> dict[str, Any]:
    """Return the JSON Schema of a type that msgspec can read, with markers.

    Raises:
        SetupError: A marker stands where none can.
        TypeError: The type has no JSON Schema.
    """
    try:
        schema = msgspec.json.schema(type_)
    except KeyError as error:  # msgspec names definitions by their classes' full names
        raise TypeError(f"two classes have the name {error}") from error
    except NameError as error:  # it looks for names in modules only
        raise TypeError(f"{error}; define that class at the top of its module") from error
    _Marks(schema).put(type_, schema, title_of(type_))
    return schema


def reader_of(type_: Any) -> Reader[Any]:
    """Return what reads artifacts into a type."""
    return _Reader(type_)


def wrapper(type_: Any) -> Any:
    """Return a struct of one member."""
    return msgspec.defstruct("Wrapped", [(WRAPPED_MEMBER, type_)], forbid_unknown_fields=True)


class _Marks:
    """Walks a type and the schema that msgspec made of it, side by side."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._seen: set[Any] = set()

    def put(self, annotated: Any, node: dict[str, Any], member: str) -> None:
        hint, metadata = bare(annotated)
        markers = [one for one in metadata if isinstance(one, ValueMarker)]
        if markers:
            node.update(marked(node, markers))
        if hint in _FORMATS and not any(getattr(one, "tz", None) is False for one in metadata):
            node.setdefault("format", _FORMATS[hint])
        cls = get_origin(hint) or hint
        target = self._target(node)
        if is_fielded(cls):
            if hint not in self._seen:
                self._seen.add(hint)
                self._put_members(hint, target)
        elif cls in (Union, types.UnionType):
            for child, place in _branches([child for _, child in children(hint)], target):
                self.put(child, place, member)
        else:
            self._put_elements(hint, target, member)

    def _put_members(self, hint: Any, node: dict[str, Any]) -> None:
        node.pop("title", None)  # the class's name, as msgspec writes it
        inner = [(str(name), child) for (_, name), child in children(hint)]
        names = _names(get_origin(hint) or hint, [name for name, _ in inner])
        is_object = "properties" in node
        if is_object:
            _put_in_order(node, list(names.values()))
        for index, (name, child) in enumerate(inner):
            place = node["properties"][names[name]] if is_object else node["prefixItems"][index]
            self.put(child, place, f"{title_of(hint)}.{name}")

    def _put_elements(self, hint: Any, node: dict[str, Any], member: str) -> None:
        for (way, index), child in children(hint):
            if way == "position":
                self.put(child, node["prefixItems"][index], member)
            elif way != "key":
                self.put(
                    child, node["items" if way == "element" else "additionalProperties"], member
                )
            elif any(isinstance(one, ValueMarker) for one in bare(child)[1]):
                raise SetupError(
                    f"The keys of {member} have a marker; only values can be grounded.",
                    hint="Use a list of objects, with the key as a member.",
                )

    def _target(self, node: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in node:
            return node
        target: Any = self._schema
        for part in pointer_parts(node["$ref"].removeprefix("#")):
            target = target[part]
        assert isinstance(target, dict)
        return target


def _branches(members: list[Any], node: dict[str, Any]) -> list[tuple[Any, dict[str, Any]]]:
    """Pair the branches of a union with those of its schema: plain ones, structs, null."""
    if len(members) == 1:
        return [(members[0], node)]

    def rank(annotated: Any) -> int:
        hint = bare(annotated)[0]
        cls = get_origin(hint) or hint
        if hint in (None, types.NoneType):
            return 2
        is_struct = isinstance(cls, type) and issubclass(cls, msgspec.Struct)
        return int(is_struct and not cls.__struct_config__.array_like)

    def leaves(one: dict[str, Any]) -> list[dict[str, Any]]:
        inner = one["anyOf"] if one is node or "discriminator" in one else None
        return [one] if inner is None else [leaf for each in inner for leaf in leaves(each)]

    return list(zip(sorted(members, key=rank), leaves(node), strict=True))


def _names(cls: Any, fields: list[str]) -> dict[str, str]:
    """Map the members of a class to their names in JSON."""
    if msgspec.inspect.is_struct_type(cls):
        return dict(zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True))
    return dict(zip(fields, fields, strict=True))


def _put_in_order(node: dict[str, Any], names: list[str]) -> None:
    had = node["properties"]
    order = [*(name for name in had if name not in names), *(name for name in names if name in had)]
    node["properties"] = {name: had[name] for name in order}
    node["required"] = [name for name in order if name in node.get("required", ())]


def _fault(told: str, artifact: bytes) -> ModelFault:
    """Take the place out of an error of msgspec, as far as it says one."""
    found = _PLACE.fullmatch(told)
    assert found is not None, "every text matches"
    message, rest = found[1], found[2] or ""
    return ModelFault(_steps(rest, json_of(artifact)), message.replace("`", "'"))


def _steps(rest: str, value: JsonValue) -> tuple[str | int, ...]:
    """Follow a path like `.events[0].name`. It stops at `[...]`, msgspec's word for any member."""
    place: list[str | int] = []
    while rest:
        step: str | int | None = None
        if isinstance(value, dict):
            # Names may have dots and brackets, so the longest that the answer has is meant.
            ways = [name for name in value if rest.startswith(f".{name}")]
            step = max(ways, key=len, default=None)
            rest = rest[len(step) + 1 :] if step is not None else ""
            value = value[step] if step is not None else None
        elif isinstance(value, list) and (index := re.match(r"\[(\d+)\]", rest)) is not None:
            step = int(index[1])
            rest = rest[index.end() :]
            value = value[step] if step < len(value) else None
        if step is None:
            break
        place.append(step)
    return tuple(place)
