"""A query of the documentation tells what its page says, of a log that holds an answer to it."""

import asyncio
import re
from pathlib import Path

from lakehouse.core.row import Row
from lakehouse.core.session import Attempt, Narrowed
from lakehouse.sessionlog.reading.stats import stats
from lakehouse.sessionlog.reading.views import open_views
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.rows import make_attempt, make_row, rejected_attempt

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "query-the-log.md"


def offered(*modes: str) -> tuple[Narrowed, ...]:
    return tuple(
        Narrowed(path=f"/{at}", column="t.c", mode=mode, candidates=2, digest=f"sha256:{'0' * 64}")
        for at, mode in enumerate(modes)
    )


def row_of(*attempts: Attempt, daemon: str = "validatord") -> Row:
    accepted = attempts[-1].outcome == "accepted"
    return make_row(
        kind="event",
        daemon=daemon,
        attempts=attempts,
        verdict="accepted" if accepted else "max_iter_exhausted",
        iterations=len(attempts),
        accepted_iteration=len(attempts) - 1 if accepted else None,
    )


def test_the_rate_by_what_was_offered_is_that_of_first_attempts(tmp_path: Path) -> None:
    """Several places in one mode are one attempt; both modes are a group of their own."""
    attempts = [
        [make_attempt()],
        [rejected_attempt(), make_attempt(1, narrowed=offered("hint"))],
        [make_attempt(narrowed=offered("decode", "decode"))],
        [make_attempt(narrowed=offered("decode"))],
        [rejected_attempt(narrowed=offered("decode"))],
        [rejected_attempt(narrowed=offered("hint"))],
        [make_attempt(narrowed=offered("hint", "decode"))],
    ]
    rows = [row_of(*each) for each in attempts]
    rows.append(row_of(make_attempt(), daemon="replay"))
    writer = SessionLogWriter.open(tmp_path, daemon="validatord")
    for row in rows:
        asyncio.run(writer.append(row))
    writer.close()
    [sql] = [
        one
        for one in re.findall(
            r"^```sql\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
        if "narrowed" in one
    ]
    with open_views(tmp_path, bad=False) as connection:
        found = connection.execute(sql).fetchall()
    assert [(kind, mode, count, round(rate, 2)) for kind, mode, count, rate in found] == [
        ("event", "decode", 3, 0.67),
        ("event", "decode+hint", 1, 1.0),
        ("event", "hint", 1, 0.0),
        ("event", "none", 2, 0.5),
    ]
    told = stats(tmp_path, by=["kind", "offered"]).by or ()
    shots = [(one.group, one.sessions, one.first_shot, one.accepted) for one in told]
    assert shots == [
        ({"kind": "event", "offered": "decode"}, 3, 2, 2),
        ({"kind": "event", "offered": "decode+hint"}, 1, 1, 1),
        ({"kind": "event", "offered": "hint"}, 1, 0, 0),
        ({"kind": "event", "offered": "none"}, 2, 1, 2),
    ]
