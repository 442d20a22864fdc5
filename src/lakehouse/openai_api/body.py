"""Decodes the body of an OpenAI client as strict JSON into a typed value."""

import re
from typing import TypeVar

import msgspec

from lakehouse.core.json_text import JsonError, parse_bytes
from lakehouse.openai_api.fault import FaultCode, RequestFault, missing
from lakehouse.openai_api.members import ignored_members
from lakehouse.openai_api.parameters import ApiRoute
from lakehouse.transport.request_body import explained

_T = TypeVar("_T", bound=msgspec.Struct)
_MISSING = re.compile(r"Object missing required field `(\w+)`(?: - at `\$\.?(.*)`)?")


def decode_body(body: bytes, kind: type[_T], route: ApiRoute) -> tuple[_T, tuple[str, ...]]:
    """Decode a body; also return the parameters in it that have no effect.

    Raises:
        RequestFault: It is not JSON as `json_text.parse` accepts it, has a parameter that is
            unknown or refused, or one of a wrong type.
    """
    try:
        value = parse_bytes(body)
    except JsonError as error:
        message = f"The body is not valid JSON: {error}."
        raise RequestFault(message, "invalid_request", None) from error
    if not isinstance(value, dict):
        raise RequestFault("The body must be a JSON object.", "invalid_request", None)
    ignored = ignored_members(value, route)
    try:
        return msgspec.json.decode(body, type=kind), ignored
    except msgspec.ValidationError as error:
        absent = _MISSING.fullmatch(str(error))
        if absent is not None:
            raise missing(".".join(filter(None, (absent[2], absent[1])))) from error
        param, message = explained(str(error), value, kind)
        wrong_type = ", got `" in str(error)
        code: FaultCode = "invalid_type" if wrong_type else "invalid_value"
        raise RequestFault(message, code, param or None) from error
