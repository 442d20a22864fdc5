"""The type that a `python` kind declares: its JSON Schema, its rules, a digest of its code."""

import hashlib
import inspect
import sys
from types import ModuleType
from typing import Any

import msgspec

from lakehouse.artifact_models.worker import find_model
from lakehouse.core.errors import SetupError
from lakehouse.core.kind import SqlRule
from lakehouse.output_types.output_type import OutputType, output_type
from lakehouse.output_types.type_tree import is_pydantic_model
from lakehouse.validation.schema_rules import without_rules


class DeclaredModel(msgspec.Struct, frozen=True):
    """`schema` is JSON. `source` digests the code of the type's module, None where it has none."""

    schema: bytes
    rules: tuple[SqlRule, ...]
    source: str | None


def declared_model(reference: str) -> DeclaredModel:
    """Import a type by `package.module:Model` and read its schema. Runs its module.

    Raises:
        SetupError: It cannot be imported, or cannot be a type of answers.
    """
    made = declared_type(reference)
    found = find_model(reference)
    if not is_pydantic_model(found):
        return DeclaredModel(made.schema, made.rules, made.digest)
    # Digests of kinds cover a model's schema as Pydantic writes it, and the text of its module.
    schema, _ = without_rules(msgspec.json.encode(found.model_json_schema()))
    return DeclaredModel(schema, made.rules, _source(sys.modules.get(found.__module__)))


def declared_type(reference: str) -> OutputType[Any]:
    """Import a type by `package.module:Model`; raises as `declared_model`."""
    module, colon, name = reference.partition(":")
    if not (module and colon and name):
        raise SetupError(
            f"is {reference!r}; it must be `package.module:Model`",
            hint="Name the module, a colon, and the model's class in it.",
        )
    try:
        found = find_model(reference)
    except (Exception, SystemExit) as error:
        raise SetupError(
            f"{reference!r} cannot be imported: {type(error).__name__}: {error}",
            hint="The package must be installed beside lakehouse, or be on PYTHONPATH.",
        ) from error
    try:
        return output_type(found)
    except SetupError as error:
        raise SetupError(f"{reference!r}: {error.public.rstrip('.')}", hint=error.hint) from error


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


def _source(module: ModuleType | None) -> str | None:
    try:
        text = inspect.getsource(module) if module is not None else None
    except (OSError, TypeError):
        return None
    return None if text is None else "sha256:" + hashlib.sha256(text.encode()).hexdigest()
