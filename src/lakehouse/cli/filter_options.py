"""Options that select logged sessions, shared by commands that read the log."""

from typing import Annotated

import typer

KindOption = Annotated[str | None, typer.Option(help="Only sessions of this kind.")]
ModelOption = Annotated[str | None, typer.Option(help="Only sessions of this model.")]
DaemonOption = Annotated[
    str | None, typer.Option(help="Only sessions of this daemon, such as replay.")
]
SinceOption = Annotated[
    str | None, typer.Option(help="Only sessions at or after this time, RFC 3339.")
]
UntilOption = Annotated[str | None, typer.Option(help="Only sessions before this time, RFC 3339.")]
