"""The demo's final report: what each step buys, one session, one query.

Everything but the replies is read back from the log, as a user would.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lakehouse.cli.show import print_attempt, print_fact
from lakehouse.cli.table import print_table
from lakehouse.core.json_text import cell_text
from lakehouse.core.session import SessionReply
from lakehouse.demo.notices import Notice
from lakehouse.sessionlog.reading.query import query

QUESTION: Final = """SELECT code, path, count(*) AS findings, count(DISTINCT row_id) AS sessions
FROM findings GROUP BY ALL ORDER BY findings DESC, code, path LIMIT 6"""


Wave = Literal["feedback", "table", "outage"]


class Told(msgspec.Struct, frozen=True):
    """One notice and how its session ended.

    In the wave `feedback` no values of the table are offered to the model; in `table` they are; in
    `outage` the model is not there.
    """

    notice: Notice
    reply: SessionReply
    wave: Wave

    @property
    def accepted(self) -> bool:
        return self.reply.verdict == "accepted"

    @property
    def first_shot(self) -> bool:
        return self.reply.accepted_iteration == 0

    @property
    def right(self) -> bool:
        """Whether the artifact equals the answer that a person wrote down."""
        return self._agrees(("quote", "airport", "city", "event"))

    @property
    def place_right(self) -> bool:
        """Whether airport and city, the members that are grounded in the table, are right."""
        return self._agrees(("airport", "city"))

    def _agrees(self, members: Sequence[str]) -> bool:
        written = msgspec.json.decode(self.reply.artifact, type=dict[str, object])
        answer = msgspec.to_builtins(self.notice.answer) or {}
        return all(written[member] == answer.get(member) for member in members)


class _Column(msgspec.Struct, frozen=True):
    """One step: its sessions, and those that it accepts. `calls` counts the model calls of one."""

    title: str
    wave: Wave
    accepts: Callable[[Told], bool]
    calls: Callable[[Told], int]


_COLUMNS: Final = (
    _Column("first answer", "feedback", lambda one: one.first_shot, lambda _: 1),
    _Column(
        "after feedback",
        "feedback",
        lambda one: one.accepted,
        lambda one: one.reply.iterations,
    ),
    _Column(
        "table in the schema",
        "table",
        lambda one: one.accepted,
        lambda one: one.reply.iterations,
    ),
)


def print_report(told: Sequence[Told], directory: Path, wall_s: float, console: Console) -> None:
    """Print the demo's end. `directory` holds the demo's configuration and log."""
    console.print()
    console.print(_steps(told))
    outages = sum(one.reply.verdict == "infra_error" for one in told)
    console.print(
        "first answer: what the model says at once, judged. after feedback: what was wrong went\n"
        "back to it, at most twice. table in the schema: the same, and it can only write values\n"
        "of the table that the notice names, and for its quote sentences of the notice.\n"
        "The model is tiny; what matters is what is rejected:\n"
        "every accepted artifact names an airport in the table, its city, and a quote from its\n"
        "own notice.\n"
        f"One more notice went to a model whose endpoint is down: {outages} infra_error. An\n"
        "outage is not a bad answer and counts in no rate.",
        soft_wrap=True,
    )
    _print_session(_session_to_tell(told), console)
    _print_question(directory, console)
    _print_next(told, directory, console)
    console.print(f"\nThe waves took {wall_s:.0f} s.")


def _steps(told: Sequence[Told]) -> Table:
    table = Table(title="What each step buys", title_justify="left")
    table.add_column("")
    counts: dict[str, list[int]] = {}
    for column in _COLUMNS:
        table.add_column(column.title, justify="right")
        sessions = [one for one in told if one.wave == column.wave]
        accepted = [one for one in sessions if column.accepts(one)]
        shown = {
            "notices": len(sessions),
            "accepted": len(accepted),
            "accepted, airport and city right": sum(one.place_right for one in accepted),
            "accepted, and as a person wrote it": sum(one.right for one in accepted),
            "accepted, although there is no event": sum(
                one.notice.answer is None for one in accepted
            ),
            "rejected": len(sessions) - len(accepted),
            "model calls": sum(map(column.calls, sessions)),
        }
        for label, count in shown.items():
            counts.setdefault(label, []).append(count)
    for label, row in counts.items():
        table.add_row(label, *map(str, row))
    return table


def _session_to_tell(told: Sequence[Told]) -> Told:
    """Prefer one that was accepted after feedback, else the longest one."""

    def interest(one: Told) -> tuple[bool, int]:
        reply = one.reply
        corrected = one.accepted and not one.first_shot
        return corrected and one.right, reply.iterations + 10 * corrected

    return max((one for one in told if one.wave == "feedback"), key=interest)


def _print_session(one: Told, console: Console) -> None:
    console.print(f"\n[bold]One session, attempt by attempt[/bold] ({one.reply.session_id})")
    print_fact(console, "asked", one.notice.text)
    for attempt in one.reply.attempts:
        print_attempt(attempt, console)
    print_fact(console, "verdict", one.reply.verdict)


def _print_question(directory: Path, console: Console) -> None:
    console.print("\n[bold]One query on the log[/bold]")
    console.print(Text("  " + QUESTION.replace("\n", "\n  ")))
    answer = query(directory / "lakehouse-data" / "sessions", QUESTION)
    print_table(
        [column.name for column in answer.columns],
        [[cell_text(cell) for cell in row] for row in answer.rows],
    )


def _print_next(told: Sequence[Told], directory: Path, console: Console) -> None:
    exhausted = [one for one in told if one.reply.verdict == "max_iter_exhausted"]
    session_id = (exhausted or list(told))[0].reply.session_id
    command = f"{Path(_program())} --config {directory / 'lakehouse.toml'}"
    console.print("\n[bold]Try next[/bold]: the first shows these sessions in a browser")
    for rest in (
        "ui",
        f"show {session_id}",
        "stats --by model",
        "sessions --verdict accepted",
        "up",
    ):
        console.print(Text(f"  {command} {rest}"), soft_wrap=True)


def _program() -> str:
    return sys.argv[0] if not sys.argv[0].endswith("__main__.py") else "lakehouse"
