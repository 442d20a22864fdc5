"""The parameters that the installed `openai` package declares for a request, as paths."""

import inspect
import typing
from collections.abc import Iterator
from typing import Any

from openai.resources.chat import Completions
from openai.resources.responses import Responses
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming

from lakehouse.openai_api.parameters import PARAMETERS, ApiParameter, ApiRoute

TYPES: dict[ApiRoute, Any] = {
    "chat": CompletionCreateParamsStreaming,
    "responses": ResponseCreateParamsStreaming,
}
METHODS: dict[ApiRoute, Any] = {"chat": Completions.create, "responses": Responses.create}
# What a call takes for itself: it is not in the body, or not under this name.
OF_THE_CALL = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}


def declared(route: ApiRoute) -> set[str]:
    """Return the paths: those of the types of a body, and the parameters of `create`."""
    known = {one.path: one for one in PARAMETERS[route]}
    named = set(inspect.signature(METHODS[route]).parameters) - OF_THE_CALL
    return named | set(_paths(TYPES[route], "", known))


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
