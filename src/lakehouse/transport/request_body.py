"""Reading one request's body: its type, its size, and how long it may take.

Refuses a body that a browser could have sent for a page without asking first.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

from lakehouse.core.errors import Refusal
from lakehouse.core.integers import whole_number
from lakehouse.core.limits import BODY_BYTES_MAX, BODY_IDLE_MS_MAX, BODY_MS_MAX
from lakehouse.transport.asgi import Receive
from lakehouse.transport.origins import is_from_page

_DISCARD_BYTES_MAX: Final = 8 << 20  # of a body that is refused for its size
_DISCARD_S_MAX: Final = 2.0
_JSON: Final = ["application/json"]


class Gone(Exception):
    """The caller went away while its request was read."""


class Stalled(Refusal):
    """The caller stopped amid its body; what may still come of it is no next request."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            "invalid_request",
            f"The body is not whole, and {cause}.",
            hint="Send as many bytes as Content-Length says, without a pause.",
        )


def check_media_type(headers: Mapping[str, Sequence[str]]) -> None:
    """See that the body is plain JSON, as far as its headers say.

    Raises:
        Refusal: `unsupported_media_type`; so is no type at all where a page asks, since a page
            may send such a body anywhere.
    """
    types = headers.get("content-type", ())
    if not types and is_from_page(headers):
        raise _other_type("The request has no Content-Type")
    for value in types:
        media_type = value.partition(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise _other_type(f"Content-Type is {media_type!r}")
    for value in headers.get("content-encoding", ()):
        if value.strip().lower() != "identity":
            raise Refusal("unsupported_media_type", f"Content-Encoding {value!r} is not supported.")


def _other_type(what: str) -> Refusal:
    return Refusal(
        "unsupported_media_type",
        f"{what}; allowed is application/json.",
        hint="With curl: -H 'Content-Type: application/json', or --json.",
    )


async def read_body(headers: Mapping[str, Sequence[str]], receive: Receive) -> bytes:
    """Read a JSON body whole.

    Raises:
        Refusal: `unsupported_media_type`, `too_large`, or `Stalled`.
        Gone: The connection ended first.
    """
    if headers.get("content-type") != _JSON or "content-encoding" in headers:
        check_media_type(headers)
    length = headers.get("content-length", ("0",))[0]
    if whole_number(length, BODY_BYTES_MAX) is None:
        await _discard(receive)
        raise _body_too_large()
    chunks: list[bytes] = []
    size = 0
    loop = asyncio.get_running_loop()
    until = loop.time() + BODY_MS_MAX / 1000
    while True:
        try:
            async with asyncio.timeout_at(min(until, loop.time() + BODY_IDLE_MS_MAX / 1000)):
                message = await receive()
        except TimeoutError:
            if loop.time() >= until:
                raise Stalled(f"{BODY_MS_MAX} ms have passed") from None
            raise Stalled(f"nothing more of it came for {BODY_IDLE_MS_MAX} ms") from None
        if message["type"] == "http.disconnect":
            raise Gone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            await _discard(receive)
            raise _body_too_large()
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _discard(receive: Receive) -> None:
    """Read on for a little while: a caller still sending would meet a reset, not our answer."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_S_MAX):
            while size <= _DISCARD_BYTES_MAX:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                size += len(message.get("body", b""))


def _body_too_large() -> Refusal:
    return Refusal("too_large", f"The body is over {BODY_BYTES_MAX} bytes.")
