"""`lakehouse replay`: rerun logged sessions with something changed, as a regression gate."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from lakehouse.cli.filter_options import KindOption, SinceOption, UntilOption
from lakehouse.cli.listing import ListingGroup
from lakehouse.cli.options import ConfigOption, JsonOption, endpoints, log_directory, read_config
from lakehouse.cli.replay_options import (
    SETTINGS,
    AsKindOption,
    ChangesOption,
    DaemonOption,
    DeadlineOption,
    EffectMinOption,
    EngineOption,
    FalseAlarmsOption,
    GateOption,
    HtmlOption,
    JunitOption,
    LimitOption,
    ModelOption,
    RejudgeOption,
    ResumeOption,
    SampleOption,
    SeedOption,
    SessionsMinOption,
    SystemOption,
    WhereOption,
)
from lakehouse.cli.replay_report import Asked, report_comparison, report_run
from lakehouse.cli.replay_run import Job, check_engine, duration_s, run_job
from lakehouse.cli.run_options import ConcurrencyOption
from lakehouse.cli.table import print_json, print_table
from lakehouse.cli.terminal import say
from lakehouse.config.catalog import catalog
from lakehouse.config.settings import Config
from lakehouse.core.clock import SystemClock
from lakehouse.core.errors import SetupError
from lakehouse.core.suggestion import did_you_mean
from lakehouse.core.type_words import names_of, type_at
from lakehouse.replay.candidate import Candidate
from lakehouse.replay.progress import RunTally
from lakehouse.replay.run import RunPlan, begin_run, count_lines, list_plans, read_plan
from lakehouse.replay.selection import Selection
from lakehouse.sessionlog.reading.filters import moment

replay_app = typer.Typer(
    cls=ListingGroup,
    add_completion=False,
    rich_markup_mode=None,
    invoke_without_command=True,
)


@replay_app.callback()
def command(
    context: typer.Context,
    *,
    model: ModelOption = None,
    as_kind: AsKindOption = None,
    system: SystemOption = None,
    changes: ChangesOption = None,
    rejudge: RejudgeOption = False,
    kind: KindOption = None,
    where: WhereOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    daemon: DaemonOption = None,
    limit: LimitOption = None,
    sample: SampleOption = "newest",
    seed: SeedOption = 0,
    engine: EngineOption = "local",
    concurrency: ConcurrencyOption = 8,
    deadline: DeadlineOption = None,
    resume: ResumeOption = None,
    gate: GateOption = None,
    sessions_min: SessionsMinOption = None,
    effect_min: EffectMinOption = 0.0,
    aa: FalseAlarmsOption = False,
    html: HtmlOption = None,
    junit: JunitOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Rerun logged sessions with something changed, and compare the results in pairs.

    Exit code 0: done, no regression; 1: a regression; 3: the run did not finish or decides nothing.

    Example: lakehouse replay --kind airport_event --model big --gate 'accepted >= baseline - 0.02'
    """
    if context.invoked_subcommand is not None:
        return
    asked = Asked(tuple(gate or ()), sessions_min, effect_min, html, junit, aa, json)
    settings = read_config(context, config)
    check_engine(engine)
    deadline_s = duration_s(deadline, option="--deadline")
    selection = Selection(
        kind=kind,
        where=where,
        since=None if since is None else moment(since, name="since"),
        until=None if until is None else moment(until, name="until"),
        daemon=daemon,
        limit=limit,
        sample=sample,
        seed=seed,
    )
    candidate = _candidate(model, as_kind, system, changes or [])
    if resume is None:
        plan = _begin(settings, selection, candidate, rejudge=rejudge)
    elif rejudge or (selection, candidate) != (Selection(), Candidate()):
        raise SetupError("--resume continues a run as it began: leave out all other choices.")
    else:
        plan = read_plan(log_directory(settings), resume)
        plan.check(catalog(settings))
    raise typer.Exit(_run(Job(settings, plan, engine, concurrency, deadline_s), asked))


@replay_app.command(name="list")
def list_runs(
    context: typer.Context, *, json: JsonOption = False, config: ConfigOption = None
) -> None:
    """List replay runs, newest first.

    Example: lakehouse replay list
    """
    root = log_directory(read_config(context, config))
    done = count_lines(root)
    plans = list_plans(root)
    if json:
        print_json([{**msgspec.to_builtins(plan), "done": done[plan.run_id]} for plan in plans])
        return
    print_table(
        ["run", "begun", "way", "sessions", "done", "changed"],
        [
            [
                plan.run_id,
                plan.created_at[:19],
                plan.mode,
                plan.counts.sessions,
                done[plan.run_id],
                plan.candidate.words(),
            ]
            for plan in plans
        ],
    )


@replay_app.command()
def show(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="The run's id, or the start of it.")],
    *,
    gate: GateOption = None,
    sessions_min: SessionsMinOption = None,
    effect_min: EffectMinOption = 0.0,
    aa: FalseAlarmsOption = False,
    html: HtmlOption = None,
    junit: JunitOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Report a run again, optionally with another gate. Exit codes are those of `replay`.

    Example: lakehouse replay show 019b3f2c --gate 'first_shot >= baseline' --html report.html
    """
    asked = Asked(tuple(gate or ()), sessions_min, effect_min, html, junit, aa, json)
    root = log_directory(read_config(context, config))
    raise typer.Exit(report_run(root, read_plan(root, run), asked))


@replay_app.command()
def compare(
    context: typer.Context,
    first: Annotated[str, typer.Argument(help="The baseline run.", metavar="A")],
    second: Annotated[str, typer.Argument(help="The candidate run.", metavar="B")],
    *,
    gate: GateOption = None,
    sessions_min: SessionsMinOption = None,
    effect_min: EffectMinOption = 0.0,
    aa: FalseAlarmsOption = False,
    html: HtmlOption = None,
    junit: JunitOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Compare two runs on the sessions that both replayed. Exit codes are those of `replay`.

    Example: lakehouse replay compare 019b3f2c 019b3f41
    """
    asked = Asked(tuple(gate or ()), sessions_min, effect_min, html, junit, aa, json)
    root = log_directory(read_config(context, config))
    plans = read_plan(root, first), read_plan(root, second)
    raise typer.Exit(report_comparison(root, *plans, asked))


def _run(job: Job, asked: Asked) -> int:
    plan = job.plan
    changed = plan.candidate.words()
    say(f"run {plan.run_id}: {plan.counts.sessions} sessions, changed: {changed}", err=True)
    return _end(job, run_job(job), asked)


def _begin(
    settings: Config, selection: Selection, candidate: Candidate, *, rejudge: bool
) -> RunPlan:
    known = catalog(settings)
    candidate.check(known)
    if rejudge and msgspec.structs.replace(candidate, kind=None) != Candidate():
        raise SetupError("--rejudge calls no model: only --as-kind can be combined with it.")
    return begin_run(
        log_directory(settings),
        selection,
        candidate,
        mode="rejudge" if rejudge else "replay",
        catalog=known,
        clock=SystemClock(),
    )


def _end(job: Job, tally: RunTally, asked: Asked) -> int:
    root, plan = job.root, job.plan
    resume = f"Continue with: lakehouse replay --resume {plan.run_id}"
    if tally.stopped:
        say(tally.stopped, err=True)
        if tally.outages and (places := endpoints(job.config, plan.candidate.model)):
            say(f"The models' endpoints: {places}.", err=True)
        say(f"{tally.unanswered} sessions are left. {resume}", err=True)
        return 3
    if tally.before + tally.done == 0:
        why = tally.refusal or "no model call succeeded"
        say(f"error: None of {tally.total} sessions could be replayed: {why}", err=True)
        return 3
    warnings = []
    if tally.refused:
        warnings.append(
            f"{tally.refused} sessions cannot be replayed as configured: {tally.refusal}"
        )
    if tally.gone:
        warnings.append(f"{tally.gone} sessions changed in the log, or are no longer there.")
    code = report_run(root, plan, asked, warnings=warnings)
    if plan.mode == "rejudge":
        judged = tally.before + tally.done
        say(f"{tally.verdicts_equal} of {judged} verdicts equal the logged ones", err=True)
    if tally.unanswered:
        say(f"{tally.unanswered} sessions had only outages. {resume}", err=True)
    return 3 if tally.unanswered and not asked.conditions else code


def _candidate(
    model: str | None, as_kind: str | None, system: Path | None, changes: list[str]
) -> Candidate:
    members: dict[str, Any] = {"model": model, "kind": as_kind}
    if system is not None:
        try:
            members["system"] = system.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(f"--system {system}: cannot be read: {error}.") from error
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals or name not in SETTINGS:
            near = "" if name in SETTINGS else did_you_mean(name, SETTINGS)
            raise SetupError(
                f"--set {change!r}: write SETTING=VALUE{near}; settings are {', '.join(SETTINGS)}."
            )
        allowed = names_of(type_at(Candidate, f".{name}"))
        if allowed and value not in allowed:
            near = did_you_mean(value, allowed)
            raise SetupError(f"--set {change!r}: {name} is one of {', '.join(allowed)}{near}.")
        members[name] = value
    try:
        return msgspec.convert(members, Candidate, strict=False)
    except msgspec.ValidationError as error:
        raise SetupError(f"--set: {error}.") from error
