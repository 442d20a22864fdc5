"""From record to line, the same for every sink; an encoding error never gets out as itself."""

from lakehouse.core.errors import InfraError
from lakehouse.core.limits import ROW_BYTES_MAX
from lakehouse.core.row import Row, Started
from lakehouse.core.row_codec import encode_line
from lakehouse.core.row_limit import fit


def encode_fitting(record: Row | Started) -> bytes:
    """Encode a record, cut to the row limit if it must be.

    Raises:
        InfraError: `log_unavailable`; a lone surrogate, or a row that no cut makes small enough.
    """
    try:
        line = encode_line(record)
        if len(line) > ROW_BYTES_MAX:
            line = encode_line(fit(record))
    except ValueError as error:
        raise log_unavailable(
            f"the row cannot be encoded: {error}",
            hint="The disk is well: this row has no form. Please report it with the daemon's log.",
        ) from error
    return line


def log_unavailable(trouble: str, *, hint: str = "") -> InfraError:
    """Make the error for a row that could not be made durable; `trouble` is for our own log."""
    return InfraError(
        "log_unavailable",
        "The session log cannot be written.",
        hint=hint,
        internal=f"session log: {trouble}",
    )
