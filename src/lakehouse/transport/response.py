"""One response, as a handler gives it."""

from collections.abc import AsyncIterator

import msgspec


class Response(msgspec.Struct, frozen=True):
    """One response; ids, and the length of a body that is whole, are added when it is sent.

    A body in pieces is sent as they come. Where it fails midway the connection ends without the
    mark that closes a body, so that nobody takes the part for the whole.
    """

    status: int
    body: bytes | AsyncIterator[bytes]
    content_type: str = "application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


def json_response(value: object, status: int = 200) -> Response:
    """Encode a value of ours."""
    return Response(status, msgspec.json.encode(value))
