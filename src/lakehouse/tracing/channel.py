"""A bounded queue to one receiver: enqueued in a microsecond, sent in batches, drops counted.

Offering never waits. Items that do not fit, that the receiver refuses, or that cannot be delivered
are dropped and counted. A batch that a receiver rejects is halved until the bad item is alone, so
that it costs no other item. Everything runs on the daemon's own loop, in steps of microseconds.
"""

import asyncio
import gzip
import logging
import random
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, islice
from typing import Final, Literal

import msgspec

from lakehouse.tracing.intake import IntakeUrl
from lakehouse.transport.client import HttpClient, HttpLimits, HttpReply, TransportFault

_LOG = logging.getLogger(__name__)

QUEUE_BYTES_MAX: Final = 16 << 20  # about 10,000 sessions without content
BATCH_BYTES_MAX: Final = 1 << 20  # collectors take 4 MiB as a rule, Langfuse 4.5
BATCH_ITEMS_MAX: Final = 512
LINGER_S: Final = 0.5  # from the first item of a batch to its delivery
RETRIES_MAX: Final = 4  # of one batch, where OTLP allows it
BACKOFF_S_MAX: Final = 8.0
RETRY_AFTER_S_MAX: Final = 30.0
CALLS_MAX: Final = 40  # for one batch that has to be halved
WARN_INTERVAL_S: Final = 60.0
_ANSWER_BYTES_MAX: Final = 4 << 20

_RETRIED: Final = frozenset({429, 502, 503, 504})  # OTLP's list; no other status is retried
_HALVED: Final = frozenset({400, 413, 422})  # something in the batch is bad, or it is too large

Reason = Literal["queue_full", "unreachable", "refused", "rejected", "invalid", "shutdown"]


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """The protocol of a receiver: encodes a batch, and reads how many items were refused."""

    url: IntakeUrl
    headers: Mapping[str, str]
    timeout_ms: int
    gzip: bool
    batch: Callable[[Sequence[bytes]], bytes]
    rejected: Callable[[HttpReply], int]

    def __repr__(self) -> str:
        """Show the address, never the key."""
        return f"Receiver({self.url})"


class Delivered(msgspec.Struct):
    """The result for items: accepted by the receiver, or dropped for a reason."""

    sent: int = 0
    dropped: dict[Reason, int] = msgspec.field(default_factory=dict)
    trouble: str = ""

    def add(self, other: "Delivered") -> None:
        self.sent += other.sent
        for reason, count in other.dropped.items():
            self.drop(reason, count, other.trouble)

    def drop(self, reason: Reason, count: int, trouble: str = "") -> None:
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count
            self.trouble = trouble or self.trouble


class Channel:
    """The queue to one receiver. `name` says what its items are, for the log and the metrics."""

    def __init__(
        self,
        name: str,
        receiver: Receiver,
        http: HttpClient,
        *,
        queue_bytes_max: int = QUEUE_BYTES_MAX,
        linger_s: float = LINGER_S,
    ) -> None:
        self.name = name
        self.total = Delivered()
        self._receiver = receiver
        self._http = http
        self._queue: deque[bytes] = deque()
        self._queue_bytes = 0
        self._queue_bytes_max = queue_bytes_max
        self._full = False
        self._linger_s = linger_s
        self._batch_ready = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._in_flight = 0
        self._warned_at = -WARN_INTERVAL_S

    @property
    def depth(self) -> int:
        """The number of items that wait or are being sent."""
        return len(self._queue) + self._in_flight

    @property
    def full(self) -> bool:
        """Whether items did not fit, and none has been sent since."""
        return self._full

    def offer(self, items: Sequence[bytes]) -> None:
        """Queue items, all or none. Call it on the loop; it never waits."""
        if self._closing.is_set():
            self.total.drop("shutdown", len(items))
            return
        size = sum(map(len, items))
        if self._queue_bytes + size > self._queue_bytes_max:
            self._full = True
            self.overflow(len(items))
            return
        self._queue.extend(items)
        self._queue_bytes += size
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        if self._whole_batch():
            self._batch_ready.set()

    def overflow(self, count: int) -> None:
        """Count items as dropped without building them, because the queue is full."""
        self.total.drop("queue_full", count, "the queue is full")

    async def deliver(self, items: Iterable[bytes], *, retries: int = RETRIES_MAX) -> Delivered:
        """Send items now, in batches, each retried as OTLP allows."""
        done = Delivered()
        waiting = deque(items)
        while waiting:
            batch = _take_batch(waiting)
            await self._deliver(batch, done, retries=retries)
        return done

    async def close(self, patience_s: float) -> None:
        """Send the queue for at most `patience_s`; the rest is dropped and counted."""
        self._closing.set()
        self._batch_ready.set()
        task = self._task
        if task is not None:
            await asyncio.wait({task}, timeout=patience_s)
            task.cancel()
            await asyncio.wait({task})
        self.total.drop("shutdown", self.depth)
        self._queue.clear()
        self._in_flight = self._queue_bytes = 0

    def _whole_batch(self) -> bool:
        return len(self._queue) >= BATCH_ITEMS_MAX or self._queue_bytes >= BATCH_BYTES_MAX

    async def _run(self) -> None:
        """Deliver until the queue is empty; the next offer starts it again."""
        try:
            while self._queue:
                if not self._whole_batch():
                    await self._linger()
                batch = _take_batch(self._queue)
                self._queue_bytes -= sum(map(len, batch))
                self._full = False
                self._in_flight = len(batch)
                done = Delivered()
                await self._deliver(batch, done)
                self._in_flight = 0
                self._count(done)
        finally:
            self._task = None

    async def _linger(self) -> None:
        self._batch_ready.clear()
        if self._closing.is_set():
            return
        try:
            async with asyncio.timeout(self._linger_s):
                await self._batch_ready.wait()
        except TimeoutError:
            return

    def _count(self, done: Delivered) -> None:
        self.total.add(done)
        now = asyncio.get_running_loop().time()
        if done.dropped and now - self._warned_at >= WARN_INTERVAL_S:
            self._warned_at = now
            lost = sum(self.total.dropped.values())
            _LOG.warning("%s: %s; %d dropped so far", self.name, done.trouble, lost)

    async def _deliver(
        self,
        items: Sequence[bytes],
        done: Delivered,
        *,
        retries: int = RETRIES_MAX,
        calls_left: list[int] | None = None,
    ) -> None:
        """Deliver one batch; `calls_left` is shared by all of its halves."""
        calls_left = [CALLS_MAX] if calls_left is None else calls_left
        if calls_left[0] <= 0:
            done.drop("rejected", len(items))
            return
        calls_left[0] -= 1
        reply = await self._post(items, done, retries)
        if reply is None:
            return
        if 200 <= reply.status < 300:
            rejected = min(self._receiver.rejected(reply), len(items))
            done.sent += len(items) - rejected
            done.drop("rejected", rejected, "the receiver refused some of a batch")
        elif reply.status in _HALVED and len(items) > 1:
            middle = len(items) // 2
            for half in (items[:middle], items[middle:]):
                await self._deliver(half, done, retries=retries, calls_left=calls_left)
        else:
            reason: Reason = "rejected" if reply.status in _HALVED else "refused"
            done.drop(reason, len(items), f"the receiver answered {reply.status}")

    async def _post(
        self, items: Sequence[bytes], done: Delivered, retries: int
    ) -> HttpReply | None:
        """Send one body, with retries, until a final answer; None if it could not be delivered."""
        body = self._receiver.batch(items)
        headers = self._receiver.headers
        if self._receiver.gzip:
            body = gzip.compress(body, compresslevel=1)
            headers = {**headers, "content-encoding": "gzip"}
        for retry in range(retries + 1):
            wait_s = min(BACKOFF_S_MAX, 2.0**retry) * random.uniform(0.5, 1.0)
            try:
                reply = await self._http.post(
                    self._receiver.url.whole, headers=headers, body=body, limits=self._limits()
                )
            except TransportFault as fault:
                trouble = f"the receiver cannot be reached: {fault.kind}"
            else:
                if reply.status not in _RETRIED:
                    return reply
                trouble = f"the receiver answered {reply.status}"
                wait_s = _retry_after_s(reply) or wait_s
            if retry < retries and not await self._closing_within(wait_s):
                continue
            break
        done.drop("unreachable", len(items), trouble)
        return None

    async def _closing_within(self, seconds: float) -> bool:
        """Wait before a retry; returns True if the channel is closing and must not retry."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return False
        return True

    def _limits(self) -> HttpLimits:
        total_ms = self._receiver.timeout_ms
        return HttpLimits(min(5_000, total_ms), total_ms, total_ms, total_ms, _ANSWER_BYTES_MAX)


def _take_batch(queue: "deque[bytes]") -> list[bytes]:
    """Take as many items as a batch may have; the last one may exceed the byte limit."""
    ends_bytes = list(accumulate(map(len, islice(queue, BATCH_ITEMS_MAX))))
    count = min(bisect_left(ends_bytes, BATCH_BYTES_MAX) + 1, len(ends_bytes))
    return [queue.popleft() for _ in range(count)]


def _retry_after_s(reply: HttpReply) -> float | None:
    text = reply.headers.get("retry-after", "")
    if not (text.isascii() and text.isdigit()):
        return None
    return min(float(text[:9]), RETRY_AFTER_S_MAX)
