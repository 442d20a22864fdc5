"""`lakehouse demo`: the whole stack, once, with a real and tiny model.

Starts `lakehouse up` as a child process, sends every notice of the package through the gateway
twice, without and with the table's values in the schema that the model decodes under, and reads the
results from the log. The model is small enough to make every mistake; the demo counts whether one
was accepted.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lakehouse.cli.console import console as terminal_console
from lakehouse.cli.demo_report import Told, Wave, print_report
from lakehouse.cli.init import write_project
from lakehouse.cli.models import pull_with_progress
from lakehouse.core.errors import SetupError
from lakehouse.core.session import SessionReply
from lakehouse.demo.notices import Notice, load_notices
from lakehouse.process.children import Child
from lakehouse.providers.weights import model_path
from lakehouse.transport.client import HttpClient, HttpLimits
from lakehouse.ui.address import BASE

demo_app = typer.Typer(add_completion=False, rich_markup_mode=None)

DIRECTORY: Final = Path("demo-data")
AT_ONCE: Final = 2  # the embedded model has two cores to think on
AWAY: Final = "away"
START_S: Final = 30.0
END_S: Final = 40.0
ANSWER_MS: Final = 300_000
_BROWSER_S: Final = 5.0  # to find that there is none
_MARK: Final = ".lakehouse-demo"  # only a directory that a demo made is ever overwritten
_AWAY_MODEL: Final = f"""
# The demo's outage: an endpoint that is not there.
[models.{AWAY}]
provider = "openai"
base_url = "http://127.0.0.1:9/v1"
model = "nobody-home"
"""


@demo_app.command()
def demo(
    directory: Annotated[
        Path, typer.Option(help="Directory for the demo's configuration and log.")
    ] = DIRECTORY,
    *,
    ui: Annotated[
        bool, typer.Option("--ui", help="Open the sessions in a browser, live, until Ctrl-C.")
    ] = False,
) -> None:
    """Run the demo's two waves with the embedded model: about a minute and a half.

    Example: lakehouse demo --ui
    """
    console = terminal_console()
    _prepare(directory)
    if model_path("smollm2-135m-instruct") is None:
        pull_with_progress(console)
    notices = load_notices()
    # However the demo ends, its stack ends too: after the sessions that run.
    daemon = _start(directory / "lakehouse.toml")
    try:
        url = _url(daemon)
        log = directory / "lakehouse-data" / "sessions"
        console.print(f"The stack is up at {url}; the log is {log}.", markup=False)
        if ui:
            _open(url + BASE, console)
        begun = time.monotonic()
        told = asyncio.run(_waves(url, notices, console))
        wall_s = time.monotonic() - begun
        print_report(told, directory, wall_s, console)
        if ui:
            _say_where(url + BASE, console)
            with contextlib.suppress(KeyboardInterrupt):
                daemon.process.wait()
    finally:
        daemon.end()


def _open(page: str, console: Console) -> None:
    """Open a page, if there is a browser. One in a terminal may run until it is closed."""
    opened: list[bool] = []
    opening = threading.Thread(target=lambda: opened.append(webbrowser.open(page)), daemon=True)
    opening.start()
    opening.join(_BROWSER_S)
    if opened == [False]:
        console.print(f"No browser could be opened: open {page} yourself.", markup=False)


def _say_where(page: str, console: Console) -> None:
    console.print(f"\nThe sessions are at {page} until Ctrl-C.", markup=False, soft_wrap=True)


def _prepare(directory: Path) -> None:
    """Write a fresh project, in place of an earlier demo's and of nothing else."""
    if directory.exists():
        if not (directory / _MARK).exists():
            raise SetupError(
                f"{directory} exists and was not written by a demo.",
                hint="Choose another directory: lakehouse demo --directory DIR",
            )
        for path in sorted(directory.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    directory.mkdir(parents=True, exist_ok=True)
    (directory / _MARK).touch()
    write_project(directory)
    with (directory / "lakehouse.toml").open("a", encoding="utf-8") as file:
        file.write(_AWAY_MODEL)


def _start(config: Path) -> Child:
    """Start `lakehouse up` on a free port."""
    return Child(
        [sys.executable, "-m", "lakehouse", "--config", str(config), "up"],
        stdout=subprocess.PIPE,
        stderr=None,
        env=_environment(),
        grace_s=END_S,
    )


def _url(daemon: Child) -> str:
    """Wait for the greeting of the stack, which names its address."""
    assert daemon.process.stdout is not None
    greeting = daemon.process.stdout.readline().decode("utf-8", "replace")
    if "http://" not in greeting:
        daemon.process.wait(START_S)
        raise SetupError("The stack did not start; see its message above.")
    return "http://" + greeting.split("http://", 1)[1].split()[0]


def _environment() -> dict[str, str]:
    return {**os.environ, "LAKEHOUSE_GATEWAY__LISTEN": '"127.0.0.1:0"'}


async def _waves(url: str, notices: Sequence[Notice], console: Console) -> list[Told]:
    """Send every notice in both waves, and one more to a model that is away; `AT_ONCE` at a time.

    The waves take turns, notice by notice, so that nothing else differs between them.
    """
    http = HttpClient()
    limit = asyncio.Semaphore(AT_ONCE)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("Asking the model", total=2 * len(notices) + 1)

        async def one(notice: Notice, wave: Wave) -> Told:
            async with limit:
                reply = await _ask(http, url, notice, wave)
            progress.advance(bar)
            return Told(notice, reply, wave)

        calls = [one(notice, wave) for notice in notices for wave in ("feedback", "table")]
        calls.append(one(notices[0], "outage"))
        told = await asyncio.gather(*calls)
    await http.close()
    return list(told)


async def _ask(http: HttpClient, url: str, notice: Notice, wave: Wave) -> SessionReply:
    body: dict[str, object] = {
        "kind": "airport_event",
        "prompt": notice.text,
        "temperature": 0,
        "seed": 1,
        "max_tokens": 128,
        "metadata": {"notice": notice.id, "wave": wave},
    }
    if wave == "feedback":
        body["candidates"] = "off"
    if wave == "outage":
        body["model"] = AWAY
    reply = await http.post(
        url + "/v1/iterate",
        headers={"content-type": "application/json"},
        body=msgspec.json.encode(body),
        limits=HttpLimits(5_000, ANSWER_MS, ANSWER_MS, ANSWER_MS, 16 << 20),
    )
    return msgspec.json.decode(reply.body, type=SessionReply)
