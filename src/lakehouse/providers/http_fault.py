"""What an endpoint's failures mean here: transport faults, statuses, error bodies, `Retry-After`.

One table for every provider that is reached by HTTP, so that a status means the same to all. Text
that an endpoint wrote goes to our own log only, shortened, and never for a refused key: endpoints
repeat keys in it.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

import msgspec

from lakehouse.providers.provider import ProviderFault
from lakehouse.transport.client import HttpReply, TransportFault

RETRY_AFTER_S_MAX: Final = 86_400.0  # a longer wait is taken for a broken clock and not believed

_T = TypeVar("_T")
_AGAIN_STATUS: Final = frozenset({408, 409})
_NEVER_SERVED_STATUS: Final = frozenset({501, 505})  # the endpoint cannot, today or tomorrow
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_NUMBER = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")
_CODE_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_DETAIL_CHARS_MAX = 200


class Malformed(ValueError):
    """A body that is not what the endpoint's API documents; the message says why."""


def decode(body: bytes, kind: type[_T]) -> _T:
    """Decode a provider's JSON into `kind`; lone surrogates become U+FFFD, pairs stay characters.

    Members that `kind` does not name are ignored. Trailing text, NaN and wrong types are refused.

    Raises:
        Malformed: With the reason. Cost: about 3 µs for 1 KB, ten times that with surrogates.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        # msgspec refuses lone surrogates; models cut in the middle of a character write them.
        if _SURROGATE_ESCAPE.search(body) is None:
            raise Malformed(str(error)) from error
    try:
        value = _without_surrogates(json.loads(body, parse_constant=_refuse_constant))
        return msgspec.convert(value, kind)
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from error


def fault_of_transport(model: str, fault: TransportFault) -> ProviderFault:
    """Say what a failed exchange means.

    A wait for an answer is never repeated, only a failed connection or a lost answer is. A
    deadline that passed says nothing about the endpoint, so it is no `transport` fault.
    """
    internal = f"model {model!r}: {fault}"
    match fault.kind:
        case "connect":
            return ProviderFault(
                "connect",
                f"The endpoint of model {model!r} cannot be reached.",
                again=True,
                transport=True,
                internal=internal,
            )
        case "malformed":
            return ProviderFault(
                "upstream_malformed",
                f"The endpoint of model {model!r} broke off its answer or does not speak HTTP.",
                again=True,
                transport=True,
                internal=internal,
                retryable=True,
            )
        case "too_large":
            return ProviderFault(
                "upstream_malformed",
                f"The endpoint of model {model!r} sent an answer that is too large.",
                again=False,
                internal=internal,
            )
    return ProviderFault(
        "timeout",
        f"The endpoint of model {model!r} took too long: {fault.detail}.",
        again=fault.kind == "timeout_connect",
        transport=fault.kind != "timeout_total",
        internal=internal,
    )


def malformed(model: str, reply: HttpReply, reason: str) -> ProviderFault:
    """Say that a 2xx answer is not one; asking again would buy the same."""
    media_type = reply.headers.get("content-type", "")[:80]
    if media_type.startswith(("text/event-stream", "application/x-ndjson")):
        reason = "it streams although it was asked not to"
    return ProviderFault(
        "upstream_malformed",
        f"The endpoint of model {model!r} answered something that is not a chat completion.",
        again=False,
        internal=f"model {model!r}: status {reply.status}, {media_type!r}: {reason}",
    )


def fault_of_status(model: str, reply: HttpReply, *, secret: str | None = None) -> ProviderFault:
    """Say what a status outside 2xx means; `secret` is cut out of whatever is quoted."""
    status = reply.status
    error = _error_of(reply.body, secret or "")
    word = f" ({error.code})" if error.code is not None and status not in {401, 403} else ""
    public = f"The endpoint of model {model!r} answered status {status}{word}."
    internal = public
    if error.message and status not in {401, 403}:
        internal = f"{public} {' '.join(error.message.split())[:_DETAIL_CHARS_MAX]}"
    if status == 404 or error.code == "model_not_found":
        return ProviderFault(
            "model_missing",
            f"The endpoint of model {model!r} does not know it, or base_url is wrong "
            f"(status {status}).",
            again=False,
            internal=internal,
        )
    wait_s = retry_after_s(reply.headers, datetime.now(UTC))
    if status == 503 and _says_loading(error.message):
        return ProviderFault(
            "model_loading",
            f"Model {model!r} is still loading at its endpoint.",
            again=True,
            internal=internal,
            retry_after_s=wait_s,
        )
    refused = (
        error.code == "insufficient_quota"
        or error.type == "insufficient_quota"
        or reply.headers.get("x-should-retry", "").lower() == "false"
    )
    if status in {429, 503, 529}:
        return ProviderFault(
            "overloaded",
            public,
            again=not refused,
            internal=internal,
            retryable=not refused,
            retry_after_s=wait_s,
        )
    again = not refused and (
        status in _AGAIN_STATUS or (status >= 500 and status not in _NEVER_SERVED_STATUS)
    )
    return ProviderFault(
        "upstream_status",
        public,
        again=again,
        internal=internal,
        retryable=again,
        retry_after_s=wait_s,
    )


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Read how long an endpoint asks us to wait, in seconds; None for none or nonsense.

    `retry-after-ms` before `Retry-After` as seconds or as an HTTP date (RFC 9110 section 10.2.3);
    a date that has passed is 0. Negative, unreadable or over a day: not believed.
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if _NUMBER.fullmatch(text):
            return _believed(float(text) * scale)
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    if date.tzinfo is None:  # "-0000": the time is UTC all the same in HTTP
        date = date.replace(tzinfo=UTC)
    return _believed(max(0.0, (date - now).total_seconds()))


def _believed(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) and seconds <= RETRY_AFTER_S_MAX else None


class _Error(msgspec.Struct, frozen=True):
    code: str | None = None
    type: str | None = None
    message: str = ""


class _ErrorBody(msgspec.Struct):
    error: Any = None
    message: Any = None
    code: Any = None
    type: Any = None


def _error_of(body: bytes, secret: str) -> _Error:
    """Read an error body of any common form: an object, a text, or the members at the top."""
    try:
        wire = decode(body, _ErrorBody)
    except Malformed:
        return _Error()
    if isinstance(wire.error, dict):
        members: dict[str, Any] = wire.error
    elif isinstance(wire.error, str):
        members = {"message": wire.error}
    else:
        members = {"code": wire.code, "type": wire.type, "message": wire.message}
    code, kind, message = (
        _without_secret(members.get(name), secret) for name in ("code", "type", "message")
    )
    return _Error(_word(code) or _word(kind), _word(kind), message)


def _without_secret(value: object, secret: str) -> str:
    text = value if isinstance(value, str) else ""
    return text.replace(secret, "[key]") if secret else text


def _word(text: str) -> str | None:
    return text if _CODE_WORD.fullmatch(text) else None


def _says_loading(message: str) -> bool:
    lower = message.lower()
    return "loading" in lower and "model" in lower


def _refuse_constant(name: str) -> None:
    raise Malformed(f"{name} is not JSON")


def _without_surrogates(value: Any) -> Any:
    # json.loads has joined the pairs already; what is left stands alone.
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(k): _without_surrogates(v) for k, v in value.items()}
    return value
