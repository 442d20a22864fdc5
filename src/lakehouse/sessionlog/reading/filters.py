"""The filters of `GET /v1/sessions`, `lakehouse sessions` and `lakehouse stats`."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from lakehouse.core.clock import timestamp
from lakehouse.core.errors import Refusal

REPLAY_DAEMON: Final = "replay"


class SessionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A filter of sessions; all members that are set must match.

    `model` is an alias of ours or the provider's name. `code` is the infra code of the session or
    the code of any finding in any of its attempts. Replays (`daemon` `replay`) are left out
    unless `daemon` asks for them. `since` <= timestamp < `until`, as the row writes timestamps; a
    row without a time is older than every other.
    """

    kind: str | None = None
    model: str | None = None
    verdict: str | None = None
    code: str | None = None
    daemon: str | None = None
    conversation_id: str | None = None
    since: str | None = None
    until: str | None = None


def moment(text: str, *, name: str) -> str:
    """Parse a caller's date or time into a row's format; without a zone it is UTC.

    Raises:
        Refusal: `invalid_request`, naming the field.
    """
    try:
        value = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"`{name}` is {text[:64]!r}; it must be an RFC 3339 time or date."
        raise Refusal("invalid_request", message, hint="2026-01-02T03:04:05Z") from error
    try:
        return timestamp((value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC))
    except OverflowError as error:
        message = f"`{name}` is {text[:64]!r}, which is out of range."
        raise Refusal("invalid_request", message) from error
