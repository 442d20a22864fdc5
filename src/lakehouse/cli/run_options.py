"""Options of `lakehouse run`: how a row becomes a prompt, what is sent with it, where it runs."""

from pathlib import Path
from typing import Annotated, Final

import typer

from lakehouse.cli.run_inputs import Inputs, PromptTemplate
from lakehouse.core.errors import SetupError
from lakehouse.core.kind import CandidatesMode
from lakehouse.core.session import Constrain
from lakehouse.tabular.formats import ENDINGS

AT_ONCE_MAX: Final = 256

SourceOption = Annotated[
    Path, typer.Option("--input", help=f"Input file: {', '.join(ENDINGS)}.", metavar="F")
]
OutputOption = Annotated[
    Path, typer.Option(help="Output file for accepted artifacts, as JSON lines.", metavar="O")
]
ColumnOption = Annotated[str | None, typer.Option(help="Column with the prompt.", metavar="C")]
TemplateOption = Annotated[
    Path | None,
    typer.Option(help="Jinja2 template file for the prompt, instead of --column.", metavar="FILE"),
]
KeepOption = Annotated[
    list[str] | None,
    typer.Option(help="Column to copy into the results; repeatable.", metavar="C"),
]
MetadataOption = Annotated[
    list[str] | None,
    typer.Option(help="Column to send as metadata; repeatable.", metavar="C"),
]
RetryOption = Annotated[
    bool, typer.Option("--retry-rejects", help="Rerun the rows of the rejects file.")
]
MixedOption = Annotated[
    bool, typer.Option("--mixed", help="Continue although the kind, the model or a table changed.")
]

RejectsOption = Annotated[
    Path | None,
    typer.Option(
        help="Output file for rejected rows, with findings. Default: --output plus .rejects.jsonl."
    ),
]
LimitOption = Annotated[
    int | None,
    typer.Option(min=1, help="Number of rows to run, from the start of the file.", metavar="ROWS"),
]
UrlOption = Annotated[
    str | None,
    typer.Option(help="URL of a running gateway; default: the configured one, if it is up."),
]
ConcurrencyOption = Annotated[
    int, typer.Option(min=1, max=AT_ONCE_MAX, help="Number of sessions to run at once.")
]
CandidatesOption = Annotated[
    CandidatesMode | None,
    typer.Option(
        help="How the model is offered the tables' values that the text names: in the schema "
        "(decode) or the prompt (hint), by what it can do (auto), or not at all. Default: the "
        "kind's."
    ),
]
ConstrainOption = Annotated[
    Constrain,
    typer.Option(
        help="Whether the model's decoding is constrained to the schema, where supported."
    ),
]


def inputs(
    source: Path,
    column: str | None,
    template: Path | None,
    keep: list[str] | None,
    metadata: list[str] | None,
) -> Inputs:
    """Build the `Inputs` of a command.

    Raises:
        SetupError: Not exactly one of `--column` and `--template`, or an invalid template.
    """
    if (column is None) == (template is None):
        raise SetupError("Give exactly one of --column and --template.")
    made = None if template is None else PromptTemplate(template)
    return Inputs(source, column, made, tuple(keep or ()), tuple(metadata or ()))
