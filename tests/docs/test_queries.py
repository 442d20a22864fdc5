"""A query of the documentation tells what its page says, of a log that holds an answer to it."""

import asyncio
import re
from pathlib import Path

from lakehouse.core.session import Narrowed
from lakehouse.sessionlog.reading.views import open_views
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.rows import make_attempt, make_row, rejected_attempt

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "query-the-log.md"


def offered(*modes: str) -> tuple[Narrowed, ...]:
    return tuple(
        Narrowed(path=f"/{at}", column="t.c", mode=mode, candidates=2, digest=f"sha256:{'0' * 64}")
        for at, mode in enumerate(modes)
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
    rows = [make_row(kind="event", attempts=tuple(each)) for each in attempts]
    rows.append(make_row(kind="event", daemon="replay", attempts=(make_attempt(),)))
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
