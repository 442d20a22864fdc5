"""The fields of a form that a browser sent."""

from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from lakehouse.core.errors import Refusal

FORM_BYTES_MAX: Final = 2 << 20
_FIELDS_MAX: Final = 50


async def form_fields(request: Request) -> dict[str, str]:
    """Read a form's fields, each at most once.

    Raises:
        Refusal: `unsupported_media_type`, `invalid_request`.
    """
    if request.headers.get("content-type", "").split(";")[0] != "application/x-www-form-urlencoded":
        raise Refusal("unsupported_media_type", "A form is sent as a browser sends it.")
    body = await request.body()
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_FIELDS_MAX,
        )
    except ValueError as error:
        raise Refusal("invalid_request", "The form cannot be read: it must be UTF-8.") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Refusal("invalid_request", "The form has a field twice.")
    return fields
