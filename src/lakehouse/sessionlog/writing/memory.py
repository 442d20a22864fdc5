"""A sink without a disk, for tests. Fails only if `trouble` is set."""

from lakehouse.core.errors import LogUnavailable, Refusal
from lakehouse.core.row import Row, Started
from lakehouse.core.row_codec import decode_row, decode_started, encode_fitting


class MemoryLog:
    """Shipped test double: keeps the very lines that a writer would have written.

    While `trouble` is set, nothing can be written: `check_writable` refuses, `started` and
    `append` raise. `appends_to_fail` lets that many appends fail although the check passed.
    """

    def __init__(self) -> None:
        self.started_lines: list[bytes] = []
        self.row_lines: list[bytes] = []
        self.trouble: str | None = None
        self.appends_to_fail = 0

    @property
    def rows(self) -> list[Row]:
        """The rows written, oldest first, as a reader decodes them."""
        return [decode_row(line) for line in self.row_lines]

    @property
    def started_records(self) -> list[Started]:
        """The started lines written, oldest first."""
        return [decode_started(line) for line in self.started_lines]

    def check_writable(self) -> None:
        if self.trouble is not None:
            message = f"The session log cannot be written: {self.trouble}."
            raise Refusal("log_unavailable", message, retry_after_s=2)

    def started(self, record: Started) -> None:
        line = encode_fitting(record)
        if self.trouble is not None:
            raise LogUnavailable(self.trouble)
        self.started_lines.append(line)

    async def append(self, row: Row) -> None:
        """Keep the row, cut as a writer would."""
        line = encode_fitting(row)
        if self.trouble is not None or self.appends_to_fail > 0:
            self.appends_to_fail = max(0, self.appends_to_fail - 1)
            raise LogUnavailable(self.trouble or "told to fail")
        self.row_lines.append(line)
