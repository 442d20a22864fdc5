"""How a route encodes its errors: one encoder, the type of its body, and its media type."""

import time
from collections.abc import Callable, Mapping

import msgspec

from lakehouse.core.errors import InfraError, Refusal
from lakehouse.transport.response import Response


class FailedCall(msgspec.Struct, frozen=True):
    """What an error's body may say of its request.

    `inner`: one of our daemons called. `started_s` is when the request began, in
    `time.perf_counter`.
    """

    session_id: str
    inner: bool
    started_s: float

    @property
    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.started_s) * 1000


class ErrorShape(msgspec.Struct, frozen=True):
    """The errors of some routes: `encode` writes a body of type `body`.

    `statuses` has the HTTP status of each code.
    """

    encode: Callable[[Refusal | InfraError, FailedCall], Response]
    body: type[msgspec.Struct]
    media_type: str
    statuses: Mapping[str, int]
