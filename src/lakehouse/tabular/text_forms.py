"""The canonical text of a date, a time, a timestamp or a UUID.

Pure. `2024-05-01T08:30Z`, `2024-05-01 10:30:00.000+02:00` and `2024-05-01T08:30:00Z` are one
instant; any other text stays unchanged, and equals no cell. A timestamp with a zone never equals
one without, whose instant is unknown.
"""

import re
from datetime import datetime, timedelta
from typing import Final, Literal

Form = Literal["text", "number", "boolean", "date", "time", "timestamp", "instant", "uuid"]
"""The type of a column. All but `number` and `boolean` are texts; `instant` has a time zone."""

_TIME: Final = r"(\d{2}:\d{2})(:\d{2})?(?:[.,](\d{1,12}))?"
_TIME_ONLY = re.compile(_TIME, re.ASCII)
_TIMESTAMP = re.compile(
    rf"(\d{{4}}-\d{{2}}-\d{{2}})[Tt ]{_TIME}([Zz]|[+-]\d{{2}}:?\d{{2}})?", re.ASCII
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def canonical(text: str, form: Form) -> str:
    """Return the text in the canonical form of this column."""
    if form == "uuid":
        lower = text.lower()
        return lower if _UUID.fullmatch(lower) else text
    if form == "time":
        match = _TIME_ONLY.fullmatch(text)
        return text if match is None else _time(*match.groups())
    if form in {"timestamp", "instant"}:
        match = _TIMESTAMP.fullmatch(text)
        if match is None or (match[5] is None) != (form == "timestamp"):
            return text
        return _timestamp(*match.groups()) or text
    return text


def _time(minute: str, second: str | None, fraction: str | None) -> str:
    digits = (fraction or "").rstrip("0")
    return minute + (second or ":00") + (f".{digits}" if digits else "")


def _timestamp(
    day: str, minute: str, second: str | None, fraction: str | None, zone: str | None
) -> str | None:
    if zone is None or zone in "Zz":
        return f"{day}T{_time(minute, second, fraction)}{'' if zone is None else 'Z'}"
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    offset = timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)
    try:
        moved = datetime.fromisoformat(f"{day}T{minute}{second or ':00'}") - offset
    except (ValueError, OverflowError):
        return None
    clock = moved.isoformat()
    return f"{clock[:10]}T{_time(clock[11:16], clock[16:19], fraction)}Z"
