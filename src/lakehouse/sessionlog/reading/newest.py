"""Collects a page of the newest rows within a count and a size, in any order of arrival.

It never keeps more than the page in memory, however large the log's rows are.
"""

import heapq
from collections.abc import Iterator
from typing import Any

from lakehouse.core.limits import PAGE_BYTES_MAX
from lakehouse.sessionlog.reading.compacted import Compacted

Order = tuple[str, str]
"""What rows are ordered by: the moment, then the row id, so that the order is total."""


class NewestRows:
    """The newest rows so far, each once. `floor` is the newest of those that have no place.

    A row is older than the page if it is older than the floor, even where the page has room: rows
    between them were let go, and begin the next page. One row is always kept, however large.
    """

    def __init__(self, *, rows_max: int, bytes_max: int) -> None:
        self.floor: Order | None = None
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._heap: list[tuple[Order, bytes]] = []
        self._orders: set[Order] = set()
        self._bytes = 0

    def has_room_for(self, order: Order) -> bool:
        """Whether a row would be taken: newer than the floor, and not there yet."""
        return (self.floor is None or order > self.floor) and order not in self._orders

    def offer(self, order: Order, line: bytes) -> bool:
        """Take a row into the page if it belongs there; False if it is older than the page."""
        if self.floor is not None and order <= self.floor:
            return False
        if order not in self._orders:
            heapq.heappush(self._heap, (order, line))
            self._orders.add(order)
            self._bytes += len(line)
        while len(self._heap) > self._rows_max or (
            self._bytes > self._bytes_max and len(self._heap) > 1
        ):
            dropped, let_go = heapq.heappop(self._heap)
            self._orders.remove(dropped)
            self._bytes -= len(let_go)
            self.floor = dropped if self.floor is None else max(self.floor, dropped)
        return self.floor is None or order > self.floor

    def page(self) -> list[tuple[Order, bytes]]:
        return sorted(self._heap, reverse=True)


def compacted_batches(
    compacted: Compacted, condition: str, values: list[Any], limit: int
) -> Iterator[list[bytes]]:
    """Yield the table's rows that match a condition, at most `limit`, about a page at a time.

    Every row of a batch is newer than those of the next one; within a batch there is no order.
    """
    batch: list[str] = []
    size = 0
    for row_id, line_bytes in compacted.newest(condition, values, limit):
        if batch and size + line_bytes > PAGE_BYTES_MAX:
            yield compacted.lines_of(batch)
            batch, size = [], 0
        batch.append(row_id)
        size += line_bytes
    if batch:
        yield compacted.lines_of(batch)
