"""A route as a value beside its handler, with everything that is known about it.

The server enforces it; the OpenAPI document and the reference page are built from it.
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
    """One whole request. `headers`: lowercase name → values in order, decoded as Latin-1.

    `request` is the decoded body, of the route's type; None if the route has none.
    """

    context: CallContext
    headers: Mapping[str, Sequence[str]]
    path: Mapping[str, str]
    query: Mapping[str, str]
    request: RequestT


class Parameter(msgspec.Struct, frozen=True):
    """One query parameter: a string, unless its JSON Schema says otherwise."""

    name: str
    schema: Mapping[str, Any] = {}


ErrorShape = Callable[[Refusal | InfraError, str, bool], Response]
"""Encodes an error; takes the error, the session id, and whether one of our daemons called."""

Authorize = Callable[[Mapping[str, Sequence[str]]], None]
"""Raises a `Refusal` for request headers without a valid key."""


class Route(msgspec.Struct, Generic[RequestT], frozen=True, kw_only=True):
    """One method at one path.

    `path` may contain `{name}` for one segment, which is then in `Call.path`. HEAD works wherever
    GET does.

    Args:
        summary: What it does, for the OpenAPI document and the reference page.
        request: Type of the JSON body; None if there is none.
        reply: Type of the body of status 200, or its JSON Schema.
        others: Further statuses with a `reply` as their body, and what each means.
        problems: Statuses of its errors, besides those that the other fields imply.
        query: The allowed parameters; others are refused. None: parameters are ignored.
        access: `key`: needs a key if the daemon has keys; probes are `open`.
        observed: Whether its requests are counted and traced. Probes and scrapes are not.
        admit: Raises a `Refusal` if the request cannot be taken now; called before it is decoded.
        streams: Whether the reply's body is sent in pieces, which HTTP/1.0 cannot receive.
        errors: Encodes an error.
        media_type: Media type of the reply.
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
    admit: Callable[[], None] | None = None
    streams: bool = False
    errors: ErrorShape = problem_response
    media_type: str = "application/json"


Routes = tuple[Route[Any], ...]
