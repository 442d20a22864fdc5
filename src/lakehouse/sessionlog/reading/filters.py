"""The filters of sessions: for pages, `lakehouse stats` and the choice of a replay."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from lakehouse.core.clock import timestamp
from lakehouse.core.errors import Refusal
from lakehouse.sql.quoting import quoted_text

REPLAY_DAEMON: Final = "replay"
_FINDING_CODES: Final = "json_extract_string(attempts, '$[*].findings[*].code')"


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

    def condition(
        self, *, codes: str = _FINDING_CODES, error_code: str = "error.code"
    ) -> tuple[str, list[str]]:
        """Write it as SQL on the columns of sessions, each value bound to a `?`.

        For the view and the compacted table, with times in UTC. `codes` and `error_code` are where
        another table has the codes of findings and of an outage.
        """
        tests = [
            ("daemon <> ?", REPLAY_DAEMON if self.daemon is None else None),
            ("daemon = ?", self.daemon),
            ("kind = ?", self.kind),
            ("verdict = ?", self.verdict),
            ("conversation_id = ?", self.conversation_id),
            ("timestamp >= ?::TIMESTAMPTZ", self.since),
            ("(timestamp < ?::TIMESTAMPTZ OR timestamp IS NULL)", self.until),
            ("? IN (model, model_alias)", self.model),
            (f"list_contains(list_append({codes}, {error_code}), ?)", self.code),
        ]
        asked = [(test, value) for test, value in tests if value is not None]
        return " AND ".join(test for test, _ in asked), [value for _, value in asked]

    def quoted_condition(self) -> str:
        """Write `condition` with its values as quoted texts, for a query that binds none."""
        condition, values = self.condition()
        first, *rest = condition.split("?")
        pairs = zip(map(quoted_text, values), rest, strict=True)
        return first + "".join(value + part for value, part in pairs)


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
