"""What a page says when it cannot be shown."""

from http import HTTPStatus
from math import ceil

import msgspec

from lakehouse.core.errors import InfraError, LakehouseError, Refusal


class Fault(msgspec.Struct, frozen=True):
    """The model of an error's page, and its `.json`. `code` is stable; `hint` says what to do."""

    title: str
    status: int
    code: str
    detail: str
    hint: str


def fault_of(error: LakehouseError) -> Fault:
    """Describe an error for the reader of a page; causes stay in the operator's log."""
    status, code = 503, "log_unreadable"
    if isinstance(error, Refusal | InfraError):
        status, code = error.status, error.code
    return Fault(HTTPStatus(status).phrase, status, code, error.public, error.hint)


def fault_headers(error: LakehouseError) -> dict[str, str]:
    """Return the header fields that an error needs."""
    if not isinstance(error, Refusal | InfraError):
        return {}
    headers = {} if error.retry_after_s is None else {"retry-after": str(ceil(error.retry_after_s))}
    return headers | ({"www-authenticate": "Bearer"} if error.status == 401 else {})
