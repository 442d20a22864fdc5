"""One response, as a handler returns it."""

from collections.abc import AsyncGenerator

import msgspec

from lakehouse.core.context import CallContext


class Response(msgspec.Struct, frozen=True):
    """One response; the server adds the ids, and the length of a whole body, when it sends it.

    A body in pieces is sent as the pieces arrive. If it fails midway, the connection closes without
    the final chunk, so that the caller sees that the body is incomplete. `context` is set where the
    response is of another call than the one it answers: its ids are sent then.
    """

    status: int
    body: bytes | AsyncGenerator[bytes]
    content_type: str = "application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    context: CallContext | None = None


def json_response(value: object, status: int = 200) -> Response:
    """Encode a value as a JSON response."""
    return Response(status, msgspec.json.encode(value))
