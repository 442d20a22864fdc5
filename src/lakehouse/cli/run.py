"""`lakehouse run`: a whole file of inputs through a kind, resumable.

Accepted artifacts go to the output, the rest with their findings to the rejects file. What an
outage kept from being judged is written nowhere and tried again by the next run.
"""

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lakehouse.cli.gateway import GatewayCaller
from lakehouse.cli.options import ConfigOption, read_config
from lakehouse.cli.run_files import Input, ResultFile, read_inputs, result_of
from lakehouse.cli.sampling_options import (
    DeadlineOption,
    MaxTokensOption,
    SeedOption,
    SystemOption,
    TemperatureOption,
    raw_temperature,
)
from lakehouse.compose import Daemon
from lakehouse.config.settings import Config
from lakehouse.core.context import session_context
from lakehouse.core.errors import InfraError, Refusal, SetupError
from lakehouse.core.session import Constrain, IterateRequest, SessionReply
from lakehouse.engine.task import plan

run_app = typer.Typer(add_completion=False, rich_markup_mode=None)

AT_ONCE_MAX: Final = 256
INFRA_IN_A_ROW_MAX: Final = 20  # after so many outages one after the other, the rest can wait
_DRAIN_MS: Final = 10_000

Ask = Callable[[IterateRequest], Awaitable[SessionReply]]


class Tally:
    """How a run is going."""

    def __init__(self) -> None:
        self.accepted = 0
        self.rejected = 0
        self.infra = 0
        self.infra_in_a_row = 0
        self.skipped = 0
        self.rejected_before = 0
        self.stopped = ""

    def line(self) -> str:
        """Say it in one line."""
        return f"accepted {self.accepted}, rejected {self.rejected}, infra_error {self.infra}"


@run_app.command(name="run")
def command(
    context: typer.Context,
    *,
    kind: Annotated[str, typer.Option(help="The kind of artifact.")],
    source: Annotated[
        Path, typer.Option("--input", help="A .csv, .jsonl or .parquet file.", metavar="F")
    ],
    column: Annotated[str, typer.Option(help="The column that holds the prompt.", metavar="C")],
    output: Annotated[Path, typer.Option(help="Accepted artifacts, JSON lines.", metavar="O")],
    rejects: Annotated[
        Path | None,
        typer.Option(help="The rest, with findings. Default: --output with .rejects.jsonl added."),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=AT_ONCE_MAX, help="Sessions at once.")] = 8,
    model: Annotated[str | None, typer.Option(help="Another model than the kind's.")] = None,
    constrain: Annotated[
        Constrain, typer.Option(help="Whether the model decodes under the schema if it can.")
    ] = "auto",
    temperature: TemperatureOption = None,
    max_tokens: MaxTokensOption = None,
    seed: SeedOption = None,
    system: SystemOption = None,
    deadline_ms: DeadlineOption = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first rows of the file.", metavar="ROWS")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="A running gateway; else the stack runs in this process.")
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option(help="The variable that holds the gateway's key.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Run every row of a file through a kind. Ctrl-C is safe: the same command goes on.

    Exit code 0: all accepted; 1: some rejected; 3: some could not be judged, or it was stopped.

    Example: lakehouse run --kind airport_event --input notices.csv --column text --output out.jsonl
    """
    settings = read_config(context, config)
    request = IterateRequest(
        kind=kind,
        model=model,
        constrain=constrain,
        temperature=raw_temperature(temperature),
        max_tokens=max_tokens,
        seed=seed,
        system=system,
        deadline_ms=deadline_ms,
    )
    beside = output.with_name(output.name + ".rejects.jsonl")
    job = _Job(request, source, column, output, rejects or beside, concurrency, limit)
    if job.output.resolve() == job.rejects.resolve():
        raise SetupError("--output and --rejects must be two files.")
    tally = asyncio.run(_run(_door(settings, url, api_key_env, request), job))
    raise typer.Exit(_conclude(tally, job.rejects))


def _conclude(tally: Tally, rejects: Path) -> int:
    """Say how the run ended, and give its exit code."""
    before = f", {tally.rejected_before} of them rejected" if tally.rejected_before else ""
    typer.echo(f"{tally.line()}; done before {tally.skipped}{before}")
    rejected = tally.rejected + tally.rejected_before
    if rejected:
        typer.echo(f"{rejected} rejected in all, with their findings: {rejects}")
    if tally.stopped:
        typer.echo(f"{tally.stopped} Go on with the same command.", err=True)
    return 3 if tally.infra or tally.stopped else int(rejected > 0)


class _Job(msgspec.Struct, frozen=True):
    request: IterateRequest
    source: Path
    column: str
    output: Path
    rejects: Path
    concurrency: int
    limit: int | None = None

    def inputs(self) -> Iterator[Input]:
        """Read the inputs of this run in order: the whole file, or the first `limit` rows."""
        return itertools.islice(read_inputs(self.source, self.column), self.limit)


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


def _pending(job: _Job, done: Mapping[int, str], tally: Tally) -> Iterator[Input]:
    """Give the inputs that are not done, in order.

    Raises:
        SetupError: An input that is done has another text now.
    """
    for one in job.inputs():
        digest = done.get(one.index)
        if digest is None:
            yield one
        elif digest != one.digest:
            raise SetupError(
                f"{job.source}: row {one.index} is not the text that was run before.",
                hint="Choose a new --output for a changed input file.",
            )
        else:
            tally.skipped += 1


@contextlib.asynccontextmanager
async def _door(
    settings: Config, url: str | None, api_key_env: str | None, request: IterateRequest
) -> AsyncIterator[Ask]:
    """Open the way to sessions: a running gateway, or the whole stack in this process.

    Raises:
        Refusal: The kind or the model of the request is not known there.
    """
    if url is not None:
        caller = GatewayCaller(url, api_key_env, os.environ)
        try:
            await caller.check(request)
            yield caller.iterate
        finally:
            await caller.close()
        return
    daemon = Daemon(settings, os.environ, "up")
    try:
        plan(msgspec.structs.replace(request, prompt="?"), session_context(), daemon.catalog)
        await daemon.start()
        yield lambda request: daemon.validator.iterate(request, session_context())
    finally:
        await daemon.drain(_DRAIN_MS)
        await daemon.close()


async def _run(door: contextlib.AbstractAsyncContextManager[Ask], job: _Job) -> Tally:
    tally = Tally()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    total = sum(1 for _ in job.inputs())
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    try:
        # The files are opened last: what cannot run leaves none behind.
        async with door as ask:
            with (
                _results(job.output, job.rejects) as files,
                Progress(*columns, console=console, disable=not console.is_terminal) as progress,
            ):
                bar = progress.add_task(tally.line(), total=total)

                def tell() -> None:
                    finished = tally.accepted + tally.rejected + tally.infra + tally.skipped
                    progress.update(bar, completed=finished, description=tally.line())

                crew = _Crew(ask, job, files, tally, stop=stop, tell=tell)
                async with asyncio.TaskGroup() as workers:
                    for _ in range(job.concurrency):
                        workers.create_task(crew.work())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    finally:
        loop.remove_signal_handler(signal.SIGINT)
    if stop.is_set() and not tally.stopped:
        tally.stopped = "Stopped by Ctrl-C; what was under way has ended and is kept."
    return tally


class _Crew:
    """The workers of one run: they share the inputs, and stop together."""

    def __init__(
        self,
        ask: Ask,
        job: _Job,
        files: tuple[ResultFile, ResultFile],
        tally: Tally,
        *,
        stop: asyncio.Event,
        tell: Callable[[], None],
    ) -> None:
        self._ask = ask
        self._job = job
        self._accepted, self._rejected = files
        self._tally = tally
        self._stop = stop
        self._tell = tell
        rejected_before = self._rejected.done()
        tally.rejected_before = len(rejected_before)
        self._inputs = _pending(job, self._accepted.done() | rejected_before, tally)

    async def work(self) -> None:
        """Take inputs one after the other until there are none, or the run is stopped."""
        for one in self._inputs:
            request = msgspec.structs.replace(self._job.request, prompt=one.text)
            self._take(one, await _reply(self._ask, request))
            self._tell()
            if self._stop.is_set():
                return

    def _take(self, one: Input, reply: SessionReply | None) -> None:
        tally = self._tally
        if reply is None or reply.verdict == "infra_error":
            tally.infra += 1
            tally.infra_in_a_row += 1
            if tally.infra_in_a_row >= INFRA_IN_A_ROW_MAX and not self._stop.is_set():
                tally.stopped = f"Stopped after {INFRA_IN_A_ROW_MAX} outages in a row."
                self._stop.set()
            return
        tally.infra_in_a_row = 0
        if reply.verdict == "accepted":
            self._accepted.append(result_of(one, reply))
            tally.accepted += 1
        else:
            self._rejected.append(result_of(one, reply))
            tally.rejected += 1


async def _reply(ask: Ask, request: IterateRequest) -> SessionReply | None:
    """Run one session; None where it was not taken on for a reason that may pass."""
    try:
        return await ask(request)
    except InfraError:
        return None
    except Refusal as refusal:
        if refusal.retryable:
            return None
        raise
