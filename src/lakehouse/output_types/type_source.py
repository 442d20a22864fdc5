"""Which source text a type means: the modules of its classes and validators, as one digest."""

import enum
import hashlib
import inspect
import sys
from typing import Any

from lakehouse.core.kind import digest_of
from lakehouse.output_types.type_tree import TypePart, is_fielded


def source_digest(found: list[TypePart], schema: dict[str, Any]) -> str | None:
    """Digest the modules that define a type; of one, its text. Without code, digest the schema.

    None if the source of one is not known, as of a class that was made by a program.
    """
    digests: dict[str, str] = {}
    for part in found:
        for one in _defined(part):
            module = one.__module__
            if module not in digests and module.partition(".")[0] not in sys.stdlib_module_names:
                text = _text(one)
                if text is None:
                    return None
                digests[module] = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    if not digests:
        return digest_of(schema)
    return next(iter(digests.values())) if len(digests) == 1 else digest_of(digests)


def _defined(part: TypePart) -> list[Any]:
    cls = getattr(part.hint, "__origin__", part.hint)
    own = is_fielded(cls) or (isinstance(cls, type) and issubclass(cls, enum.Enum))
    functions = [getattr(one, "func", None) for one in part.metadata]
    found = [cls] if own else []
    return found + [one for one in functions if hasattr(one, "__module__") and one is not None]


def _text(one: Any) -> str | None:
    """Return the text of the module that defines it; in a notebook, of its own cell's part."""
    for place in (sys.modules.get(one.__module__), one):
        try:
            if place is not None:
                return inspect.getsource(place)
        except (OSError, TypeError):
            continue
    return None
