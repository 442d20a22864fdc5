"""Options that select logged sessions, shared by commands that read the log."""

from typing import Annotated

import typer

from lakehouse.core.session import Verdict

KindOption = Annotated[str | None, typer.Option(help="Only sessions of this kind.")]
ModelOption = Annotated[str | None, typer.Option(help="Only sessions of this model.")]
VerdictOption = Annotated[Verdict | None, typer.Option(help="Only sessions with this verdict.")]
CodeOption = Annotated[
    str | None, typer.Option(help="Only sessions with this infra code or finding code.")
]
DaemonOption = Annotated[
    str | None, typer.Option(help="Only sessions of this daemon, such as replay.")
]
SinceOption = Annotated[
    str | None, typer.Option(help="Only sessions at or after this time, RFC 3339.")
]
UntilOption = Annotated[str | None, typer.Option(help="Only sessions before this time, RFC 3339.")]
