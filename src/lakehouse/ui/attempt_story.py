"""One attempt of a session: what the model was given, what it wrote, and what was wrong with it."""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from lakehouse.core.chat import Usage
from lakehouse.core.finding import Finding, Repair
from lakehouse.core.json_text import NULL
from lakehouse.core.row import Row
from lakehouse.core.session import SOURCE_COLUMN, Attempt, Narrowed
from lakehouse.core.wording import counted
from lakehouse.ui.artifact_tree import TreeLine, stable_text, tree_lines
from lakehouse.ui.shown_text import ShownText, list_note, shown_text
from lakehouse.ui.texts import duration
from lakehouse.ui.word_diff import Piece, difference, folded

LIST_MAX: Final = 200  # findings, or repairs, of one attempt on a page; the raw row has all
_WHOLE: Final = "the whole answer"
_OFFERED: Final = {
    "decode": "in the schema that its decoder follows",
    "hint": "in the prompt",
}
_FINISHED: Final = {
    "stop": "The model ended its answer.",
    "length": "The answer reached the token limit.",
    "content_filter": "The provider refused to answer.",
    "tool_calls": "The model called a tool.",
    "other": "The provider gave another reason.",
}


class OfferStory(msgspec.Struct, frozen=True, kw_only=True):
    """Values that the model was offered at one place of its answer."""

    path: str
    sentence: str
    column: str
    mode: str
    candidates: int
    digest: str


class FindingStory(msgspec.Struct, frozen=True, kw_only=True):
    """Why an answer was rejected. `place` is `path` in words; the raw values keep their bytes."""

    code: str
    path: str
    place: str
    message: ShownText
    got: msgspec.Raw | msgspec.UnsetType
    expected: msgspec.Raw | msgspec.UnsetType
    nearest: msgspec.Raw | msgspec.UnsetType


class AnswerChange(msgspec.Struct, frozen=True):
    """How an answer differs from the one before.

    `of` is what was compared: the artifacts, written alike, or the texts where one has none.
    """

    of: Literal["artifact", "output"]
    pieces: tuple[Piece, ...]
    note: str


class AttemptStory(msgspec.Struct, frozen=True, kw_only=True):
    """One answer and its checks. `number` counts from 1.

    `change` is None for the first answer. `artifact` is None where no JSON was found; else its
    lines, each with its findings.
    """

    number: int
    iteration: int
    outcome: str
    sentence: str
    offered: tuple[OfferStory, ...]
    told: ShownText | None
    thinking: ShownText | None
    output: ShownText
    finish_reason: str
    finish_sentence: str
    change: AnswerChange | None
    artifact: tuple[TreeLine, ...] | None
    artifact_note: str
    findings: tuple[FindingStory, ...]
    findings_note: str
    repairs: tuple[Repair, ...]
    repairs_note: str
    usage: Usage
    span_id: str
    duration_ms: int


def attempts_of(row: Row) -> tuple[AttemptStory, ...]:
    """Tell each attempt of a row, in order."""
    before: Sequence[Attempt | None] = (None, *row.attempts)
    return tuple(
        _attempt(n, attempt, previous)
        for n, (attempt, previous) in enumerate(zip(row.attempts, before, strict=False), 1)
    )


def _attempt(number: int, attempt: Attempt, previous: Attempt | None) -> AttemptStory:
    findings, repairs = attempt.findings[:LIST_MAX], attempt.repairs[:LIST_MAX]
    told, thinking = attempt.told, attempt.thinking
    return AttemptStory(
        number=number,
        iteration=attempt.iteration,
        outcome=attempt.outcome,
        sentence=_outcome_sentence(attempt),
        offered=tuple(map(_offer, attempt.narrowed or ())),
        told=None if told is None else shown_text(told, attempt.told_truncated),
        thinking=None if thinking is None else shown_text(thinking, attempt.thinking_truncated),
        output=shown_text(attempt.output, attempt.output_truncated),
        finish_reason=attempt.finish_reason,
        finish_sentence=_FINISHED.get(attempt.finish_reason, attempt.finish_reason),
        change=None if previous is None else _change(previous, attempt),
        artifact=None
        if attempt.artifact == NULL
        else tree_lines(bytes(attempt.artifact), [finding.path for finding in findings]),
        artifact_note=_artifact_note(attempt),
        findings=tuple(map(_finding, findings)),
        findings_note=list_note(
            attempt.findings_truncated, len(attempt.findings), len(findings), "finding"
        ),
        repairs=repairs,
        repairs_note=list_note(
            attempt.repairs_truncated, len(attempt.repairs), len(repairs), "repair"
        ),
        usage=attempt.usage,
        span_id=attempt.span_id,
        duration_ms=attempt.duration_ms,
    )


def _outcome_sentence(attempt: Attempt) -> str:
    took = duration(attempt.duration_ms)
    if attempt.outcome == "accepted":
        return f"Accepted, in {took}."
    return f"Rejected with {counted(len(attempt.findings), 'finding')}, in {took}."


def _artifact_note(attempt: Attempt) -> str:
    if attempt.artifact != NULL:
        return ""
    if attempt.artifact_truncated is not msgspec.UNSET:
        return (
            f"The log left this artifact out ({attempt.artifact_truncated.bytes:,} bytes): the "
            f"row was too long. SHA-256: {attempt.artifact_truncated.sha256}."
        )
    return "No JSON was taken from this answer."


def _offer(one: Narrowed) -> OfferStory:
    quoted = one.column == SOURCE_COLUMN
    values = counted(one.candidates, "quote" if quoted else "value")
    where = _OFFERED.get(one.mode, one.mode)
    return OfferStory(
        path=one.path,
        sentence=f"{values} of {'the text' if quoted else one.column}, {where}",
        column=one.column,
        mode=one.mode,
        candidates=one.candidates,
        digest=one.digest,
    )


def _finding(finding: Finding) -> FindingStory:
    return FindingStory(
        code=finding.code,
        path=finding.path,
        place=finding.path or _WHOLE,
        message=shown_text(finding.message, finding.message_truncated),
        got=finding.got,
        expected=finding.expected,
        nearest=finding.nearest,
    )


def _change(before: Attempt, after: Attempt) -> AnswerChange:
    if NULL not in (before.artifact, after.artifact):
        return artifact_change(before.artifact, after.artifact)
    found = difference(before.output, after.output)
    markers = {before.output_truncated, after.output_truncated}
    cut = "" if markers == {msgspec.UNSET} else "The log cut a text; only the rest is compared. "
    note = "" if not found.equal else "The model wrote the same text again."
    return AnswerChange("output", folded(found), f"{cut}{note}".strip())


def artifact_change(before: msgspec.Raw, after: msgspec.Raw) -> AnswerChange:
    """Return how an artifact became another one; both are JSON."""
    old, new = (stable_text(bytes(one)) for one in (before, after))
    found = difference(old, new)
    return AnswerChange(
        "artifact", folded(found), "The artifact is the same." if found.equal else ""
    )
