"""Decodes the answer of an inner daemon: the value, or the same error that the daemon raised."""

from typing import TypeVar

import msgspec

from lakehouse.core.errors import InfraCode, InfraError
from lakehouse.transport.client import HttpReply
from lakehouse.transport.problem import PROBLEM_TYPE, error_of

_T = TypeVar("_T")


def decode_answer(reply: HttpReply, kind: type[_T], *, daemon: str, unreadable: InfraCode) -> _T:
    """Decode an answer of `daemon`, or raise the error that its problem body describes.

    Raises:
        Refusal: The daemon refused the call.
        InfraError: The daemon reported one; or `unreadable`, if its answer cannot be decoded.
    """
    if reply.headers.get("content-type", "").startswith(PROBLEM_TYPE):
        error = error_of(reply.body, reply.headers.get("retry-after", ""))
        if error is not None:
            raise error
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        media_type = reply.headers.get("content-type", "")[:80]
        raise InfraError(
            unreadable,
            f"The answer of {daemon} cannot be read: status {reply.status}, {media_type!r}.",
            hint=f"Check that {daemon}.url is the address of a {daemon} of this version, not of a "
            "proxy.",
            internal=f"{daemon}: status {reply.status}, {media_type!r}: {error}",
        ) from error
