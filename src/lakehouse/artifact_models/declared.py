"""The model that a `python` kind declares: its JSON Schema, and a digest of its code."""

import hashlib
import inspect
import sys
from types import ModuleType
from typing import Any

import msgspec

from lakehouse.artifact_models.worker import find_model
from lakehouse.core.errors import SetupError


class DeclaredModel(msgspec.Struct, frozen=True):
    """`schema` is JSON. `source` digests the code of the model's module, None where it has none."""

    schema: bytes
    source: str | None


def declared_model(reference: str) -> DeclaredModel:
    """Import a Pydantic model by `package.module:Model` and read its schema. Runs its module.

    Raises:
        SetupError: It cannot be imported, is not a Pydantic model, or has no JSON Schema.
    """
    module, colon, name = reference.partition(":")
    if not (module and colon and name):
        raise SetupError(
            f"is {reference!r}; it must be `package.module:Model`",
            hint="Name the module, a colon, and the model's class in it.",
        )
    try:
        model = find_model(reference)
    except (Exception, SystemExit) as error:
        raise SetupError(
            f"{reference!r} cannot be imported: {type(error).__name__}: {error}",
            hint="The package must be installed beside lakehouse, or be on PYTHONPATH.",
        ) from error
    to_schema = getattr(model, "model_json_schema", None)
    if to_schema is None or not isinstance(model, type):
        raise SetupError(
            f"{reference!r} is {_what(model)}, not a Pydantic model",
            hint="Name a class that derives from pydantic.BaseModel (version 2) or RootModel; "
            "put a dataclass or a TypedDict in a field of one.",
        )
    try:
        schema = msgspec.json.encode(to_schema())
    except Exception as error:
        raise SetupError(
            f"{reference!r} has no JSON Schema: {type(error).__name__}: {error}",
            hint="Give that field a JSON type, or `pydantic.WithJsonSchema`.",
        ) from error
    return DeclaredModel(schema, _source(sys.modules.get(model.__module__)))


def reference_of(model: type) -> str:
    """Give the `package.module:Model` that leads to a class.

    Raises:
        SetupError: None does. Validators run in a process of their own, which imports the class.
    """
    reference = f"{model.__module__}:{model.__qualname__}"
    try:
        found = None if model.__module__ == "__main__" else find_model(reference)
    except (ImportError, AttributeError):
        found = None
    if found is not model:
        raise SetupError(
            f"The class {reference} cannot be imported by its name.",
            hint="Define it at the top of a module, and not in a script, a notebook or a function.",
        )
    return reference


def _what(model: Any) -> str:
    return f"a {model.__name__} class" if isinstance(model, type) else f"a {type(model).__name__}"


def _source(module: ModuleType | None) -> str | None:
    try:
        text = inspect.getsource(module) if module is not None else None
    except (OSError, TypeError):
        return None
    return None if text is None else "sha256:" + hashlib.sha256(text.encode()).hexdigest()
