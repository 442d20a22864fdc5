"""Numbers and times for people, as filters of templates: with units, and without false digits."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from markupsafe import Markup, escape

from lakehouse.comparison.summary import Estimate
from lakehouse.core.clock import UNDATED
from lakehouse.core.json_text import cell_text

_KNOWN_NONE: Final = "–"
JSON_CHARS_MAX: Final = 65_536  # of one value on a page
_STEPS: Final = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def count(value: int | None) -> str:
    """Write a count with a thin space between thousands."""
    return _KNOWN_NONE if value is None else f"{value:,}".replace(",", "\u202f")


def percent(rate: float | None) -> str:
    """Write a rate, 0 to 1, as a percentage with one digit."""
    return _KNOWN_NONE if rate is None else f"{100 * rate:.1f} %"


def interval(bounds: tuple[float, float] | None) -> str:
    """Write the interval of a rate as percentages."""
    if bounds is None:
        return _KNOWN_NONE
    return f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f} %"


def points(change: Estimate) -> str:
    """Write the change of a rate in percentage points, with its interval."""
    low, high = change.low, change.high
    span = "" if low is None or high is None else f" ({100 * low:+.1f} to {100 * high:+.1f})"
    text = f"{100 * change.value:+.1f} points{span}" if change.value is not None else _KNOWN_NONE
    return text.replace("-", "\N{MINUS SIGN}")


def duration(value_ms: float | None) -> str:
    """Write a duration with its unit."""
    if value_ms is None:
        return _KNOWN_NONE
    if value_ms < 1_000:
        return f"{value_ms:.0f} ms"
    if value_ms < 60_000:
        return f"{value_ms / 1_000:.1f} s"
    if value_ms < 3_600_000:
        return f"{value_ms / 60_000:.1f} min"
    return f"{value_ms / 3_600_000:.1f} h"


def size(value_bytes: int) -> str:
    """Write a size with a binary unit."""
    for step, unit in _STEPS:
        if value_bytes >= step:
            return f"{value_bytes / step:.1f} {unit}"
    return f"{value_bytes} bytes"


def amount(value: float | None) -> str:
    """Write a number that need not be whole."""
    if value is None:
        return _KNOWN_NONE
    return count(round(value)) if abs(value) >= 10 else f"{value:.3g}"


def moment(text: str | None) -> Markup:
    """Write a time in UTC; a script turns it into the reader's zone, and keeps UTC on hover."""
    return _time(text, Markup('<time datetime="{}" title="{} UTC">{} UTC</time>'), 19)


def minute(text: str | None) -> Markup:
    """Write a time as `moment` does, in the room of a list: its seconds are shown on hover."""
    return _time(text, Markup('<time class="short" datetime="{}" title="{} UTC">{} UTC</time>'), 16)


def _time(text: str | None, form: Markup, chars: int) -> Markup:
    if text is None or text == UNDATED:
        return Markup('<span class="none">no time</span>')
    shown = text[:19].replace("T", " ")
    return form.format(text, shown, shown[:chars])


def short_id(text: str) -> str:
    """Write the first and the last part of an id; the whole one is in the link."""
    return text if len(text) <= 14 else f"{text[:8]}…{text[-4:]}"


def json_text(value: msgspec.Raw, *, indented: bool = False) -> str:
    """Write raw JSON with its own bytes, at most `JSON_CHARS_MAX` characters of it."""
    data = msgspec.json.format(bytes(value), indent=2) if indented else bytes(value)
    text = data.decode("utf-8")
    return text if len(text) <= JSON_CHARS_MAX else text[:JSON_CHARS_MAX] + "…"


def typed(text: str) -> Markup:
    """Write what goes into a field of a form and comes back: every character as it is."""
    return escape(text)


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "count": count,
    "percent": percent,
    "interval": interval,
    "points": points,
    "duration": duration,
    "size": size,
    "amount": amount,
    "moment": moment,
    "minute": minute,
    "short_id": short_id,
    "json_text": json_text,
    "cell": cell_text,
    "typed": typed,
}
