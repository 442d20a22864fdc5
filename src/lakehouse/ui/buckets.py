"""How finely a chart divides time: as asked, or by the time that its filter covers."""

from datetime import UTC, datetime
from typing import Final, get_args

from lakehouse.core.errors import Refusal
from lakehouse.core.suggestion import did_you_mean
from lakehouse.sessionlog.index.questions import Bucket, Rates
from lakehouse.ui.page import PageRequest

BUCKET: Final = "bucket"
_DAY_S: Final = 86_400
# At most so many days → this bucket; 60 to 180 parts.
_SPANS: Final[tuple[tuple[float, Bucket], ...]] = (
    (0.125, "minute"),
    (5, "hour"),
    (120, "day"),
    (800, "week"),
)


def bucket_of(request: PageRequest) -> Bucket | None:
    """Return the page's bucket; None if neither it nor the filter's beginning says which.

    Raises:
        Refusal: `invalid_request`.
    """
    asked = request.own(BUCKET)
    allowed: tuple[Bucket, ...] = get_args(Bucket)
    for bucket in allowed:
        if asked == bucket:
            return bucket
    if asked is not None:
        near = did_you_mean(asked, allowed)
        message = f"`{BUCKET}` is {asked[:64]!r}{near}; allowed: {', '.join(allowed)}."
        raise Refusal("invalid_request", message)
    since, until = request.where.since, request.where.until
    return None if since is None else _bucket_between(since, until)


def bucket_of_all(rates: Rates) -> Bucket:
    """Return the bucket that divides the time of all these sessions well."""
    return "day" if rates.first is None else _bucket_between(rates.first, rates.last)


def _bucket_between(first: str, last: str | None) -> Bucket:
    """Return the bucket that divides a time well; `last` None is now."""
    end = datetime.now(UTC) if last is None else datetime.fromisoformat(last)
    days = (end - datetime.fromisoformat(first)).total_seconds() / _DAY_S
    return next((bucket for most, bucket in _SPANS if days <= most), "month")
