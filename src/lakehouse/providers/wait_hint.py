"""Finds how long an endpoint asks to wait: in headers, in its error, in prose.

The most exact word wins: `retry-after-ms` and `Retry-After`, then the error's own, then the time at
which a used-up limit is full again. A wait over a day is reported as a day: an absurd number still
means "not now", but not "never".
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

WAIT_S_MAX: Final = 86_400.0

_NUMBER = re.compile(r"[0-9]{1,400}(\.[0-9]{1,18})?")
_UNIT_S: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = (
    r"[0-9]{1,18}(?:\.[0-9]{1,18})?\s?"
    r"(?:ms|milliseconds?|secs?|seconds?|s|mins?|minutes?|m|hrs?|hours?|h|days?|d)(?![a-z])"
)
_DURATION = re.compile(rf"{_PART}(?:[\s,]*(?:and\s)?{_PART}){{0,4}}", re.IGNORECASE)
_PARTS = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s?([a-z]+)", re.IGNORECASE)
_PROSE = re.compile(
    rf"(?:try\s+again|retry|wait|resets?)[^0-9.]{{0,40}}?\s({_DURATION.pattern})",
    re.IGNORECASE,
)
_PROSE_CHARS_MAX: Final = 4_000
_LIMITS: Final = ("requests", "tokens", "input-tokens", "output-tokens")
_RESETS: Final = (
    *((f"x-ratelimit-reset-{limit}", f"x-ratelimit-remaining-{limit}") for limit in _LIMITS),
    # Azure has spelled its own like this.
    *((f"x-rate-limit-reset-{limit}", f"x-ratelimit-remaining-{limit}") for limit in _LIMITS),
    *(
        (f"anthropic-ratelimit-{limit}-reset", f"anthropic-ratelimit-{limit}-remaining")
        for limit in _LIMITS
    ),
    ("x-ratelimit-reset", "x-ratelimit-remaining"),
    ("ratelimit-reset", "ratelimit-remaining"),
)


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Read how long an endpoint's headers ask us to wait, in seconds; None if absent or invalid.

    `retry-after-ms` before `Retry-After` as seconds or as an HTTP date (RFC 9110 section 10.2.3);
    a date that has passed is 0. Negative or unreadable: none. Over a day: a day.
    """
    for name, scale in (
        ("retry-after-ms", 0.001),
        ("x-ms-retry-after-ms", 0.001),
        ("retry-after", 1.0),
    ):
        text = headers.get(name, "").strip()
        if _NUMBER.fullmatch(text):
            return _bounded(float(text) * scale)
    text = headers.get("retry-after", "")
    return _until_date(text, now) if text else None


def limit_reset_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Read when a limit that is used up is full again; the longest wait where several are.

    A limit of which something remains is not what stopped the call.
    """
    waits = [
        wait
        for reset, remaining in _RESETS
        if headers.get(remaining, "0").strip() in {"0", "0.0"}
        and (wait := moment_s(headers.get(reset, ""), now)) is not None
    ]
    return max(waits, default=None)


def duration_s(value: object) -> float | None:
    """Read a duration: seconds as a number, `"39s"`, `"6m0s"`, `{"seconds": 39}`; else None."""
    if isinstance(value, dict):  # google.protobuf.Duration, spelled out
        seconds, nanos = duration_s(value.get("seconds", 0)), value.get("nanos", 0)
        extra = nanos / 1e9 if type(nanos) is int and nanos > 0 else 0.0
        return None if seconds is None else _bounded(seconds + extra)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _bounded(float(min(value, WAIT_S_MAX))) if value >= 0 else None
    text = value.strip() if isinstance(value, str) else ""
    if _NUMBER.fullmatch(text):
        return _bounded(float(text))
    return _sum_of(text) if _DURATION.fullmatch(text) else None


def moment_s(text: str, now: datetime) -> float | None:
    """Read a wait that may be told as a duration, a Unix time (s or ms) or an RFC 3339 time."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        number = float(text)
        for threshold, scale in ((1e12, 0.001), (1e9, 1.0)):
            if number >= threshold:
                return _bounded(max(0.0, number * scale - now.timestamp()))
        return _bounded(number)
    duration = duration_s(text)
    if duration is not None or not text:
        return duration
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return _until_date(text, now)
    return _since(date, now)


def prose_s(message: str) -> float | None:
    """Find a wait in an error's text: `Please try again in 6m0s.`, `retry after 30 seconds`."""
    found = _PROSE.search(message[:_PROSE_CHARS_MAX])
    return None if found is None else _sum_of(found[1])


def member_waits(members: Mapping[str, Any], now: datetime) -> Iterator[float]:
    """Find waits in the members of an error object."""
    for name in ("retryDelay", "retry_delay", "retry_after", "retryAfter", "retry_after_seconds"):
        if (wait := duration_s(members.get(name))) is not None:
            yield wait
    for name in ("retry_after_ms", "retryAfterMs"):
        if (wait := duration_s(members.get(name))) is not None:
            yield wait / 1000
    headers = members.get("headers")
    if isinstance(headers, dict):  # of the provider behind a router, passed on
        plain = {str(name).lower(): str(value) for name, value in headers.items()}
        wait = retry_after_s(plain, now)
        wait = limit_reset_s(plain, now) if wait is None else wait
        if wait is not None:
            yield wait


def _sum_of(text: str) -> float | None:
    total = 0.0
    for number, unit in _PARTS.findall(text):
        word = unit.lower()
        short = "ms" if word in {"ms", "millisecond", "milliseconds"} else word[0]
        total += float(number) * _UNIT_S[short]
    return _bounded(total)


def _until_date(text: str, now: datetime) -> float | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return _since(date, now)


def _since(date: datetime, now: datetime) -> float | None:
    if date.tzinfo is None:  # "-0000", or no zone: the time is UTC all the same
        date = date.replace(tzinfo=UTC)
    return _bounded(max(0.0, (date - now).total_seconds()))


def _bounded(seconds: float) -> float | None:
    return None if math.isnan(seconds) else min(seconds, WAIT_S_MAX)
