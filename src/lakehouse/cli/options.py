"""Options that commands share: the configuration file and the output format."""

import os
from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli.terminal import say
from lakehouse.config.load import BUILT_IN, FILE_NAME, load_config
from lakehouse.config.settings import Config
from lakehouse.core.redaction import redact
from lakehouse.sessionlog.layout import unreadable_parts

ConfigOption = Annotated[
    str | None,
    typer.Option("--config", help="Configuration file.", metavar="FILE"),
]
ApiKeyOption = Annotated[
    str | None, typer.Option(help="Environment variable with the gateway's API key.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def config_path(context: typer.Context, path: str | None) -> str | None:
    """Return what `--config` names, before or after the command; None without it."""
    named: str | None = path or context.find_root().params.get("config")
    return named


def read_config(context: typer.Context, path: str | None) -> Config:
    """Load the configuration, whether `--config` came before or after the command."""
    named = config_path(context, path)
    return load_config(Path(named) if named else None, os.environ)


def endpoints(config: Config, alias: str | None) -> str:
    """List the models' endpoints, or only that of `alias`."""
    places = {
        name: model.address
        for name, model in config.models.items()
        if model.address is not None and alias in {None, name}
    }
    return ", ".join(f"{name} at {redact(place)}" for name, place in places.items())


def log_directory(config: Config, *, warns_of_parts: bool = True) -> Path:
    """Return the log's directory, for a command that reads it.

    Warns on stderr if the directory is only the default and does not exist: otherwise a wrong
    directory would look like an empty log. So would a part of it that cannot be read, of which it
    warns too, unless the command does so itself.
    """
    log = config.path(config.log.path)
    if config.source == BUILT_IN and not log.exists():
        say(
            f"No {FILE_NAME} here: using built-in defaults; there is no log at {log.absolute()}.",
            err=True,
        )
    for trouble in unreadable_parts(log) if warns_of_parts else ():
        say(f"warning: {trouble}", err=True)
    return log
