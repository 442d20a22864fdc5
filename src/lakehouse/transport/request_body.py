"""Reads a request's body within its limits and decodes it as strict JSON into a typed value.

Refuses a body that a browser could have sent for a page without a preflight.
"""

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from lakehouse.core.errors import Refusal
from lakehouse.core.json_text import JsonError, JsonValue, parse_bytes
from lakehouse.core.limits import BODY_BYTES_MAX, BODY_IDLE_MS_MAX, BODY_MS_MAX
from lakehouse.core.suggestion import did_you_mean
from lakehouse.core.type_words import names_of, type_at
from lakehouse.transport.exchange import Exchange
from lakehouse.transport.origins import is_from_page

_T = TypeVar("_T", bound=msgspec.Struct)
_PLACE = re.compile(r"(?P<what>.*) - at `\$(?P<path>.*)`", re.DOTALL)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_VALUE_CHARS_MAX = 80  # of an invalid value, quoted in a message
_FIELDS_HINT = "The fields are described at /openapi.json."
_DISCARD_BYTES_MAX: Final = 8 << 20  # of a body that is over the limit
_DISCARD_S_MAX: Final = 2.0
_JSON: Final = ["application/json"]
_LENGTH_DIGITS_MAX: Final = 20


class Gone(Exception):
    """The caller disconnected while its request was read."""


class Stalled(Refusal):
    """The caller stopped sending in the middle of its body; the connection cannot be reused."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            "invalid_request",
            f"The body is incomplete: {cause}.",
            hint="Send as many bytes as Content-Length says, without a pause.",
        )


def check_media_type(headers: Mapping[str, Sequence[str]]) -> None:
    """Check that the headers declare plain JSON.

    Raises:
        Refusal: `unsupported_media_type`; also if a page sends no type at all, since a page may
            send such a body to any server.
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


async def read_body(exchange: Exchange) -> bytes:
    """Read a whole JSON body.

    Raises:
        Refusal: `unsupported_media_type`, `too_large`, or `Stalled`.
        Gone: The connection closed first.
    """
    headers = exchange.headers
    if headers.get("content-type") != _JSON or "content-encoding" in headers:
        check_media_type(headers)
    length = headers.get("content-length", ("0",))[0]  # only digits: the parser checks it
    digits = length.lstrip("0") or "0"
    if len(digits) > _LENGTH_DIGITS_MAX or int(digits) > BODY_BYTES_MAX:
        await _discard(exchange)
        raise _body_too_large()
    chunks: list[bytes] = []
    size = 0
    until = None
    while not exchange.gone:
        whole = exchange.whole
        chunks.append(exchange.take())
        size += len(chunks[-1])
        if size > BODY_BYTES_MAX:
            await _discard(exchange)
            raise _body_too_large()
        if whole:
            return b"".join(chunks)
        loop = asyncio.get_running_loop()
        until = until or loop.time() + BODY_MS_MAX / 1000
        try:
            async with asyncio.timeout_at(min(until, loop.time() + BODY_IDLE_MS_MAX / 1000)):
                await exchange.arrival()
        except TimeoutError:
            if loop.time() >= until:
                raise Stalled(f"{BODY_MS_MAX} ms passed") from None
            raise Stalled(f"no more data arrived for {BODY_IDLE_MS_MAX} ms") from None
    raise Gone


async def _discard(exchange: Exchange) -> None:
    """Go on reading briefly: a caller that is still sending would get a reset, not our answer."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_S_MAX):
            while size <= _DISCARD_BYTES_MAX and not exchange.whole and not exchange.gone:
                await exchange.arrival()
                size += len(exchange.take())


def _body_too_large() -> Refusal:
    return Refusal("too_large", f"The body is over {BODY_BYTES_MAX} bytes.")


def decode(body: bytes, kind: type[_T]) -> _T:
    """Decode a request body of the given type.

    Refuses what `json_text.parse` refuses (duplicate members, lone surrogates, deep nesting),
    unknown fields (the error lists the allowed ones), and wrong types (it has field and value).

    Raises:
        Refusal: `invalid_request`.
    """
    try:
        value = parse_bytes(body)
    except JsonError as error:
        raise Refusal("invalid_request", f"The body is not valid JSON: {error}.") from error
    if not isinstance(value, dict):
        raise Refusal("invalid_request", "The body must be a JSON object.", hint=_FIELDS_HINT)
    fields = kind.__struct_encode_fields__
    for name in value:
        if name not in fields:
            raise Refusal(
                "invalid_request",
                f"Unknown field {name!r}{did_you_mean(name, fields)}; "
                f"allowed are {', '.join(sorted(fields))}.",
                hint=_FIELDS_HINT,
            )
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Refusal(
            "invalid_request", explained(str(error), value, kind)[1], hint=_FIELDS_HINT
        ) from error


def explained(message: str, value: JsonValue, kind: type[msgspec.Struct]) -> tuple[str, str]:
    """Return the place that an error of msgspec names, such as `messages[0].role`, and a sentence.

    `value` is the whole body. The place is empty if the error names none.
    """
    match = _PLACE.fullmatch(message)
    if match is None:
        return "", f"{message}."
    field, found = "", value
    for name, index in _STEP.findall(match["path"]):
        field = f"{field}.{name}" if name else f"{field}[{index}]"
        if isinstance(found, dict):
            found = found.get(name)
        elif isinstance(found, list) and index:
            found = found[int(index)]
    shown = repr(found)
    if len(shown) > _VALUE_CHARS_MAX:
        shown = shown[:_VALUE_CHARS_MAX] + "…"
    field = field.removeprefix(".")
    if match["what"].startswith("Invalid enum value"):
        names = names_of(type_at(kind, match["path"]))
        near = did_you_mean(found, names) if isinstance(found, str) else ""
        return field, f"`{field}` is {shown}{near}; allowed are {', '.join(names)}."
    what = match["what"].replace("`", "")
    return field, f"`{field}` is {shown}: {what}."
