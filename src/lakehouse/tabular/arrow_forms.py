"""The JSON forms of Arrow columns: how dates, decimals and floats appear in an artifact.

Texts stay, numbers stay exact, booleans stay. What JSON has no type of its own for is text:

- dates `2024-05-01`, times `08:30:00`, timestamps without a zone `2024-05-01T08:30:00`, with one
  `2024-05-01T06:30:00Z` (always UTC); a fraction of a second without its trailing zeros;
- UUIDs in lowercase hex with dashes;
- floats of 32 and 16 bits are the shortest decimal that is this value at that width: 0.1, not
  0.10000000149011612.

Bytes, durations, lists and structs have no such form: they are refused by name.
"""

import struct
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.tabular.text_forms import Form

_FRACTION_ZEROS: Final = r"\.?0+$"
_HALF_DIGITS_MAX: Final = 5  # enough for every float of 16 bits


class FormFault(Exception):
    """A column whose cells have no JSON form; the message says its type, for people."""


class Plain(msgspec.Struct, frozen=True):
    """A column of large strings, booleans or numbers, and the form of its texts."""

    column: Any
    form: Form


def plain(column: Any) -> Plain:
    """Convert a column to its JSON form; blocks. NaN and infinities stay unchanged.

    Raises:
        FormFault: Its type has no JSON form.
    """
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _extension(column, kind)
    if pa.types.is_dictionary(kind):
        return plain(column.cast(kind.value_type))
    if pa.types.is_run_end_encoded(kind):
        return plain(pc.run_end_decode(column))
    if _is_text(kind) or pa.types.is_null(kind):
        return Plain(column.cast(pa.large_string()), "text")
    if pa.types.is_boolean(kind):
        return Plain(column, "boolean")
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return Plain(column, "number")
    if pa.types.is_floating(kind):
        return Plain(shortest(column), "number")
    if pa.types.is_date(kind):
        return Plain(column.cast(pa.large_string()), "date")
    if pa.types.is_time(kind):
        return Plain(_without_zeros(column.cast(pa.large_string()), kind.unit), "time")
    if pa.types.is_timestamp(kind):
        return _timestamps(column, kind)
    raise FormFault(f"its type is {kind}, which has no form in JSON; use text, numbers or dates")


def shortest(column: Any) -> Any:
    """Return floats of any width as doubles whose shortest form is that of the narrow value."""
    if pa.types.is_float64(column.type):
        return column
    if pa.types.is_float32(column.type):
        return column.cast(pa.large_string()).cast(pa.float64())
    encoded = pc.dictionary_encode(column.cast(pa.float32()))
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries()
        return pa.chunked_array([_halves(chunk) for chunk in encoded.chunks], pa.float64())
    return _halves(encoded)


def _halves(encoded: Any) -> Any:
    values = [_shortest_half(value) for value in encoded.dictionary.to_pylist()]
    return pa.array(values, pa.float64()).take(encoded.indices)


def _shortest_half(value: float) -> float:
    if value - value != 0:
        return value  # NaN and infinities have no digits
    wanted = struct.pack("e", value)
    for digits in range(1, _HALF_DIGITS_MAX + 1):
        candidate = float(f"{value:.{digits}g}")
        try:
            if struct.pack("e", candidate) == wanted:
                return candidate
        except OverflowError:  # rounded up past the largest one
            continue
    return value


def _extension(column: Any, kind: Any) -> Plain:
    storage = (
        pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
        if isinstance(column, pa.ChunkedArray)
        else column.storage
    )
    if kind.extension_name == "arrow.uuid":
        texts = [None if value is None else _uuid(value) for value in storage.to_pylist()]
        return Plain(pa.array(texts, pa.large_string()), "uuid")
    return plain(storage)


def _uuid(value: bytes) -> str:
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _timestamps(column: Any, kind: Any) -> Plain:
    # A timestamp with a zone counts from the epoch in UTC: dropping the zone leaves UTC.
    texts = column.cast(pa.timestamp(kind.unit)).cast(pa.large_string())
    texts = pc.replace_substring(texts, " ", "T", max_replacements=1)
    texts = _without_zeros(texts, kind.unit)
    if kind.tz is None:
        return Plain(texts, "timestamp")
    zone, nothing = pa.scalar("Z", pa.large_string()), pa.scalar("", pa.large_string())
    return Plain(pc.binary_join_element_wise(texts, zone, nothing), "instant")


def _without_zeros(texts: Any, unit: str) -> Any:
    return texts if unit == "s" else pc.replace_substring_regex(texts, _FRACTION_ZEROS, "")


def _is_text(kind: Any) -> bool:
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_one(kind) for is_one in texts)
