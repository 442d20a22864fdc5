"""The options of `lakehouse replay` and its commands, each with its help."""

from pathlib import Path
from typing import Annotated, Final

import typer

from lakehouse.cli.replay_run import EngineName
from lakehouse.replay.selection import Sampling

SETTINGS: Final = (
    "constrain",
    "candidates",
    "temperature",
    "max_tokens",
    "seed",
    "max_iterations",
    "deadline_ms",
)

# What is changed.
ModelOption = Annotated[str | None, typer.Option(help="Alias of the model to use.")]
AsKindOption = Annotated[str | None, typer.Option(help="Kind to use instead of the sessions' own.")]
SystemOption = Annotated[Path | None, typer.Option(help="File with the system prompt to use.")]
ChangesOption = Annotated[
    list[str] | None,
    typer.Option("--set", help=f"SETTING=VALUE; repeatable. Settings: {', '.join(SETTINGS)}."),
]
RejudgeOption = Annotated[
    bool, typer.Option("--rejudge", help="Call no model; check the logged answers again.")
]

# Which sessions.
WhereOption = Annotated[
    str | None, typer.Option(help="Only sessions that match this SQL condition.")
]
DaemonOption = Annotated[
    str | None, typer.Option(help="Only rows of this daemon. Default: all but replay.")
]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Maximum number of sessions.")]
SampleOption = Annotated[
    Sampling, typer.Option(help="How --limit chooses: the newest sessions, or a stratified sample.")
]
SeedOption = Annotated[
    int, typer.Option(min=0, help="Random seed of the sample and of the intervals.")
]

# How it runs.
EngineOption = Annotated[
    EngineName, typer.Option(help="Where to run: in this process, or on a cluster with Ray Data.")
]
DeadlineOption = Annotated[
    str | None, typer.Option(help="Stop after this time, such as 90s, 30m or 2h.", metavar="TIME")
]
ResumeOption = Annotated[str | None, typer.Option(help="Id of the run to continue.", metavar="RUN")]

# What it says.
GateOption = Annotated[
    list[str] | None,
    typer.Option("--gate", help="A condition, such as 'accepted >= baseline - 0.02'; repeatable."),
]
SessionsMinOption = Annotated[
    int | None,
    typer.Option("--min-sessions", min=1, help="Minimum number of pairs to decide a condition."),
]
EffectMinOption = Annotated[
    float, typer.Option("--min-effect", min=0, help="Largest shortfall that does not matter.")
]
FalseAlarmsOption = Annotated[
    bool,
    typer.Option(
        "--aa", help="Also simulate, in 1,000 runs, how often the gate stops an equal candidate."
    ),
]
HtmlOption = Annotated[Path | None, typer.Option(help="Also write the report to this HTML file.")]
JunitOption = Annotated[
    Path | None, typer.Option(help="Also write the gate's result to this JUnit XML file.")
]
