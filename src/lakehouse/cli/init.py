"""`lakehouse init`: writes a working, commented configuration and the files it names."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

import typer

from lakehouse.cli.terminal import say
from lakehouse.core.errors import SetupError

init_app = typer.Typer(add_completion=False, rich_markup_mode=None)

_FILES: Final = {
    "lakehouse.toml": "init/lakehouse.toml",
    "airport_event.schema.json": "init/airport_event.schema.json",
    "airports.parquet": "airports.parquet",
    "AIRPORTS.md": "AIRPORTS.md",
}


@init_app.command(name="init")
def command(
    directory: Annotated[
        Path, typer.Argument(help="Target directory; created if missing.")
    ] = Path(),
) -> None:
    """Write a commented lakehouse.toml with a working kind, its schema and its table.

    Example: lakehouse init my-project
    """
    for name in _FILES:
        if (directory / name).exists():
            raise SetupError(
                f"{directory / name} already exists; nothing was written.",
                hint="Choose another directory: lakehouse init DIR",
            )
    write_project(directory)
    for name in _FILES:
        say(f"wrote {directory / name}")
    here = "" if directory == Path() else f"cd {directory} && "
    say(f"Next: {here}lakehouse models pull smollm2 && lakehouse doctor && lakehouse up")


def write_project(directory: Path) -> None:
    """Copy the package's project into a directory, overwriting files.

    Raises:
        SetupError: The directory cannot be written to.
    """
    source = files("lakehouse.demo")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, member in _FILES.items():
            (directory / name).write_bytes(source.joinpath(member).read_bytes())
    except OSError as error:
        raise SetupError(f"{directory} cannot be written to: {error.strerror}.") from error
