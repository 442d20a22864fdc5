"""Whether reading an answer into a type runs code of its author's: it may block, print or end.

In doubt it does: then answers are read where that harms nobody.
"""

import dataclasses
import inspect
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any, Final

import msgspec

from lakehouse.output_types.type_tree import TypePart, is_pydantic_model

_KNOWN: Final = sys.stdlib_module_names | {
    *("annotated_types", "lakehouse", "msgspec", "pydantic", "pydantic_core", "typing_extensions")
}
_METHODS: Final = (
    *("__init__", "__new__", "__post_init__", "__setattr__", "model_post_init", "_missing_"),
    *("__get_pydantic_core_schema__", "__get_validators__"),
)
_VALIDATORS: Final = ("validators", "field_validators", "root_validators", "model_validators")


def has_code(found: list[TypePart]) -> bool:
    """Return whether one part of a type runs code beyond that of the libraries that read it."""
    return any(
        _class_runs(getattr(part.hint, "__origin__", part.hint))
        or any(map(_is_theirs, _functions_of(part.metadata)))
        for part in found
    )


def _class_runs(cls: Any) -> bool:
    if not isinstance(cls, type):
        return False
    decorated = getattr(cls, "__pydantic_decorators__", None)
    if any(getattr(decorated, name, None) for name in _VALIDATORS):
        return True
    defined = [vars(base)[name] for base in cls.__mro__ for name in _METHODS if name in vars(base)]
    return any(map(_is_theirs, [*defined, *_factories(cls)]))


def _factories(cls: Any) -> Iterator[Any]:
    """Give what makes the members that an answer lacks, or chooses between their types."""
    if is_pydantic_model(cls):
        for info in cls.model_fields.values():
            yield from (info.default_factory, getattr(info.discriminator, "discriminator", None))
    elif dataclasses.is_dataclass(cls):
        yield from (one.default_factory for one in dataclasses.fields(cls))
    elif msgspec.inspect.is_struct_type(cls):
        yield from (one.default_factory for one in msgspec.structs.fields(cls))


def _functions_of(metadata: tuple[object, ...]) -> Iterator[Any]:
    for one in metadata:
        names = ("func", "discriminator", "get_pydantic_schema", "default_factory")
        yield from (getattr(one, name, None) for name in names)
        if "__get_pydantic_core_schema__" in dir(type(one)):
            yield type(one)


def _is_theirs(one: Any) -> bool:
    """Return whether a callable is the author's, and not of Python, of a library, or made by it."""
    function = getattr(one, "__func__", one)
    code = getattr(function, "__code__", None)
    if code is not None:
        module = function.__globals__.get("__name__", "")
        if not _is_made(code, module) and module.partition(".")[0] not in _KNOWN:
            return True
        # One of a library's may wrap the author's.
        wrapped = [cell.cell_contents for cell in function.__closure__ or ()]
        return any(inspect.isfunction(each) and _is_theirs(each) for each in wrapped)
    if not callable(one):
        return False
    module = getattr(one, "__module__", None) or type(one).__module__
    return module.partition(".")[0] not in _KNOWN


def _is_made(code: CodeType, module: str) -> bool:
    """Return whether the standard library wrote it, for a dataclass or a NamedTuple."""
    written = code.co_qualname.startswith("__create_fn__.") or module.startswith("namedtuple_")
    return written and code.co_filename == "<string>"  # which `python -c` calls its code too
