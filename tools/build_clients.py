"""Write docs/reference/clients.md: what users of OpenAI clients see, from `tests/clients`.

    python tools/build_clients.py          # rewrites the generated part
    python tools/build_clients.py --check  # exit 1 if the page differs

`make clients` holds the clients against the same data, `tests/clients/expected.json`.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from clients.environments import Versions, pinned  # noqa: E402 -- found by the path above
from clients.matrix import NAMED, Table  # noqa: E402
from clients.situations import CLIENTS, SITUATIONS, Cell, Client, Situation, cells  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "clients.md"
EXPECTED = ROOT / "tests" / "clients" / "expected.json"
TIMES = re.compile(r" ×(\d+)$")
GLANCE = {
    "all checks passed": ("accepted", "second_try"),
    "no answer passed": ("exhausted",),
    "model down or loading": ("down", "loading"),
    "deadline over": ("timeout",),
    "deadline over, with a key": ("timeout_keyed",),
    "over the limit": ("over_limit",),
    "wrong API key": ("wrong_key",),
}


class Seen(NamedTuple):
    """What a user sees, how many rows that leaves, and for which ways of asking."""

    outcome: str
    rows: int
    ways: str  # empty where it is so for all


def seen(table: Table, client: Client, situation: Situation) -> list[Seen]:
    """Bring together the ways of asking that come to the same."""
    asked = [cell for cell in cells((client,)) if cell.situation == situation]
    by_outcome: dict[str, list[Cell]] = {}
    for cell in asked:
        by_outcome.setdefault(table[cell.row][situation.name], []).append(cell)
    return [
        Seen(
            TIMES.sub("", outcome),
            int(found[1]) if (found := TIMES.search(outcome)) else 1,
            "" if len(by_outcome) == 1 else ways(group, asked),
        )
        for outcome, group in by_outcome.items()
    ]


def ways(group: list[Cell], asked: list[Cell]) -> str:
    """Name ways of asking; whether streamed is said only where that makes the difference."""
    both = [True, False] if {cell.streamed for cell in asked} == {True, False} else [True]
    told = []
    for way in dict.fromkeys(cell.way for cell in group):
        streamed = [cell.streamed for cell in group if cell.way == way]
        whole = len(streamed) == len(both)
        told.append(way if whole else f"{way}, {'streamed' if streamed[0] else 'not streamed'}")
    return "; ".join(told)


def versions_of(client: Client, versions: Versions) -> str:
    """Show the versions of a client's packages."""
    numbers = dict(versions.node)
    if client.environment != "node":
        pins = versions.python[client.environment]
        numbers = {re.split(r"[\[=]", pin)[0]: pin.partition("==")[2] for pin in pins}
    return ", ".join(f"`{package}` {numbers[package]}" for package in client.packages)


def at_a_glance(table: Table, client: Client, names: Iterable[str]) -> str:
    """Say in few words what a user sees, and how many rows one call leaves."""
    rows = [row for one in SITUATIONS if one.name in names for row in seen(table, client, one)]
    words = dict.fromkeys(row.outcome.partition(" ")[0] for row in rows)
    shown = " or ".join("the object" if word == "parsed" else f"`{word}`" for word in words)
    numbers = "–".join(map(str, sorted({row.rows for row in rows})))
    return f"{shown}; {numbers} {'row' if numbers == '1' else 'rows'}"


def overview(table: Table, versions: Versions) -> Iterator[str]:
    """One line a client."""
    yield f"| client | versions | {' | '.join(GLANCE)} | the row's `client` |"
    yield "| --- " * (len(GLANCE) + 3) + "|"
    for client in CLIENTS:
        told = " | ".join(at_a_glance(table, client, names) for names in GLANCE.values())
        named = {table[cell.row][NAMED] for cell in cells((client,))}
        in_rows = ", ".join(f"`{name}`" for name in sorted(named))
        yield f"| {client.name} | {versions_of(client, versions)} | {told} | {in_rows} |"


def section(table: Table, client: Client) -> tuple[str, ...]:
    """What a client's user sees in each situation."""
    lines = [f"Ways of asking: {', '.join(client.ways)}.", ""]
    lines += ["| situation | the user sees | ways of asking | rows |", "| --- | --- | --- | --- |"]
    for situation in SITUATIONS:
        for row in seen(table, client, situation):
            shown = "the object" if row.outcome == "parsed" else f"`{row.outcome}`"
            lines.append(f"| {situation.told} | {shown} | {row.ways or 'all'} | {row.rows} |")
    return (*lines, "")


def generated() -> str:
    """Give the generated part of the page."""
    table: Table = json.loads(EXPECTED.read_text("utf-8"))
    versions = pinned()
    lines = ["## At a glance", "", *overview(table, versions), ""]
    lines += [f"With everything that the clients depend on as of {versions.as_of}.", ""]
    lines += ["## Situations", "", "| situation | the door answers |", "| --- | --- |"]
    lines += [f"| {situation.told} | {situation.answer} |" for situation in SITUATIONS]
    lines += ["", "## What the user sees", ""]
    first: dict[tuple[str, ...], str] = {}
    for client in CLIENTS:
        told = section(table, client)
        name = first.setdefault(told, client.name)
        lines += [f"### {client.name}", ""]
        lines += (
            told
            if name == client.name
            else (f"The same as [{name}](#{name.replace(' ', '-')}).", "")
        )
    return "\n".join(lines).rstrip()


def main() -> None:
    text = PAGE.read_text("utf-8")
    before, begin, rest = text.partition("<!-- generated -->\n")
    _, end, after = rest.partition("<!-- end of generated -->")
    if not begin or not end:
        raise SystemExit(f"{PAGE}: the markers are missing")
    built = f"{before}{begin}\n{generated()}\n\n{end}{after}"
    if built == text:
        return
    if "--check" in sys.argv:
        raise SystemExit("docs/reference/clients.md differs: python tools/build_clients.py")
    PAGE.write_text(built, "utf-8")
    print("changed: clients.md")


if __name__ == "__main__":
    main()
