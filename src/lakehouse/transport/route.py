"""A route as a value beside its handler, with everything that is known about it.

The server enforces it; the OpenAPI document and the reference page are built from it.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

import msgspec

from lakehouse.core.context import CallContext
from lakehouse.transport.error_shape import ErrorShape
from lakehouse.transport.problem import PROBLEMS
from lakehouse.transport.response import Response

RequestT = TypeVar("RequestT")


class Call(msgspec.Struct, Generic[RequestT], frozen=True):
    """One whole request. `headers`: lowercase name → values in order, decoded as Latin-1.

    `caller` is the name of the caller's API key; empty if the daemon has no keys. `request` is the
    decoded body, of the route's type; None if the route has none. `body` are its bytes. `started_s`
    is when the request began, in `time.perf_counter`.
    """

    context: CallContext
    headers: Mapping[str, Sequence[str]]
    path: Mapping[str, str]
    query: Mapping[str, str]
    request: RequestT
    body: bytes = b""
    started_s: float = 0.0
    caller: str = ""

    @property
    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.started_s) * 1000


class Parameter(msgspec.Struct, frozen=True):
    """One query parameter: a string, unless its JSON Schema says otherwise."""

    name: str
    schema: Mapping[str, Any] = {}


Authorize = Callable[[Mapping[str, Sequence[str]]], str]
"""Returns the name of the key in request headers; raises a `Refusal` without a valid key."""


class Route(msgspec.Struct, Generic[RequestT], frozen=True, kw_only=True):
    """One method at one path.

    `path` may contain `{name}` for one segment, which is then in `Call.path`. HEAD works wherever
    GET does.

    Args:
        summary: What it does, for the OpenAPI document and the reference page.
        request: Type of the JSON body; None if there is none.
        read: Decodes the body; without it the body is strict JSON of the type `request`.
        reply: Type of the body of status 200, or its JSON Schema.
        others: Further statuses with a `reply` as their body, and what each means.
        problems: Statuses of its errors, besides those that the other fields imply.
        query: The allowed parameters; others are refused. None: parameters are ignored.
        access: `key`: needs a key if the daemon has keys; probes are `open`.
        observed: Whether its requests are counted and traced. Probes and scrapes are not.
        admit: Raises a `Refusal` if the request cannot be taken now, given its headers; called
            before the body is decoded.
        streams: Whether the reply's body may be sent in pieces. Its own form must show that it is
            whole: a caller of HTTP/1.0 cannot see otherwise that it broke.
        errors: How its errors are encoded.
        media_type: Media type of the reply.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Callable[[Call[RequestT]], Awaitable[Response]]
    summary: str
    request: type[Any] | None = None
    read: Callable[[bytes], RequestT] | None = None
    reply: type[msgspec.Struct] | Mapping[str, Any]
    others: Mapping[int, str] = {}
    problems: frozenset[int] = frozenset()
    query: tuple[Parameter, ...] | None = None
    access: Literal["key", "open"] = "key"
    observed: bool = True
    admit: Callable[[Mapping[str, Sequence[str]]], None] | None = None
    streams: bool = False
    errors: ErrorShape = PROBLEMS
    media_type: str = "application/json"


Routes = tuple[Route[Any], ...]
