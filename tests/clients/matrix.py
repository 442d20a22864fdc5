"""Runs cells of the matrix against a door, and compares what came of them with what is expected."""

import asyncio
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from clients.environments import ROOT, command
from clients.situations import OBJECT, PROMPT, Cell, Situation

PROGRAM_S = 420.0  # LangChain.js repeats six times and waits up to two minutes in between
STDERR_CHARS = 2000
UNKNOWN_KEY = "sk-unknown"

_OR = " or "
NAMED = "client"  # stands beside the situations: how the rows name the client

Table = dict[str, dict[str, str]]  # row → situation → what a client's user sees


class Door(Protocol):
    """What is asked."""

    @property
    def key(self) -> str:
        """Give a key that the door knows."""
        ...

    def base_url(self, situation: Situation) -> str:
        """Give the base URL that a client is configured with."""
        ...


class Told(NamedTuple):
    """What a program printed for one cell, whose mark stands in the prompt."""

    cell: Cell
    mark: str
    outcome: dict[str, Any]


class Result(NamedTuple):
    """What came of one cell."""

    row: str
    situation: str
    outcome: dict[str, Any]  # as the program printed it
    rows: int
    clients: frozenset[str] = frozenset()  # how its rows name the client

    @property
    def seen(self) -> str:
        """Say in the table's words what the user sees: `parsed`, or `APIError 502 connect ×3`."""
        outcome = self.outcome
        if outcome["outcome"] == "parsed":
            told = "parsed" if outcome["object"] == OBJECT else f"parsed {outcome['object']}"
        else:
            words = (outcome["class"], outcome.get("status"), outcome.get("code"))
            told = " ".join(str(word) for word in words if word is not None)
        return told if self.rows == 1 else f"{told} ×{self.rows}"


async def run(cells: Iterable[Cell], door: Door, programs_at_once: int = 3) -> list[Told]:
    """Run every cell: one process for each client, whose cases run at the same time."""
    by_client: dict[str, list[Cell]] = {}
    for cell in cells:
        by_client.setdefault(cell.client.name, []).append(cell)
    slots = asyncio.Semaphore(programs_at_once)

    async def one(group: list[Cell]) -> list[Told]:
        async with slots:
            begun = time.monotonic()
            told = await _run_program(group, door)
            took = time.monotonic() - begun
            print(f"{group[0].client.name}: {len(told)} cells in {took:.0f} s", flush=True)
            return told

    # Slowest first: the run ends when the last program does.
    groups = sorted(
        by_client.values(), key=lambda group: group[0].client.program != "langchain_node"
    )
    return [told for group in await asyncio.gather(*map(one, groups)) for told in group]


def counted(told: Iterable[Told], rows: Mapping[str, Sequence[Mapping[str, str]]]) -> list[Result]:
    """Put together what the users saw and the metadata of their rows, which are found by mark.

    Raises:
        AssertionError: A row names another door.
    """
    results = []
    for cell, mark, outcome in told:
        found = rows.get(mark, ())
        assert {row["door"] for row in found} <= {f"openai.{cell.way.partition(' ')[0]}"}, mark
        clients = frozenset(row["client"] for row in found)
        results.append(Result(cell.row, cell.situation.name, outcome, len(found), clients))
    return results


async def _run_program(group: list[Cell], door: Door) -> list[Told]:
    client = group[0].client
    marks = {f"[{client.name}/{number}]": cell for number, cell in enumerate(group)}
    cases = "".join(_case(mark, cell, door) + "\n" for mark, cell in marks.items())
    with tempfile.TemporaryFile() as trouble:
        process = await asyncio.create_subprocess_exec(
            *command(client.environment, client.program),
            env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=trouble,
        )
        said: dict[str, dict[str, Any]] = {}
        try:
            async with asyncio.timeout(PROGRAM_S):
                await _outcomes(process, cases, said, len(marks))
        except TimeoutError:
            print(f"{client.name} was ended after {PROGRAM_S:.0f} s")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if len(said) < len(marks):
            trouble.seek(0)
            written = trouble.read().decode("utf-8", "replace")[-STDERR_CHARS:]
            print(f"{client.name} left cells without an outcome. It wrote:\n{written}")
    nothing = {"outcome": "raised", "class": "no outcome", "message": ""}
    return [Told(cell, mark, said.get(mark, nothing)) for mark, cell in marks.items()]


async def _outcomes(
    process: asyncio.subprocess.Process, cases: str, said: dict[str, dict[str, Any]], wanted: int
) -> None:
    """Give a program its cases, and take its outcomes until all are there or it ends."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(ConnectionError):  # it ended without reading
        process.stdin.write(cases.encode())
        await process.stdin.drain()
    process.stdin.close()
    async for line in process.stdout:
        outcome = json.loads(line)
        said[outcome["case"]] = outcome
        if len(said) == wanted:
            return


def _case(mark: str, cell: Cell, door: Door) -> str:
    return json.dumps(
        {
            "id": mark,
            "base_url": door.base_url(cell.situation),
            "api_key": door.key if cell.situation.known_key else UNKNOWN_KEY,
            "model": cell.situation.model,
            "way": cell.way,
            "streamed": cell.streamed,
            "headers": {"Idempotency-Key": mark} if cell.situation.idempotent else {},
            "prompt": f"{mark} {PROMPT}",
        }
    )


def table(results: Iterable[Result]) -> Table:
    """Give what users see, row by row."""
    rows: Table = {}
    for result in results:
        row = rows.setdefault(result.row, {})
        row[result.situation] = result.seen
        if result.clients:
            names = result.clients | set(row[NAMED].split(_OR) if NAMED in row else ())
            row[NAMED] = _OR.join(sorted(names))
    return rows


def differences(expected: Table, seen: Table) -> list[str]:
    """Say every cell of `seen` that is not as expected, with both; rows not run are left alone."""
    return [
        f"{row} | {situation}: expected {expected.get(row, {}).get(situation, 'no such cell')!r}, "
        f"seen {cells.get(situation, 'no such cell')!r}"
        for row, cells in seen.items()
        for situation in {**expected.get(row, {}), **cells}
        if expected.get(row, {}).get(situation) != cells.get(situation)
    ]


def write_results(results: Iterable[Result], path: Path) -> None:
    """Keep everything that the programs said, the messages too."""
    lines = [
        json.dumps(
            {"row": one.row, "situation": one.situation, "rows": one.rows, **one.outcome},
            ensure_ascii=False,
        )
        for one in results
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
