"""The demo's final report: verdicts, what they are worth, one session, one query.

Everything but the replies is read back from the log, as a user would.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lakehouse.cli.show import print_attempt, print_fact
from lakehouse.cli.table import cell_text, percent, print_table
from lakehouse.core.session import SessionReply
from lakehouse.demo.notices import Notice
from lakehouse.sessionlog.reading.query import query

QUESTION: Final = """SELECT code, path, count(*) AS findings, count(DISTINCT row_id) AS sessions
FROM findings GROUP BY ALL ORDER BY findings DESC, code, path LIMIT 6"""


class Told(msgspec.Struct, frozen=True):
    """One notice and how its session ended. `away`: sent to the model that is not there."""

    notice: Notice
    reply: SessionReply
    away: bool

    @property
    def group(self) -> str:
        """The column of the verdict table."""
        return "outage" if self.away else self.notice.constrain

    @property
    def right(self) -> bool:
        """Whether an accepted artifact equals the checked answer."""
        return self.reply.verdict == "accepted" and msgspec.json.decode(
            self.reply.artifact
        ) == msgspec.to_builtins(self.notice.answer)


_ROWS: Final[tuple[tuple[str, Callable[[SessionReply], bool]], ...]] = (
    ("accepted at iteration 0", lambda reply: reply.accepted_iteration == 0),
    (
        "accepted after feedback",
        lambda reply: reply.verdict == "accepted" and reply.accepted_iteration != 0,
    ),
    ("max_iter_exhausted", lambda reply: reply.verdict == "max_iter_exhausted"),
    ("infra_error", lambda reply: reply.verdict == "infra_error"),
    ("sessions", lambda _: True),
)
_GROUPS: Final = ("auto", "off", "outage")


def print_report(told: Sequence[Told], directory: Path, wall_s: float, console: Console) -> None:
    """Print the demo's end. `directory` holds the demo's configuration and log."""
    console.print()
    console.print(_verdicts(told))
    console.print(
        "auto: decoding is constrained to the schema. off: it is not. outage: one notice is\n"
        "sent on purpose to a model whose endpoint is down; an outage is not a bad answer\n"
        "and does not change the rate.",
        soft_wrap=True,
    )
    _print_worth(told, console)
    _print_session(_session_to_tell(told), console)
    _print_question(directory, console)
    _print_next(told, directory, console)
    console.print(f"\nThe wave took {wall_s:.0f} s.")


def _verdicts(told: Sequence[Told]) -> Table:
    table = Table(title="Verdicts", title_justify="left")
    table.add_column("")
    for group in (*_GROUPS, "all"):
        table.add_column(group, justify="right")
    for label, holds in _ROWS:
        counts = [sum(holds(one.reply) for one in told if one.group == group) for group in _GROUPS]
        table.add_row(label, *map(str, counts), str(sum(counts)))
    rates = [_rate([one for one in told if one.group == group]) for group in _GROUPS]
    table.add_row("first-shot rate", *rates, _rate(told))
    return table


def _rate(told: Sequence[Told]) -> str:
    judged = [one for one in told if one.reply.verdict != "infra_error"]
    first_shot = sum(one.reply.accepted_iteration == 0 for one in judged)
    return percent(first_shot / len(judged) if judged else None)


def _print_worth(told: Sequence[Told], console: Console) -> None:
    accepted = [one for one in told if one.reply.verdict == "accepted"]
    right = sum(one.right for one in accepted)
    eventless = [one for one in told if one.notice.answer is None and not one.away]
    through = sum(one.reply.verdict == "accepted" for one in eventless)
    console.print(
        f"\nOf {len(accepted)} accepted artifacts, {right} equal the answer a person wrote down.\n"
        "The model is tiny; what matters is what is rejected: every accepted artifact\n"
        "names an airport in the table, its city, and a quote from its own notice.\n"
        f"Notices without a valid event: {len(eventless)}, of which accepted: {through}.",
        soft_wrap=True,
    )


def _session_to_tell(told: Sequence[Told]) -> Told:
    """Prefer one that was accepted after feedback, else the longest one."""

    def interest(one: Told) -> tuple[bool, int]:
        reply = one.reply
        corrected = reply.verdict == "accepted" and reply.accepted_iteration != 0
        return corrected and one.right, reply.iterations + 10 * corrected

    return max((one for one in told if not one.away), key=interest)


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
    console.print("\n[bold]Try next[/bold]")
    for rest in (f"show {session_id}", "stats --by model", "sessions --verdict accepted", "up"):
        console.print(Text(f"  {command} {rest}"), soft_wrap=True)


def _program() -> str:
    return sys.argv[0] if not sys.argv[0].endswith("__main__.py") else "lakehouse"
