"""What commands share on the command line: the configuration, and how results are printed."""

import os
from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli.terminal import say
from lakehouse.config.load import BUILT_IN, FILE_NAME, load_config
from lakehouse.config.settings import Config
from lakehouse.core.redaction import redact

ConfigOption = Annotated[
    str | None,
    typer.Option("--config", help="The configuration file.", metavar="FILE"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def read_config(context: typer.Context, path: str | None) -> Config:
    """Load the configuration, whether `--config` came before or after the command.

    Raises:
        SetupError: From `config.load`.
    """
    named = path or context.find_root().params.get("config")
    return load_config(Path(named) if named else None, os.environ)


def endpoints(config: Config, alias: str | None) -> str:
    """List where the models are asked, or the one of `alias`, for people."""
    places = {
        name: model.address
        for name, model in config.models.items()
        if model.address is not None and alias in {None, name}
    }
    return ", ".join(f"{name} at {redact(place)}" for name, place in places.items())


def log_directory(config: Config) -> Path:
    """Give the log's directory, for a command that reads it.

    Says on stderr when the place is only a guess and nothing is there: an empty answer from the
    wrong directory looks like an empty log.
    """
    log = config.path(config.log.path)
    if config.source == BUILT_IN and not log.exists():
        say(
            f"No {FILE_NAME} here: built-in defaults are used; the log would be {log.absolute()}.",
            err=True,
        )
    return log
