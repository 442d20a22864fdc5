"""What an endpoint's failures mean here: transport faults, statuses, error bodies, `Retry-After`.

One table for every provider that is reached by HTTP, so that a status means the same to all. What
an endpoint wrote goes to the caller too, shortened and without keys, and each cause has its hint.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

import msgspec

from lakehouse.providers.error_body import ErrorBody, error_of
from lakehouse.providers.provider import ProviderFault
from lakehouse.transport.client import HttpReply, TransportFault
from lakehouse.transport.reason import Reason, hint_for, words_of

RETRY_AFTER_S_MAX: Final = 86_400.0  # a longer wait is taken for a broken clock and not believed

_T = TypeVar("_T")
_AGAIN_STATUS: Final = frozenset({408, 409})
_NEVER_SERVED_STATUS: Final = frozenset({501, 505})  # the endpoint cannot, today or tomorrow
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_NUMBER = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")
_QUOTED_BYTES_MAX: Final = 200  # of an answer that is none, for the operator
_QUOTA_CODES: Final = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "insufficient_balance", "quota_exceeded"}
)
_LASTING_REASONS: Final[frozenset[Reason]] = frozenset({"untrusted", "not_tls", "tls"})


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
                f"The endpoint of model {model!r} cannot be reached: "
                f"{words_of(fault.reason, fault.detail)}.",
                # A certificate that is not trusted now is not trusted in a second.
                again=fault.reason not in _LASTING_REASONS,
                transport=True,
                hint=_reach_hint(fault.reason),
                internal=internal,
                retryable=fault.reason not in _LASTING_REASONS,
            )
        case "malformed":
            return ProviderFault(
                "upstream_malformed",
                f"The endpoint of model {model!r} broke off its answer or does not speak HTTP: "
                f"{fault.detail}.",
                again=True,
                transport=True,
                hint="Check that base_url leads to the model's server itself, with http:// or "
                "https:// as its port wants; else look up the server's log.",
                internal=internal,
                retryable=True,
            )
        case "too_large":
            return ProviderFault(
                "upstream_malformed",
                f"The endpoint of model {model!r} sent an answer that is too large: "
                f"{fault.detail}.",
                again=False,
                hint="Lower max_tokens, or check that base_url leads to the model's server.",
                internal=internal,
            )
        case "timeout_connect":
            hint = _reach_hint("timeout")
        case "timeout_total":
            hint = "Raise deadline_ms, ask for fewer tokens, or use a faster model."
        case "timeout_first_byte":
            hint = "Raise first_byte_timeout_ms of the model, or use a faster one."
        case "timeout_idle":
            hint = "Look up the endpoint's log: it fell silent; else raise idle_timeout_ms."
    return ProviderFault(
        "timeout",
        f"The endpoint of model {model!r} took too long: {_without_address(fault)}.",
        again=fault.kind == "timeout_connect",
        transport=fault.kind != "timeout_total",
        hint=hint,
        internal=internal,
    )


def _without_address(fault: TransportFault) -> str:
    return fault.detail.rpartition(": ")[2]


def _reach_hint(reason: Reason) -> str:
    return hint_for(reason, server="the model's server", setting="base_url")


def malformed(model: str, reply: HttpReply, reason: str) -> ProviderFault:
    """Say that a 2xx answer is not one; asking again would buy the same."""
    media_type = reply.headers.get("content-type", "")[:80]
    hint = ""
    if media_type.startswith(("text/event-stream", "application/x-ndjson")):
        reason = "it streams although it was asked not to"
        hint = "Turn forced streaming off at the endpoint, or at the proxy before it."
    elif media_type.startswith("text/html"):
        reason = "it is a web page"
        hint = "base_url leads to a web page: write the address of the API (often ending in /v1)."
    elif not reply.body.strip():
        reason = "it is empty"
    said = error_of(reply.body[:_QUOTED_BYTES_MAX], media_type=media_type).message
    return ProviderFault(
        "upstream_malformed",
        f"The endpoint of model {model!r} answered something that is not a chat completion: "
        f"{reason}.",
        again=False,
        hint=hint,
        internal=f"model {model!r}: status {reply.status}, {media_type!r}: {reason}; it begins "
        f"with {said[:_QUOTED_BYTES_MAX]!r}",
    )


def fault_of_status(model: str, reply: HttpReply, *, secret: str | None = None) -> ProviderFault:
    """Say what a status outside 2xx means; `secret` is cut out of whatever is quoted."""
    status = reply.status
    media_type = reply.headers.get("content-type", "")
    error = error_of(reply.body, media_type=media_type, secret=secret)
    word = f" ({error.code})" if error.code is not None else ""
    said = f": {error.message.rstrip('.')}." if error.message else "."
    public = f"The endpoint of model {model!r} answered status {status}{word}{said}"
    hint = _status_hint(status, error, with_key=secret is not None)
    if status == 404 or error.code == "model_not_found":
        return ProviderFault(
            "model_missing",
            f"The endpoint of model {model!r} does not know it, or base_url is wrong "
            f"(status {status}){said}",
            again=False,
            internal=public,
        )
    wait_s = retry_after_s(reply.headers, datetime.now(UTC))
    if status == 503 and _says_loading(error.message):
        return ProviderFault(
            "model_loading",
            f"Model {model!r} is still loading at its endpoint{said}",
            again=True,
            internal=public,
            retry_after_s=wait_s,
        )
    refused = _says_quota(error) or reply.headers.get("x-should-retry", "").lower() == "false"
    if status in {429, 503, 529}:
        return ProviderFault(
            "overloaded",
            public,
            again=not refused,
            hint=hint,
            retryable=not refused,
            retry_after_s=wait_s,
        )
    again = not refused and (
        status in _AGAIN_STATUS or (status >= 500 and status not in _NEVER_SERVED_STATUS)
    )
    location = reply.headers.get("location", "") if 300 <= status < 400 else ""
    return ProviderFault(
        "upstream_status",
        public,
        again=again,
        hint=hint,
        internal=f"{public} It names {location!r}." if location else "",
        retryable=again,
        retry_after_s=wait_s,
    )


def _status_hint(status: int, error: ErrorBody, *, with_key: bool) -> str:
    """Say what to do about a status; the cause decides, not the code that it becomes here."""
    if _says_quota(error) or status == 402:
        return "The account's quota is used up: check its plan and billing at the provider."
    if status == 401:
        if with_key:
            return "The endpoint does not take the key: check the variable that api_key_env names."
        return "The endpoint wants a key: name a variable that holds it in api_key_env."
    if 300 <= status < 400:
        return "The endpoint redirects, which is not followed: write its final address in base_url."
    hints = {
        403: "The key may not use this model: check its rights, the region and the allowed models "
        "at the provider.",
        405: "base_url is wrong: it leads to a server, but not to its chat completions.",
        413: "The request is too long for the endpoint: shorten the prompt or the schema.",
        429: "The endpoint bounds how often it is asked: send fewer requests at once, or lower "
        "`slots` of the model.",
        503: "The endpoint is overloaded or down: ask again shortly, or look up its log.",
        529: "The endpoint is overloaded: ask again shortly.",
    }
    if status in hints:
        return hints[status]
    if 400 <= status < 500 and status not in _AGAIN_STATUS:
        return (
            "The endpoint refuses the request as it is: correct what its message names, such as "
            "a setting of the model, or a prompt that is too long."
        )
    return "Look up the endpoint's own log for this status: the trouble is on its side."


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


def _says_quota(error: ErrorBody) -> bool:
    return bool({error.code, error.type} & _QUOTA_CODES)


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
