"""The parameters that the `openai` package declares for a request, as paths of our table.

Read from the installed package; where there is none, from the list that `python -m
support.openai_parameters` wrote from one, with its version.
"""

import importlib
import importlib.metadata
import importlib.util
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lakehouse.openai_api.parameters import PARAMETERS, ApiParameter, ApiRoute

LIST = Path(__file__).parents[1] / "unit" / "openai_api" / "openai_parameters.json"
TYPES: dict[ApiRoute, tuple[str, str]] = {
    "chat": ("openai.types.chat.completion_create_params", "CompletionCreateParamsNonStreaming"),
    "responses": (
        "openai.types.responses.response_create_params",
        "ResponseCreateParamsNonStreaming",
    ),
}


def declared() -> tuple[str, dict[str, list[str]]]:
    """Return the version that was read, and the sorted paths of each route."""
    if importlib.util.find_spec("openai") is None:
        listed = json.loads(LIST.read_text("utf-8"))
        return listed["version"], {route: listed[route] for route in TYPES}
    return importlib.metadata.version("openai"), {route: _installed(route) for route in TYPES}


def _installed(route: ApiRoute) -> list[str]:
    module, name = TYPES[route]
    known = {one.path: one for one in PARAMETERS[route]}
    return sorted(set(_paths(getattr(importlib.import_module(module), name), "", known)))


def _paths(kind: Any, before: str, known: dict[str, ApiParameter]) -> Iterator[str]:
    """Give the members of a TypedDict, and those inside where the table tells of any.

    Of a union it leaves out what the table refuses by its `type`: a web search has no members here.
    """
    for name, hint in typing.get_type_hints(kind).items():
        path = f"{before}{name}"
        yield path
        for inner, step in _typed_dicts(hint):
            inside = f"{path}{step}."
            if not any(one.startswith(inside) for one in known):
                continue
            tag = known.get(f"{inside}type")
            types = typing.get_args(typing.get_type_hints(inner).get("type"))
            plain = {one for one in types if isinstance(one, str)}
            if tag is None or not plain or plain & set(tag.only):
                yield from _paths(inner, inside, known)


def _typed_dicts(hint: Any, step: str = "") -> Iterator[tuple[Any, str]]:
    if typing.is_typeddict(hint) or hasattr(hint, "__total__"):
        yield hint, step
        return
    origin = typing.get_origin(hint)
    deeper = "[]" if origin is not None and _is_list(origin) else step
    for argument in typing.get_args(hint):
        yield from _typed_dicts(argument, deeper)


def _is_list(origin: Any) -> bool:
    return isinstance(origin, type) and hasattr(origin, "__iter__") and origin is not dict


if __name__ == "__main__":
    version, names = declared()
    LIST.write_text(json.dumps({"version": version, **names}, indent=1) + "\n", "utf-8")
