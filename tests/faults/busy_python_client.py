"""A program: 64 threads and 64 tasks call two clients of one log at once, and it tells its memory.

Usage: busy_python_client.py CONFIG CALLS. Prints JSON: the resident memory in KiB after a fifth of
the calls, and at the end, and how many calls returned the instance.
"""

import asyncio
import json
import re
import sys
import threading
from pathlib import Path

import pydantic

import lakehouse

WORKERS = 64


class Event(pydantic.BaseModel):
    """What the scripted model answers."""

    airport: str
    city: str


def rss_kib() -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


class Calls:
    """Numbers for the calls, for all workers, and how many returned what they should."""

    def __init__(self, count: int) -> None:
        self._left = iter(range(count))
        self._lock = threading.Lock()
        self.good = 0
        self.early_kib = 0
        self._early = count // 5

    def take(self) -> int | None:
        with self._lock:
            return next(self._left, None)

    def ended(self, event: Event) -> None:
        with self._lock:
            self.good += event.airport == "BCN"
            if self.good == self._early:
                self.early_kib = rss_kib()


def threads(config: str, calls: Calls) -> None:
    with lakehouse.open(config) as lake:

        def work() -> None:
            while (number := calls.take()) is not None:
                calls.ended(lake.create(Event, f"thread {number}"))

        workers = [threading.Thread(target=work) for _ in range(WORKERS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


async def tasks(config: str, calls: Calls) -> None:
    async with lakehouse.open_async(config) as lake:

        async def work() -> None:
            while (number := calls.take()) is not None:
                calls.ended(await lake.create(Event, f"task {number}"))

        await asyncio.gather(*(work() for _ in range(WORKERS)))


def main() -> None:
    config, count = sys.argv[1], int(sys.argv[2])
    calls = Calls(count)
    others = threading.Thread(target=threads, args=(config, calls))
    others.start()
    asyncio.run(tasks(config, calls))
    others.join()
    print(json.dumps({"early": calls.early_kib, "late": rss_kib(), "good": calls.good}))


if __name__ == "__main__":
    main()
