"""Options of `lakehouse run`: how a row becomes a prompt, what goes with it, where it is run."""

from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli.run_inputs import Inputs, Template
from lakehouse.core.errors import SetupError
from lakehouse.core.session import Constrain
from lakehouse.tabular.formats import ENDINGS

SourceOption = Annotated[
    Path, typer.Option("--input", help=f"A file of rows: {', '.join(ENDINGS)}.", metavar="F")
]
ColumnOption = Annotated[
    str | None, typer.Option(help="The column that holds the prompt.", metavar="C")
]
TemplateOption = Annotated[
    Path | None,
    typer.Option(help="Instead of --column: a Jinja2 template of the prompt.", metavar="FILE"),
]
KeepOption = Annotated[
    list[str] | None,
    typer.Option(help="A column to copy into the results; may be repeated.", metavar="C"),
]
MetadataOption = Annotated[
    list[str] | None,
    typer.Option(help="A column to send as metadata; may be repeated.", metavar="C"),
]
RetryOption = Annotated[
    bool, typer.Option("--retry-rejects", help="Run the rows of the rejects file again.")
]
MixedOption = Annotated[
    bool, typer.Option("--mixed", help="Go on though the kind, the model or a table changed.")
]

RejectsOption = Annotated[
    Path | None,
    typer.Option(help="The rest, with findings. Default: --output with .rejects.jsonl added."),
]
LimitOption = Annotated[
    int | None, typer.Option(min=1, help="Only the first rows of the file.", metavar="ROWS")
]
UrlOption = Annotated[
    str | None, typer.Option(help="A running gateway; else that of the configuration if it is up.")
]
ConstrainOption = Annotated[
    Constrain, typer.Option(help="Whether the model decodes under the schema if it can.")
]


def inputs(
    source: Path,
    column: str | None,
    template: Path | None,
    keep: list[str] | None,
    metadata: list[str] | None,
) -> Inputs:
    """Say how the rows of a file are read.

    Raises:
        SetupError: Not exactly one of `--column` and `--template`, or a template that is none.
    """
    if (column is None) == (template is None):
        raise SetupError("Give exactly one of --column and --template.")
    made = None if template is None else Template(template)
    return Inputs(source, column, made, tuple(keep or ()), tuple(metadata or ()))
