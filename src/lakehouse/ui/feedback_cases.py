"""Cases from what people said: sessions whose right answer is known, to run again as a gate."""

import asyncio
import re
import shlex
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Final

import msgspec

from lakehouse.core.json_text import NULL
from lakehouse.core.replay_row import Feedback, FeedbackLabel
from lakehouse.core.row_codec import decode_row
from lakehouse.feedback.labels import latest_feedback
from lakehouse.sessionlog.index.filters import LogFilter
from lakehouse.sessionlog.index.questions import FoundRow, LabelCount
from lakehouse.sessionlog.index.reader import LogReader
from lakehouse.sessionlog.reading.filters import SessionFilter
from lakehouse.sql.quoting import quoted_text, quoted_texts
from lakehouse.ui.page import Download, PageRequest
from lakehouse.ui.sources import PageSources

KNOWN_ANSWER: Final[tuple[FeedbackLabel, ...]] = ("right", "corrected")
NAMED_MAX: Final = 200  # row ids in a command
_PAGE: Final = 200
_EXPANDED: Final = re.compile(r"[\"$`\\!\n]")  # by a shell, between double quotes
# Options of `lakehouse replay`, and what a condition on its view `sessions` says.
_OPTIONS: Final = ("since", "until", "daemon")
_CONDITIONS: Final = ("model", "verdict", "code", "conversation_id")


class Case(msgspec.Struct, frozen=True):
    """One line of the file. `expected` is the artifact that a person marked right, or gave."""

    row_id: str
    session_id: str
    kind: str | None
    prompt: str
    expected: msgspec.Raw
    label: str


class CaseGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The cases of one kind, and the commands that run them; None where there is none.

    `replay` asks again and compares: a gate. `run` only answers the prompts of the file.
    """

    kind: str | None
    right: int
    corrected: int
    replay: str | None
    run: str | None


def cases_download(sources: PageSources) -> Download:
    """Return the file of a filter's cases, one on each line."""

    async def pieces(request: PageRequest) -> AsyncGenerator[bytes]:
        known = await asyncio.to_thread(latest_feedback, sources.log)
        async for row_id in _labelled(sources, request.where):
            found = await sources.readings.ask(partial(LogReader.session, identity=row_id))
            rows = [row for row in found.rows if row.row_id == row_id]
            case = _case(rows, known.get(row_id))
            if case is not None:
                yield msgspec.json.encode(case) + b"\n"

    return Download(
        path="/feedback/cases.jsonl",
        media_type="application/jsonl",
        file_name="cases.jsonl",
        pieces=pieces,
    )


def case_groups(
    counts: Sequence[LabelCount], where: LogFilter, row_ids: Sequence[str] | None
) -> tuple[CaseGroup, ...]:
    """Return the cases of each kind. `row_ids` are all labelled ones, None if they are too many."""
    wanted = KNOWN_ANSWER if where.label is None else (where.label,)
    groups = []
    for kind in dict.fromkeys(count.kind for count in counts):
        found = {one.label: one.sessions for one in counts if one.kind == kind}
        sizes = {name: found.get(name, 0) if name in wanted else 0 for name in KNOWN_ANSWER}
        if not any(sizes.values()):
            continue
        groups.append(
            CaseGroup(
                kind=kind,
                replay=_replay(kind, where, row_ids),
                run=None if kind is None else _run(kind),
                **sizes,
            )
        )
    return tuple(groups)


def needs_rows(where: LogFilter) -> bool:
    """Whether the filter has more than a replay can ask: then its command names the rows."""
    ours = {"kind", "label", *_OPTIONS, *_CONDITIONS}
    empty = LogFilter()
    return any(
        getattr(where, name) != getattr(empty, name)
        for name in where.__struct_fields__
        if name not in ours
    )


async def _labelled(sources: PageSources, where: LogFilter) -> AsyncGenerator[str]:
    cursor = None
    while True:
        page = await sources.readings.ask(
            partial(LogReader.labels, where=where, limit=_PAGE, cursor=cursor)
        )
        for line in page.labels:
            yield line.row_id
        if (cursor := page.next) is None:
            return


def _case(rows: Sequence[FoundRow], label: Feedback | None) -> Case | None:
    """Return the case of a labelled row; None if its prompt or its right answer is not known."""
    if not rows or label is None or label.label not in KNOWN_ANSWER:
        return None
    row = decode_row(bytes(rows[0].line))
    expected = label.artifact if label.label == "corrected" else row.artifact
    if expected == NULL or row.messages is not None or row.prompt_truncated is not msgspec.UNSET:
        return None
    return Case(row.row_id, row.session_id, row.kind, row.prompt, expected, label.label)


def _replay(kind: str | None, where: LogFilter, row_ids: Sequence[str] | None) -> str | None:
    tests = ["kind IS NULL"] if kind is None else []
    if needs_rows(where):
        if row_ids is None:
            return None
        tests.append(f"row_id IN ({quoted_texts(row_ids)})")
    else:
        asked = {name: getattr(where, name) for name in _CONDITIONS}
        if any(asked.values()):
            tests.append(SessionFilter(**asked, daemon=where.daemon).quoted_condition())
    labels = f"= {quoted_text(where.label)}" if where.label else "<> 'wrong'"
    tests.append(
        f"row_id IN (SELECT row_id FROM feedback GROUP BY row_id "  # noqa: S608 - shown, not run here
        f"HAVING arg_max(label, timestamp) {labels})"
    )
    words = ["lakehouse", "replay"]
    if kind is not None:
        words += ["--kind", kind]
    for name in _OPTIONS:
        if (value := getattr(where, name)) is not None:
            words += [f"--{name}", value]
    words += ["--where", " AND ".join(tests), "--gate", "checked_right >= baseline - 0.02"]
    return _command(words)


def _run(kind: str) -> str:
    words = ("run", "--kind", kind, "--input", "cases.jsonl", "--column", "prompt")
    kept = ("--keep", "row_id", "--keep", "expected", "--output", "answers.jsonl")
    return _command(["lakehouse", *words, *kept])


def _command(words: Sequence[str]) -> str:
    """Write a command for a shell; SQL between double quotes, where nothing in it is expanded."""
    return " ".join(
        f'"{word}"' if "'" in word and not _EXPANDED.search(word) else shlex.quote(word)
        for word in words
    )
