"""Reports a finished replay in every requested format, and applies the gate."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from lakehouse.cli.console import console
from lakehouse.cli.terminal import say_json
from lakehouse.comparison.judgement import PAIRS_MIN
from lakehouse.comparison.pairs import SessionPair, compare_runs
from lakehouse.core.clock import SystemClock
from lakehouse.core.errors import SetupError
from lakehouse.core.installed import check_installed
from lakehouse.replay.description import baseline_name, candidate_name, unreplayed, warnings_of
from lakehouse.replay.pairing import read_pairs
from lakehouse.replay.run import RunPlan


class Asked(msgspec.Struct, frozen=True):
    """The report options of a command. Without `conditions` there is no gate.

    `aa`: also measure how often the gate stops an equal candidate.
    """

    conditions: tuple[str, ...]
    sessions_min: int | None
    effect_min: float
    html: Path | None
    junit: Path | None
    aa: bool
    json: bool

    def __post_init__(self) -> None:
        """Check the options before a run begins.

        Raises:
            SetupError: A library is missing, or a condition is invalid.
        """
        check_installed("Reports of replays", "numpy", "scipy", "junitparser", extra="replay")
        from lakehouse.comparison.conditions import parse_conditions  # noqa: PLC0415 - an extra

        parse_conditions(self.conditions)
        for option, asked in (("--junit", self.junit is not None), ("--aa", self.aa)):
            if asked and not self.conditions:
                raise SetupError(
                    f"{option} needs --gate: it reports on the gate's conditions.", hint="--gate …"
                )


def report_run(root: Path, plan: RunPlan, asked: Asked, *, warnings: Sequence[str] = ()) -> int:
    """Report one run; returns the exit code of its gate, 0 without one."""
    run = read_pairs(root, plan)
    return _report(
        asked,
        run.pairs,
        run_id=plan.run_id,
        names=(baseline_name(run.pairs), candidate_name(plan)),
        corpus=plan.corpus,
        seed=plan.selection.seed,
        warnings=(*warnings_of(plan, run), *warnings),
        unreplayed=unreplayed(plan, run),
    )


def report_comparison(root: Path, first: RunPlan, second: RunPlan, asked: Asked) -> int:
    """Compare the candidates of two runs on the sessions that both replayed."""
    runs = [read_pairs(root, plan) for plan in (first, second)]
    pairs = compare_runs(runs[0].pairs, runs[1].pairs)
    if not pairs:
        raise SetupError("No session was replayed in both runs.")
    alone = sum(len(run.pairs) for run in runs) - 2 * len(pairs)
    return _report(
        asked,
        pairs,
        run_id=f"{first.run_id} {second.run_id}",
        names=(candidate_name(first), candidate_name(second)),
        corpus=first.corpus if first.corpus == second.corpus else "of both runs",
        seed=first.selection.seed,
        warnings=[f"{alone} sessions are in only one of the runs and were left out."]
        if alone
        else [],
    )


def _report(
    asked: Asked,
    pairs: Sequence[SessionPair],
    *,
    run_id: str,
    names: tuple[str, str],
    corpus: str,
    seed: int,
    warnings: Sequence[str],
    unreplayed: int = 0,
) -> int:
    from lakehouse.comparison.conditions import parse_conditions  # noqa: PLC0415 - numpy and scipy
    from lakehouse.comparison.false_alarms import false_alarms  # noqa: PLC0415 - likewise
    from lakehouse.comparison.gate import judge_run  # noqa: PLC0415 - likewise
    from lakehouse.comparison.statistics import summarize  # noqa: PLC0415 - likewise
    from lakehouse.reports.junit import to_junit  # noqa: PLC0415 - likewise
    from lakehouse.reports.page import to_html  # noqa: PLC0415 - likewise
    from lakehouse.reports.report import RunInfo, to_json  # noqa: PLC0415 - likewise
    from lakehouse.reports.terminal import to_terminal  # noqa: PLC0415 - likewise

    info: RunInfo = RunInfo(
        run_id=run_id,
        made_at=SystemClock().timestamp(),
        baseline=names[0],
        candidate=names[1],
        corpus=corpus,
        warnings=tuple(warnings),
    )
    summary = summarize(pairs, seed)
    judgement = None
    if asked.conditions:
        conditions = parse_conditions(asked.conditions)
        least = PAIRS_MIN if asked.sessions_min is None else asked.sessions_min
        judgement = judge_run(summary, conditions, least, asked.effect_min, unreplayed=unreplayed)
        if asked.aa:
            alarms = false_alarms(pairs, conditions, least, asked.effect_min, seed=seed)
            judgement = msgspec.structs.replace(judgement, false_alarms=alarms)
    if asked.html is not None:
        _write(asked.html, to_html(info, summary, judgement, pairs).encode("utf-8"))
    if asked.junit is not None and judgement is not None:
        _write(asked.junit, to_junit(info, summary, judgement, pairs))
    if asked.json:
        say_json(to_json(info, summary, judgement, pairs))
    else:
        console().print(to_terminal(info, summary, judgement, pairs))
    return 0 if judgement is None else judgement.exit_code


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise SetupError(f"{path} cannot be written: {error.strerror}.") from error
