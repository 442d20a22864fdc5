"""100,000 items through both clients, with a file to resume from: memory stays flat."""

from pathlib import Path

import pytest

from support.many_calls import ran_program

SCRIPT = """
import asyncio, gc, itertools, os, sys
from support.many_calls import SCHEMA, SayingRunner, async_lake, ran_program, waiting_lake

ITEMS, SETTLED = 100_000, 20_000
words = itertools.cycle(["p", "p", "exhausted", "p", "outage", "p", "refused"])
prompts = (f"{word} {number}" for number, word in zip(range(ITEMS), words))
options = {"resume": sys.argv[2]} if len(sys.argv) > 2 else {}
seen, kept = 0, []

def look(outcome):
    global seen
    assert outcome.index == seen
    seen += 1
    if seen % SETTLED == 0:
        gc.collect()
        with open("/proc/self/statm") as file:
            kept.append(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))

class Forgetful(SayingRunner):
    async def run(self, *args, **named):
        try:
            return await super().run(*args, **named)
        finally:
            self.asked.clear(), self.ended.clear()

async def main():
    async with async_lake(Forgetful()) as lake:
        async for outcome in lake.create_many(SCHEMA, prompts, **options):
            look(outcome)

if sys.argv[1] == "async":
    asyncio.run(main())
else:
    with waiting_lake(Forgetful()) as lake:
        for outcome in lake.create_many(SCHEMA, prompts, **options):
            look(outcome)
print(seen, kept[-1] - kept[0])
"""


@pytest.mark.slow
@pytest.mark.parametrize("client", ["async", "waiting"])
def test_memory_stays_flat(tmp_path: Path, client: str):
    arguments = [client, str(tmp_path / "many.jsonl")] if client == "async" else [client]

    done = ran_program(SCRIPT, *arguments, capture_output=True, text=True)

    seen, grown = map(int, done.stdout.split())
    assert seen == 100_000
    assert grown < 8 << 20  # 80,000 outcomes that were kept would be over 100 MiB
