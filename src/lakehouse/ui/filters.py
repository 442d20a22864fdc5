"""The filter of sessions as a URL has it: every member a text."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, get_args

import msgspec

from lakehouse.core.clock import timestamp
from lakehouse.core.errors import Refusal
from lakehouse.core.replay_row import FeedbackLabel
from lakehouse.core.session import Verdict
from lakehouse.core.suggestion import did_you_mean
from lakehouse.sessionlog.index.filters import NO_LABEL, LogFilter
from lakehouse.sessionlog.reading.filters import moment

Criteria = tuple[tuple[str, str], ...]

METADATA_PREFIX: Final = "metadata."
FILTER_NAMES: Final = tuple(name for name in LogFilter.__struct_fields__ if name != "metadata")
PERIODS: Final[Mapping[str, str]] = {
    "1h": "the last hour",
    "24h": "the last 24 hours",
    "7d": "the last 7 days",
    "30d": "the last 30 days",
}
"""The periods that forms offer; any number of minutes, hours, days or weeks is allowed."""

_CLOSED: Final[Mapping[str, tuple[str, ...]]] = {
    "verdict": get_args(Verdict),
    "label": (*get_args(FeedbackLabel), NO_LABEL),
}
_YES_NO: Final = {"true": True, "false": False}
_AGO: Final = re.compile(r"(?P<count>[1-9][0-9]{0,4})(?P<unit>[mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_INTEGER: Final = re.compile(r"0|[1-9][0-9]{0,17}")


def log_filter(criteria: Criteria, now: datetime) -> LogFilter:
    """Turn the members of a URL into a filter. Times may be relative: `7d` is seven days ago.

    A relative time is cut to the minute, so that pages of the same minute ask the same.

    Raises:
        Refusal: `invalid_request`, naming the member, its value and what is allowed.
    """
    values: dict[str, object] = {}
    metadata: dict[str, str] = {}
    for name, text in criteria:
        if name.startswith(METADATA_PREFIX):
            metadata[name.removeprefix(METADATA_PREFIX)] = text
        else:
            values[name] = _value(name, text, now)
    where = msgspec.convert({**values, "metadata": metadata}, LogFilter)
    if where.since is not None and where.until is not None and where.since >= where.until:
        message = f"`since` is {where.since}, which is not before `until`, {where.until}."
        raise Refusal("invalid_request", message, hint="Change one of them, or leave it out.")
    return where


def _value(name: str, text: str, now: datetime) -> object:
    if name in ("since", "until"):
        return _time(name, text, now)
    if name in ("grounded", "first_shot"):
        return _YES_NO[_word(name, text, tuple(_YES_NO))]
    if name == "value":
        return _json(text)
    if name.endswith(("_min", "_max")):
        if _INTEGER.fullmatch(text) is None:
            message = f"`{name}` is {text[:64]!r}; it must be a whole number, 0 or more."
            raise Refusal("invalid_request", message)
        return int(text)
    return _word(name, text, _CLOSED[name]) if name in _CLOSED else text


def _time(name: str, text: str, now: datetime) -> str:
    ago = _AGO.fullmatch(text)
    if ago is not None:
        minute = now.astimezone(UTC).replace(second=0, microsecond=0)
        return timestamp(minute - timedelta(**{_UNITS[ago["unit"]]: int(ago["count"])}))
    try:
        return moment(text, name=name)
    except Refusal as error:
        message = f"`{name}` is {text[:64]!r}; it must be a date, a time, or a span such as 7d."
        hint = "Examples: 2026-01-31, 2026-01-31T12:00Z, 90m, 24h, 7d, 4w."
        raise Refusal("invalid_request", message, hint=hint) from error


def _json(text: str) -> str:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except msgspec.DecodeError:
        message = f"`value` is {text[:64]!r}; it must be JSON, as findings have it."
        raise Refusal("invalid_request", message, hint='A text has quotes: value="Oslo".') from None
    return text


def _word(name: str, text: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        near = did_you_mean(text, allowed)
        message = f"`{name}` is {text[:64]!r}{near}; allowed: {', '.join(allowed)}."
        raise Refusal("invalid_request", message)
    return text
