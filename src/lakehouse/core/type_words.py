"""Describes the allowed values of a type, in the words of somebody who writes TOML."""

import re

import msgspec

_NAMES = {
    "StrType": "text",
    "IntType": "integer",
    "FloatType": "number",
    "BoolType": "true or false",
    "NoneType": "nothing",
    "AnyType": "value",
    "TupleType": "text pair",
    "StructType": "table",
}
_STEP = re.compile(r"\.(?P<name>\w+)|\[(\d+|\.\.\.)\]")


def type_words(kind: msgspec.inspect.Type) -> str:
    """Name a type: `integer`, or the values that are allowed."""
    if isinstance(kind, msgspec.inspect.UnionType):
        names = [type_words(one) for one in kind.types]
        return " or ".join(name for name in names if name != "nothing")
    if isinstance(kind, msgspec.inspect.LiteralType):
        return ", ".join(f"`{value}`" for value in kind.values)
    if isinstance(kind, msgspec.inspect.VarTupleType):
        return f"list of {type_words(kind.item_type)}s"
    if isinstance(kind, msgspec.inspect.DictType):
        return f"table of {type_words(kind.value_type)}s"
    return _NAMES[type(kind).__name__]


def names_of(kind: msgspec.inspect.Type) -> list[str]:
    """List the names among the values that are allowed."""
    types = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    literals = [one for one in types if isinstance(one, msgspec.inspect.LiteralType)]
    return [str(value) for one in literals for value in one.values]


def type_at(kind: type[msgspec.Struct], path: str) -> msgspec.inspect.Type:
    """Find the type at a path as msgspec's errors give it, such as `.grounding[0].match`."""
    found = msgspec.inspect.type_info(kind)
    for step in _STEP.finditer(path):
        if isinstance(found, msgspec.inspect.UnionType):
            found = next(
                one for one in found.types if not isinstance(one, msgspec.inspect.NoneType)
            )
        if isinstance(found, msgspec.inspect.StructType):
            found = next(one.type for one in found.fields if one.encode_name == step["name"])
        elif isinstance(found, msgspec.inspect.VarTupleType):
            found = found.item_type
        elif isinstance(found, msgspec.inspect.TupleType):
            found = found.item_types[0]
        elif isinstance(found, msgspec.inspect.DictType):
            found = found.value_type
    return found
