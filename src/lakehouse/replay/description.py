"""What a report says of a run beside its numbers: the names of both sides, and warnings."""

from collections.abc import Sequence

from lakehouse.comparison.pairs import SessionPair
from lakehouse.core.wording import counted
from lakehouse.replay.pairing import PairedRun
from lakehouse.replay.run import RunPlan


def unreplayed(plan: RunPlan, run: PairedRun) -> int:
    """Count the chosen sessions without a pair."""
    return plan.counts.sessions - len(run.pairs)


def warnings_of(plan: RunPlan, run: PairedRun) -> list[str]:
    """Say what makes a comparison less than whole: changed tables, and sessions left out."""
    warnings = [
        f"Table {name!r} changed for {counted(count, 'pair')}: verdicts may differ because of "
        f"that alone."
        for name, count in run.tables_changed.items()
    ]
    missing = unreplayed(plan, run)
    if missing:
        warnings.append(f"{missing} of {plan.counts.sessions} sessions were not replayed.")
    if plan.counts.cut:
        warnings.append(
            f"{plan.counts.cut} sessions were left out: the log does not contain them in full."
        )
    if plan.counts.unreadable:
        warnings.append(f"{plan.counts.unreadable} unreadable rows were left out.")
    return warnings


def baseline_name(pairs: Sequence[SessionPair]) -> str:
    """Name the models that the sessions had."""
    models = sorted({pair.baseline.model for pair in pairs})
    return f"{', '.join(models[:3])}{' and others' if len(models) > 3 else ''}, as logged"


def candidate_name(plan: RunPlan) -> str:
    """Name what a run changed."""
    words = plan.candidate.words()
    return f"judged again, {words} changed" if plan.mode == "rejudge" else words
