"""The client matrix: `python -m clients [--update] [NAME …]`, with `tests` on the path.

Installs what is missing, drives every client (or those named) against the scripted door, and fails
with each cell that differs from `expected.json`. With `--update`, that file is written instead.
"""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

from clients.environments import HOME, installed
from clients.matrix import Result, Table, differences, run, table, write_results
from clients.scripted_door import ScriptedDoor
from clients.situations import CLIENTS, Client, cells

EXPECTED = Path(__file__).with_name("expected.json")


async def _results(clients: tuple[Client, ...]) -> list[Result]:
    async with ScriptedDoor() as door:
        return await run(cells(clients), door)


def main() -> None:
    """Install, run, compare."""
    parser = argparse.ArgumentParser(prog="clients", description=__doc__)
    parser.add_argument("names", nargs="*", help="clients to run; all, where none is named")
    parser.add_argument("--update", action="store_true", help="write expected.json")
    asked = parser.parse_args()
    known = {client.name: client for client in CLIENTS}
    if unknown := set(asked.names) - set(known):
        sys.exit(f"no such client: {', '.join(unknown)}; there are: {', '.join(known)}")
    clients = tuple(known[name] for name in asked.names or known)
    begun = time.monotonic()
    installed(sorted({client.environment for client in clients}))
    results = asyncio.run(_results(clients))
    write_results(results, HOME / "results.jsonl")
    seen = table(results)
    expected: Table = json.loads(EXPECTED.read_text("utf-8")) if EXPECTED.exists() else {}
    wrong = differences(expected, seen)
    print("\n".join(wrong))
    print(f"{len(results) - len(wrong)} passed, {len(wrong)} failed")
    print(f"({time.monotonic() - begun:.0f} s; all messages: {HOME.name}/results.jsonl)")
    if asked.update:
        merged = {cell.row: (expected | seen).get(cell.row, {}) for cell in cells()}
        EXPECTED.write_text(json.dumps(merged, indent=1, ensure_ascii=False) + "\n", "utf-8")
        return
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
