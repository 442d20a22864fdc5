"""The client matrix: `python -m clients [--update] [NAME …]`, with `tests` on the path.

Installs what is missing, drives every client (or those named) against running stacks, and fails
with each cell that differs from `expected.json`. With `--update`, that file is written instead.
"""

import argparse
import asyncio
import json
import shutil
import sys
import time
from pathlib import Path

from clients.environments import HOME, installed
from clients.matrix import Result, Table, counted, differences, run, table, write_results
from clients.running_door import rows_by_mark, running_door
from clients.situations import CLIENTS, Client, cells

EXPECTED = Path(__file__).with_name("expected.json")
RUN = HOME / "run"  # what the daemons wrote, until the next run


def _results(clients: tuple[Client, ...]) -> list[Result]:
    """Run the cells; rows are counted after the daemons ended, so that none is still to come."""
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir()
    with running_door(RUN) as door:
        told = asyncio.run(run(cells(clients), door))
    return counted(told, rows_by_mark(RUN / "log"))


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
    results = _results(clients)
    write_results(results, HOME / "results.jsonl")
    seen = table(results)
    expected: Table = json.loads(EXPECTED.read_text("utf-8")) if EXPECTED.exists() else {}
    wrong = differences(expected, seen)
    print("\n".join(wrong))
    print(f"{len(results) - len(wrong)} passed, {len(wrong)} failed")
    print(
        f"({time.monotonic() - begun:.0f} s; messages: {HOME.name}/results.jsonl; daemons: {RUN})"
    )
    if asked.update:
        merged = {cell.row: (expected | seen).get(cell.row, {}) for cell in cells()}
        EXPECTED.write_text(json.dumps(merged, indent=1, ensure_ascii=False) + "\n", "utf-8")
        return
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
