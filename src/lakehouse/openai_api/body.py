"""Decodes the body of an OpenAI client as strict JSON, in two parts.

A program sends the same schema, tools and settings with each text. So what changes from call to
call is decoded each time, and the rest, its frame, is read once for all calls that have the same.
"""

import re
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Final, TypeVar

import msgspec

from lakehouse.core.json_text import JsonError, JsonValue, parse_bytes
from lakehouse.openai_api.fault import FaultCode, RequestFault, missing
from lakehouse.openai_api.members import ignored_members
from lakehouse.openai_api.parameters import ApiRoute
from lakehouse.transport.request_body import explained

_T = TypeVar("_T", bound=msgspec.Struct)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_FRAMES_MAX: Final = 64  # kept for each route, in the order of use
_FRAME_BYTES_MAX: Final = 64 << 10  # of one that is kept
_MISSING = re.compile(r"Object missing required field `(\w+)`(?: - at `\$\.?(.*)`)?")


class SplitBody(msgspec.Struct, frozen=True):
    """A body in its two parts, each a JSON object."""

    frame: bytes
    varied: bytes
    varied_value: dict[str, JsonValue]


def split_body(body: bytes, varied: Collection[str]) -> SplitBody:
    """Split a body; `varied` are the members that change from call to call.

    Raises:
        RequestFault: It is not a JSON object as `json_text.parse` accepts it.
    """
    try:
        value = parse_bytes(body)
    except JsonError as error:
        message = f"The body is not valid JSON: {error}."
        raise RequestFault(message, "invalid_request", None) from error
    if not isinstance(value, dict):
        raise RequestFault("The body must be a JSON object.", "invalid_request", None)
    frame = _MEMBERS.decode(body)
    parts = {name: frame.pop(name) for name in varied if name in frame}
    return SplitBody(
        msgspec.json.encode(frame),
        msgspec.json.encode(parts),
        {name: value[name] for name in parts},
    )


def once_per_frame(read: Callable[[bytes], _T]) -> Callable[[bytes], _T]:
    """Keep what is read of a frame, unless it is large. A frame with a fault is read each time."""
    kept = lru_cache(maxsize=_FRAMES_MAX)(read)
    return lambda frame: kept(frame) if len(frame) <= _FRAME_BYTES_MAX else read(frame)


def decode_part(
    data: bytes, kind: type[_T], route: ApiRoute, value: dict[str, JsonValue] | None = None
) -> tuple[_T, tuple[str, ...]]:
    """Decode one part; also return the parameters in it that have no effect.

    `value` is what it holds, if that was parsed before.

    Raises:
        RequestFault: It has a parameter that is unknown or refused, or one of a wrong type.
    """
    if value is None:
        parsed = parse_bytes(data)
        assert isinstance(parsed, dict)
        value = parsed
    ignored = ignored_members(value, route)
    try:
        return msgspec.json.decode(data, type=kind), ignored
    except msgspec.ValidationError as error:
        absent = _MISSING.fullmatch(str(error))
        if absent is not None:
            raise missing(".".join(filter(None, (absent[2], absent[1])))) from error
        param, message = explained(str(error), value, kind)
        wrong_type = ", got `" in str(error)
        code: FaultCode = "invalid_type" if wrong_type else "invalid_value"
        raise RequestFault(message, code, param or None) from error
