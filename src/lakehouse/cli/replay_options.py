"""The options of `lakehouse replay` and its commands, each with its help."""

from pathlib import Path
from typing import Annotated, Final

import typer

from lakehouse.cli.replay_run import EngineName
from lakehouse.cli.run import AT_ONCE_MAX
from lakehouse.replay.selection import Sampling

SETTINGS: Final = (
    "constrain",
    "temperature",
    "max_tokens",
    "seed",
    "max_iterations",
    "deadline_ms",
)

# What is changed.
ModelOption = Annotated[str | None, typer.Option(help="Ask this model (our alias).")]
AsKindOption = Annotated[
    str | None, typer.Option(help="Use this kind in place of the sessions' own.")
]
SystemOption = Annotated[
    Path | None, typer.Option(help="A file whose text replaces the system prompt.")
]
ChangesOption = Annotated[
    list[str] | None,
    typer.Option("--set", help=f"SETTING=VALUE, again for more: {', '.join(SETTINGS)}."),
]
RejudgeOption = Annotated[
    bool, typer.Option("--rejudge", help="Ask no model: judge the logged answers again.")
]

# Which sessions.
KindOption = Annotated[str | None, typer.Option(help="Only sessions of this kind.")]
WhereOption = Annotated[
    str | None, typer.Option(help="Only sessions that this SQL condition holds for.")
]
SinceOption = Annotated[str | None, typer.Option(help="From this time on, RFC 3339.")]
UntilOption = Annotated[str | None, typer.Option(help="Before this time.")]
DaemonOption = Annotated[
    str | None, typer.Option(help="Only rows of this daemon; replays only if asked for.")
]
LimitOption = Annotated[int | None, typer.Option(min=1, help="At most so many sessions.")]
SampleOption = Annotated[
    Sampling, typer.Option(help="Which, if there are more: the newest, or each sort's share.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Decides the sample and the intervals.")]

# How it runs.
ConcurrencyOption = Annotated[int, typer.Option(min=1, max=AT_ONCE_MAX, help="Sessions at once.")]
EngineOption = Annotated[
    EngineName, typer.Option(help="Where: in this process, or by Ray Data on a cluster.")
]
DeadlineOption = Annotated[
    str | None, typer.Option(help="Stop after so long: 90s, 30m, 2h.", metavar="TIME")
]
ResumeOption = Annotated[str | None, typer.Option(help="Go on with this run.", metavar="RUN")]

# What it says.
GateOption = Annotated[
    list[str] | None,
    typer.Option("--gate", help="A condition: 'accepted >= baseline - 0.02'; again for more."),
]
SessionsMinOption = Annotated[
    int | None, typer.Option("--min-sessions", min=1, help="Decide no condition with fewer pairs.")
]
EffectMinOption = Annotated[
    float, typer.Option("--min-effect", min=0, help="Shortfalls up to this do not matter.")
]
FalseAlarmsOption = Annotated[
    bool,
    typer.Option("--aa", help="Also tell how often the gate stops an equal candidate: 1,000 runs."),
]
HtmlOption = Annotated[Path | None, typer.Option(help="Also write the report as this page.")]
JunitOption = Annotated[Path | None, typer.Option(help="Also write the gate as JUnit XML.")]
