"""The commands of `lakehouse`, each loaded only when it is used, as Typer reads them.

`--help` must be fast, so it imports no command's module.
"""

import importlib
from typing import Annotated, Any, Final

import typer

from lakehouse.cli.listing import ListingGroup
from lakehouse.cli.terminal import say
from lakehouse.core.suggestion import did_you_mean

# Name → (module, one line of help). The order is the order of the help.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "up": ("serve", "Run the whole stack in one process and serve the gateway."),
    "gateway": ("serve", "Run only the gateway."),
    "validatord": ("serve", "Run only the validator daemon."),
    "chatd": ("serve", "Run only the chat daemon."),
    "reload": ("reload", "Have a running gateway read its configuration anew."),
    "init": ("init", "Write a commented lakehouse.toml with a working kind."),
    "doctor": ("doctor", "Report what is missing and how to fix it."),
    "demo": ("demo", "Run the demo with the embedded model."),
    "kinds": ("kinds", "List the configured kinds, or show what one means."),
    "models": ("models", "List models, or download the weights of the embedded one."),
    "keys": ("keys", "Create API keys."),
    "iterate": ("iterate", "Run one session against a running gateway."),
    "run": ("run", "Run a kind on every row of a file."),
    "sessions": ("sessions", "List logged sessions, newest first."),
    "show": ("show", "Show one session, attempt by attempt."),
    "tail": ("tail", "Print sessions as they end."),
    "stats": ("stats", "Show verdict counts and rates."),
    "query": ("query", "Run one SQL query on the log."),
    "ui": ("ui", "Show the log in the browser, without a stack."),
    "replay": ("replay", "Rerun logged sessions with something changed."),
    "feedback": ("feedback", "Record whether a session's result was right."),
    "trace": ("trace", "Resend the traces of logged sessions."),
    "parity": ("parity", "Compare runtimes against fixtures with expected answers."),
    "log": ("log", "Verify, seal, reap and compact the session log."),
}


class _LazyGroup(ListingGroup):
    """Finds a command's module by its name in the table."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  the base class's signature
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            ctx.fail(f"No such command {cmd_name!r}{did_you_mean(cmd_name, COMMANDS)}.")
        module_name, _ = COMMANDS[cmd_name]
        module = importlib.import_module(f"lakehouse.cli.{module_name}")
        command = typer.main.get_command(getattr(module, f"{cmd_name}_app"))
        command.name = cmd_name
        return command

    def summaries(self, ctx: Any) -> list[tuple[str, str]]:  # noqa: ARG002  likewise
        """Return the table's own lines: the overview needs no module of a command."""
        return [(name, summary) for name, (_, summary) in COMMANDS.items()]


app = typer.Typer(
    cls=_LazyGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:  # noqa: FBT001  Typer calls it with the flag
    if wanted:
        from lakehouse import __version__  # noqa: PLC0415  only this flag needs it

        say(f"lakehouse {__version__}")
        raise typer.Exit


@app.callback()
def root(
    config: Annotated[
        str | None,
        typer.Option(help="Configuration file; may also follow the command.", metavar="FILE"),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Validated, table-grounded artifacts from language models, with one durable row each.

    Example: lakehouse init && lakehouse up
    """
