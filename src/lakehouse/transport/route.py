"""A route as a value, beside its handler: all that anybody needs to know of it.

The server holds what a route says; the OpenAPI document and the reference page are made of it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

import msgspec

from lakehouse.core.context import CallContext
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.transport.problem import problem_response
from lakehouse.transport.response import Response

RequestT = TypeVar("RequestT")


class Call(msgspec.Struct, Generic[RequestT], frozen=True):
    """One request, read whole. `headers` are lowercase name → values in order, Latin-1.

    `request` is the decoded body, of the route's own type; None where it takes none.
    """

    context: CallContext
    headers: Mapping[str, Sequence[str]]
    path: Mapping[str, str]
    query: Mapping[str, str]
    request: RequestT


class Parameter(msgspec.Struct, frozen=True):
    """One query parameter: text, where its JSON Schema does not say more."""

    name: str
    schema: Mapping[str, Any] = {}


ErrorShape = Callable[[Refusal | InfraError, str, bool], Response]
"""Writes an error to a caller: the error, the session id, and whether a daemon of ours asks."""

Authorize = Callable[[Mapping[str, Sequence[str]]], None]
"""Raises a `Refusal` for request headers that carry no valid key."""


class Route(msgspec.Struct, Generic[RequestT], frozen=True, kw_only=True):
    """One method at one path.

    `path` may hold `{name}` for one segment, which is then in `Call.path`. HEAD is answered
    wherever GET is.

    Args:
        summary: What it does, as the document and the reference page say it.
        request: Type of the JSON body; None for a route without one.
        reply: Type of the body of status 200, or its JSON Schema.
        others: Further statuses with a `reply` as their body, and what each means.
        problems: Statuses of its errors, beside those that follow from the rest.
        query: The parameters that it takes; others are refused. None: it looks at none.
        access: `key` where the daemon asks for keys; probes are `open`.
        observed: Whether its requests are counted and traced. What watches a daemon is not.
        streams: Whether the body comes in pieces.
        errors: How an error is written.
        media_type: Of the reply.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Callable[[Call[RequestT]], Awaitable[Response]]
    summary: str
    request: type[RequestT] | None = None
    reply: type[msgspec.Struct] | Mapping[str, Any]
    others: Mapping[int, str] = {}
    problems: frozenset[int] = frozenset()
    query: tuple[Parameter, ...] | None = None
    access: Literal["key", "open"] = "key"
    observed: bool = True
    streams: bool = False
    errors: ErrorShape = problem_response
    media_type: str = "application/json"


Routes = tuple[Route[Any], ...]
