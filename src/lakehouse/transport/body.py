"""Request bodies: strict JSON into a typed value, or a refusal that says what is wrong."""

import re
from typing import TypeVar

import msgspec

from lakehouse.core.errors import Refusal
from lakehouse.core.json_text import JsonError, JsonValue, parse_bytes
from lakehouse.core.suggestion import did_you_mean

_T = TypeVar("_T", bound=msgspec.Struct)
_PLACE = re.compile(r"(?P<what>.*) - at `\$(?P<path>.*)`", re.DOTALL)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_VALUE_CHARS_MAX = 80  # of an offending value, quoted in a message
_HINT = "The fields are described at /openapi.json."


def decode(body: bytes, kind: type[_T]) -> _T:
    """Decode a request body of the given type.

    Refused: not JSON as `json_text.parse` accepts it (duplicate members, lone surrogates, deep
    nesting), unknown fields by name with those that are allowed, wrong types by field and value.

    Raises:
        Refusal: `invalid_request`.
    """
    try:
        value = parse_bytes(body)
    except JsonError as error:
        raise Refusal("invalid_request", f"The body is not valid JSON: {error}.") from error
    if not isinstance(value, dict):
        raise Refusal("invalid_request", "The body must be a JSON object.", hint=_HINT)
    fields = kind.__struct_encode_fields__
    for name in value:
        if name not in fields:
            raise Refusal(
                "invalid_request",
                f"Unknown field {name!r}{did_you_mean(name, fields)}; "
                f"allowed are {', '.join(sorted(fields))}.",
                hint=_HINT,
            )
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Refusal("invalid_request", _explain(str(error), value), hint=_HINT) from error


def _explain(message: str, value: JsonValue) -> str:
    match = _PLACE.fullmatch(message)
    if match is None:
        return f"{message}."
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
    what = match["what"].replace("`", "")
    return f"`{field.removeprefix('.')}` is {shown}: {what}."
