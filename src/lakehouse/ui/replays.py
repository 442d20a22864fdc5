"""The models of the pages about replays: the list, and one replay with its flips side by side."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from lakehouse.comparison.summary import PairedMetric, state_of
from lakehouse.core.json_text import NULL
from lakehouse.core.row import Row
from lakehouse.replay.pairing import side_from
from lakehouse.reports.flips import CHANGE_WORDS, Change, Flip
from lakehouse.reports.page import figures
from lakehouse.reports.report import ReplayReport, summary_of
from lakehouse.reports.wording import STATE_WORDS
from lakehouse.ui.replay_answers import ComputedReport, HeldFlip, ReplayState
from lakehouse.ui.word_diff import TextDifference, difference

FLIPS_ON_PAGE: Final = 10
_FINDINGS_SHOWN: Final = 10  # of one attempt; its session's page has all
_PROMPT_CHARS: Final = 600
_ARTIFACT_CHARS: Final = 20_000  # compared word by word; its session's page has all

ReportState = Literal["ready", "computing", "running", "extra_missing", "failed"]
"""`running`: the replay is under way, and its report is computed when it has ended."""


class Command(msgspec.Struct, frozen=True):
    """A command to run next, and what it does."""

    does: str
    command: str


class ListedReplay(msgspec.Struct, frozen=True):
    """A replay in the list; the measures, with intervals, once its report has been computed."""

    replay: ReplayState
    accepted: PairedMetric | None
    first_shot: PairedMetric | None


class ReplaysPage(msgspec.Struct, frozen=True, kw_only=True):
    """The replays of a log, newest first. `next`: the cursor of the next page.

    `needs`: the modules that reports need and that are not installed. `begin`: what to run if
    nothing was replayed yet. `unreadable`: runs whose plan cannot be read.
    """

    replays: tuple[ListedReplay, ...]
    total: int
    next: str | None
    unreadable: tuple[str, ...]
    needs: str
    begin: tuple[Command, ...]


class FindingSeen(msgspec.Struct, frozen=True):
    """A finding of an attempt, as far as a list shows it."""

    code: str
    path: str
    message: str


class AttemptSeen(msgspec.Struct, frozen=True):
    """An attempt of one side; `more` of its findings are left out."""

    iteration: int
    outcome: str
    findings: tuple[FindingSeen, ...]
    more: int


class SideSeen(msgspec.Struct, frozen=True, kw_only=True):
    """How one side of a flip ended. `artifact`: its JSON, indented; `cut` if it is not whole."""

    row_id: str
    model: str
    verdict: str
    ended: str
    iterations: int
    duration_ms: int
    artifact: str | None
    cut: bool
    attempts: tuple[AttemptSeen, ...]


class FlipSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A flipped session side by side; a side is null if its row is no longer in the log.

    `difference` is from the baseline's artifact to the candidate's, null if one of them is missing.
    """

    flip: Flip
    words: str
    prompt: str
    prompt_cut: bool
    replay_row_id: str
    baseline: SideSeen | None
    candidate: SideSeen | None
    difference: TextDifference | None


class ChangeCount(msgspec.Struct, frozen=True):
    """How many sessions flipped in one way."""

    change: Change
    words: str
    flips: int


class ReplayPage(msgspec.Struct, frozen=True, kw_only=True):
    """One replay. `report` is that of `lakehouse replay show`, with this page's flips only.

    `gate`: the conditions that the report was judged by. `problem` and `hint`: why there is no
    report. `change` chooses among the flips, of which there are `flips_matching`; `flips_from`
    numbers the first one here, from 0; the last `flips_beyond` are in no page. `previous` and
    `next` are cursors. `unknown`: what the log does not tell. `next_steps`: what to run.
    """

    replay: ReplayState
    report_state: ReportState
    report: ReplayReport | None = None
    problem: str = ""
    hint: str = ""
    gate: str = ""
    change: Change | None = None
    change_counts: tuple[ChangeCount, ...] = ()
    flips: tuple[FlipSeen, ...] = ()
    flips_from: int = 0
    flips_matching: int = 0
    flips_beyond: int = 0
    previous: int | None = None
    next: int | None = None
    unknown: tuple[str, ...]
    next_steps: tuple[Command, ...]


def begin_commands() -> tuple[Command, ...]:
    """Return what to run where nothing was replayed yet."""
    return (
        Command("Try another model on the sessions of the log.", "lakehouse replay --model MODEL"),
        Command(
            "Judge the logged answers again, by the kinds and tables as they are now. "
            "No model is called.",
            "lakehouse replay --rejudge",
        ),
        Command(
            "Stop a change that makes answers worse, for example in CI.",
            "lakehouse replay --model MODEL --gate 'accepted >= baseline - 0.02'",
        ),
    )


def listed(replay: ReplayState, metrics: Sequence[PairedMetric]) -> ListedReplay:
    """Put a replay beside the measures of its report; none if that is not computed."""
    named = {metric.name: metric for metric in metrics}
    return ListedReplay(replay, named.get("accepted"), named.get("first_shot"))


class FlipChoice(msgspec.Struct, frozen=True):
    """The flips of one page; `matching` in all, `beyond` of them in no page."""

    held: tuple[HeldFlip, ...]
    start: int
    matching: int
    beyond: int


def choose_flips(report: ComputedReport, change: Change | None, start: int) -> FlipChoice:
    """Return the flips of a page that begins with number `start`, counted from 0."""
    held = [one for one in report.flips if change in (None, one.flip.change)]
    counts = report.flip_counts
    matching = sum(counts.values()) if change is None else counts.get(change, 0)
    page = tuple(held[start : start + FLIPS_ON_PAGE])
    return FlipChoice(page, start, matching, matching - len(held))


def page_without_report(
    replay: ReplayState, state: ReportState, *, gate: str, problem: str = "", hint: str = ""
) -> ReplayPage:
    """Return the page of a replay whose report is not there, and why."""
    return ReplayPage(
        replay=replay,
        report_state=state,
        gate=gate,
        problem=problem,
        hint=hint,
        unknown=_unknown(replay),
        next_steps=_next_steps(replay),
    )


def page_with_report(
    replay: ReplayState,
    computed: ComputedReport,
    choice: FlipChoice,
    flips: tuple[FlipSeen, ...],
    *,
    gate: str,
    change: Change | None,
) -> ReplayPage:
    """Return the page of a replay with its report and some of its flips."""
    counts = computed.flip_counts
    end = choice.start + FLIPS_ON_PAGE
    before = max(0, choice.start - FLIPS_ON_PAGE)
    return ReplayPage(
        replay=replay,
        report_state="ready",
        report=msgspec.structs.replace(
            computed.report, flipped=tuple(held.flip for held in choice.held)
        ),
        gate=gate,
        change=change,
        change_counts=tuple(
            ChangeCount(name, words, counts.get(name, 0)) for name, words in CHANGE_WORDS.items()
        ),
        flips=flips,
        flips_from=choice.start,
        flips_matching=choice.matching,
        flips_beyond=choice.beyond,
        previous=before if choice.start > 0 else None,
        next=end if end < choice.matching - choice.beyond else None,
        unknown=_unknown(replay),
        next_steps=_next_steps(replay),
    )


def replay_figures(report: ReplayReport) -> dict[str, Any]:
    """Put a report's numbers into words, tables and plots, as its file of HTML has them."""
    return figures(summary_of(report), report.judgement)


class RowSeen(msgspec.Struct, frozen=True):
    """What a flip shows of a row, which may be a thousand times as large."""

    side: SideSeen
    prompt: str
    prompt_cut: bool


def row_seen(row: Row) -> RowSeen:
    """Take what a flip shows of a row."""
    prompt = _prompt(row)
    return RowSeen(_side(row), prompt[:_PROMPT_CHARS], len(prompt) > _PROMPT_CHARS)


def flip_seen(held: HeldFlip, rows: Mapping[str, RowSeen]) -> FlipSeen:
    """Show a flip with what its two rows say. Cost: as the difference of the artifacts."""
    logged, replayed = rows.get(held.flip.row_id), rows.get(held.replay_row_id)
    baseline = None if logged is None else logged.side
    candidate = None if replayed is None else replayed.side
    told = logged or replayed
    compared = None
    if baseline is not None and candidate is not None:
        ours, theirs = baseline.artifact, candidate.artifact
        compared = difference(ours, theirs) if ours is not None and theirs is not None else None
    return FlipSeen(
        flip=held.flip,
        words=CHANGE_WORDS[held.flip.change],
        prompt=told.prompt if told is not None else "",
        prompt_cut=told is not None and told.prompt_cut,
        replay_row_id=held.replay_row_id,
        baseline=baseline,
        candidate=candidate,
        difference=compared,
    )


def _next_steps(replay: ReplayState) -> tuple[Command, ...]:
    show = f"lakehouse replay show {replay.run_id}"
    if replay.state == "running":
        return (Command("See the report of what is done so far.", show),)
    report = Command("Write this report to a file that can be sent.", f"{show} --html report.html")
    if replay.state == "whole":
        return (report,)
    resume = f"lakehouse replay --resume {replay.run_id}"
    return (Command("Replay the sessions that have no answer yet.", resume), report)


def _unknown(replay: ReplayState) -> tuple[str, ...]:
    told = [_GATE_UNKNOWN]
    missing = replay.sessions - replay.done
    if replay.state == "partial":
        told.append(
            f"Why {missing} of {replay.sessions} sessions have no answer: the replay was stopped, "
            "they met outages, they changed or left the log, or they cannot be repeated as "
            "configured. The replay says which when it is resumed."
        )
    return tuple(told)


_GATE_UNKNOWN: Final = (
    "Whether a gate judged this replay when it ran: the command told its result, and the log does "
    "not keep it. Conditions that are entered here are judged now, on the same pairs."
)


def _prompt(row: Row) -> str:
    if row.messages is None:
        return row.prompt
    said = [message.content for message in row.messages if message.role == "user"]
    return said[-1] if said else ""


def _side(row: Row) -> SideSeen:
    artifact = _indented(row.artifact)
    return SideSeen(
        row_id=row.row_id,
        model=row.model,
        verdict=row.verdict,
        ended=STATE_WORDS[state_of(side_from(row, told=False))],
        iterations=row.iterations,
        duration_ms=row.duration_ms,
        artifact=None if artifact is None else artifact[:_ARTIFACT_CHARS],
        cut=artifact is not None and len(artifact) > _ARTIFACT_CHARS,
        attempts=tuple(
            AttemptSeen(
                attempt.iteration,
                attempt.outcome,
                tuple(
                    FindingSeen(finding.code, finding.path, finding.message)
                    for finding in attempt.findings[:_FINDINGS_SHOWN]
                ),
                max(0, len(attempt.findings) - _FINDINGS_SHOWN),
            )
            for attempt in row.attempts
        ),
    )


def _indented(artifact: msgspec.Raw) -> str | None:
    if artifact == NULL:
        return None
    return msgspec.json.format(bytes(artifact), indent=2).decode("utf-8", "replace")
