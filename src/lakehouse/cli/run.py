"""`lakehouse run`: runs a kind on a file of inputs, resumable.

Accepted artifacts go to the output file; rejected ones with their findings, and rows that cannot be
run, go to the rejects file. Rows stopped by an outage are not written; the next run retries them.
"""

import asyncio
import contextlib
import itertools
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lakehouse.cli.console import console as terminal_console
from lakehouse.cli.options import ApiKeyOption, ConfigOption, read_config
from lakehouse.cli.run_crew import Crew, Tally, pending
from lakehouse.cli.run_files import ResultFile
from lakehouse.cli.run_inputs import Input, Inputs, RefusedRow
from lakehouse.cli.run_options import (
    CandidatesOption,
    ColumnOption,
    ConcurrencyOption,
    ConstrainOption,
    KeepOption,
    LimitOption,
    MetadataOption,
    MixedOption,
    OutputOption,
    RejectsOption,
    RetryOption,
    SourceOption,
    TemplateOption,
    UrlOption,
    inputs,
)
from lakehouse.cli.run_parts import Part, Parts, record_path
from lakehouse.cli.run_target import SessionTarget, open_target
from lakehouse.cli.sampling_options import (
    DeadlineOption,
    MaxTokensOption,
    SeedOption,
    StopOption,
    SystemOption,
    TemperatureOption,
    TopPOption,
    checked_stop,
    checked_top_p,
    raw_temperature,
)
from lakehouse.cli.terminal import say
from lakehouse.config.settings import Config
from lakehouse.core.errors import SetupError
from lakehouse.core.session import IterateRequest

run_app = typer.Typer(add_completion=False, rich_markup_mode=None)

_STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Tell = Callable[[], None]


@run_app.command(name="run")
def command(
    context: typer.Context,
    *,
    kind: Annotated[str, typer.Option(help="The kind of artifact.")],
    source: SourceOption,
    output: OutputOption,
    column: ColumnOption = None,
    template: TemplateOption = None,
    keep: KeepOption = None,
    metadata: MetadataOption = None,
    rejects: RejectsOption = None,
    retry_rejects: RetryOption = False,
    mixed: MixedOption = False,
    concurrency: ConcurrencyOption = 8,
    model: Annotated[str | None, typer.Option(help="Model to use instead of the kind's.")] = None,
    constrain: ConstrainOption = "auto",
    candidates: CandidatesOption = None,
    temperature: TemperatureOption = None,
    top_p: TopPOption = None,
    max_tokens: MaxTokensOption = None,
    seed: SeedOption = None,
    stop: StopOption = None,
    system: SystemOption = None,
    deadline_ms: DeadlineOption = None,
    limit: LimitOption = None,
    url: UrlOption = None,
    api_key_env: ApiKeyOption = None,
    config: ConfigOption = None,
) -> None:
    """Run a kind on every row of a file. Ctrl-C is safe: the same command continues.

    Exit code 0: all accepted; 1: some rejected; 3: some could not be judged, or it was stopped.

    Example: lakehouse run --kind airport_event --input notices.csv --column text --output out.jsonl
    """
    request = IterateRequest(
        kind=kind,
        model=model,
        constrain=constrain,
        candidates=candidates,
        temperature=raw_temperature(temperature),
        top_p=checked_top_p(top_p),
        max_tokens=max_tokens,
        seed=seed,
        stop=checked_stop(stop),
        system=system,
        deadline_ms=deadline_ms,
    )
    job = _Job(
        request=request,
        inputs=inputs(source, column, template, keep, metadata),
        output=output,
        rejects=rejects or output.with_name(output.name + ".rejects.jsonl"),
        concurrency=concurrency,
        limit=limit,
        retry_rejects=retry_rejects,
        mixed=mixed,
    )
    _check_files(job, template)
    raise typer.Exit(asyncio.run(_run(read_config(context, config), job, url, api_key_env)))


def _check_files(job: "_Job", template: Path | None) -> None:
    """See that what is read and what is written are files of their own.

    Raises:
        SetupError: Two of them are one file.
    """
    named = {
        "--input": job.inputs.source,
        "--template": template,
        "--output": job.output,
        "--rejects": job.rejects,
        "the record of the run": record_path(job.output),
    }
    seen: dict[Path, str] = {}
    for name, path in named.items():
        if path is None:
            continue
        other = seen.setdefault(path.resolve(), name)
        if other != name:
            raise SetupError(
                f"{other} and {name} are the same file: {path}.",
                hint="The run would overwrite what it reads: use different files.",
            )


def _conclude(tally: Tally, rejects: Path) -> int:
    """Print how the run ended, and return its exit code."""
    before = f", {tally.rejected_before} of them rejected" if tally.rejected_before else ""
    say(f"{tally.line()}; done before {tally.skipped}{before}")
    rejected = tally.rejected + tally.refused + tally.rejected_before
    if rejected:
        say(f"{rejected} rejected in all, with their findings: {rejects}")
    if tally.refused:
        say(f"{tally.refused} refused without a session; the reasons are there too.")
    if tally.stopped:
        say(f"{tally.stopped} Run the same command to continue.", err=True)
    elif tally.infra:
        say(f"Last outage: {tally.cause}", err=True)
    return 3 if tally.infra or tally.stopped else int(rejected > 0)


class _Job(msgspec.Struct, frozen=True, kw_only=True):
    request: IterateRequest
    inputs: Inputs
    output: Path
    rejects: Path
    concurrency: int
    limit: int | None
    retry_rejects: bool
    mixed: bool

    def rows(self) -> Iterator[Input | RefusedRow]:
        """Read the rows of this run in order: the whole file, or the first `limit` rows."""
        return itertools.islice(self.inputs.read(), self.limit)

    def part(self, target: SessionTarget) -> Part:
        """Return the settings of this part of the run."""
        return Part(
            kind=self.request.kind or "",
            kind_digest=target.facts.kind_digest,
            model=target.facts.model,
            tables=target.facts.tables,
            system=self.request.system,
        )


@contextlib.contextmanager
def _results(output: Path, rejects: Path) -> Iterator[tuple[ResultFile, ResultFile]]:
    accepted = ResultFile(output)
    try:
        rejected = ResultFile(rejects)
        try:
            yield accepted, rejected
        finally:
            rejected.close()
    finally:
        accepted.close()


async def _run(config: Config, job: _Job, url: str | None, api_key_env: str | None) -> int:
    tally = Tally()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        stop.set()
        say("Stopping: waiting for running sessions to end.", err=True)

    # One that is ignored stays so: `nohup` ignores SIGHUP.
    stopping = [number for number in _STOPPING if signal.getsignal(number) != signal.SIG_IGN]
    for number in stopping:
        loop.add_signal_handler(number, end)
    total = sum(1 for _ in job.rows())
    try:
        # The files are opened last: what cannot run leaves none behind.
        async with open_target(config, url, api_key_env, job.request) as target:
            with _results(job.output, job.rejects) as files:
                await _judge(target, job, files, tally, stop=stop, total=total)
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        for number in stopping:
            loop.remove_signal_handler(number)
    if stop.is_set() and not tally.stopped:
        tally.stopped = "Stopped by a signal; running sessions ended and their results are kept."
    return _conclude(tally, job.rejects)


async def _judge(
    target: SessionTarget,
    job: _Job,
    files: tuple[ResultFile, ResultFile],
    tally: Tally,
    *,
    stop: asyncio.Event,
    total: int,
) -> None:
    """Run what is not done, and leave the rejects file with one line for each rejected row."""
    accepted, rejected = files
    accepted_before = accepted.done()
    rejected_before = {
        index: digest for index, digest in rejected.done().items() if index not in accepted_before
    }
    parts = Parts(job.output)
    fresh = not (accepted_before or rejected_before)
    _tell_changes(parts.begin(job.part(target), fresh=fresh, mixed=job.mixed))
    done = dict(accepted_before)
    if not job.retry_rejects:
        done |= rejected_before
        tally.rejected_before = len(rejected_before)

    def judged_by(tables: dict[str, str]) -> None:
        _tell_changes(parts.tables(tables, mixed=job.mixed))

    with _progress(tally, total) as tell:
        rows = pending(job.rows(), done, tally)
        crew = Crew(
            target, job.request, rows, files, tally, stop=stop, tell=tell, judged_by=judged_by
        )
        async with asyncio.TaskGroup() as workers:
            for _ in range(job.concurrency):
                workers.create_task(crew.work())
    rejected.keep_last(accepted.done().keys())


def _tell_changes(changes: list[str]) -> None:
    for change in changes:
        say(f"Mixed: {change}.", err=True)


@contextlib.contextmanager
def _progress(tally: Tally, total: int) -> Iterator[Tell]:
    console = terminal_console(err=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(tally.line(), total=total)
        yield lambda: progress.update(bar, completed=tally.finished(), description=tally.line())
