"""`lakehouse up`, `gateway`, `validatord`, `chatd`: one process each, the same code."""

from typing import Annotated

import typer

from lakehouse.cli.daemon import run_daemon
from lakehouse.cli.daemon_line import DaemonLine, DaemonRole, LogLevel
from lakehouse.cli.options import ConfigOption, config_path

_HELP = {
    "gateway": "Run only the gateway; [validatord] url is the validator daemon's URL.\n\n"
    "Example: LAKEHOUSE_VALIDATORD__URL=http://127.0.0.1:4112 lakehouse gateway",
    "validatord": "Run only the validator daemon; [chatd] url is the chat daemon's URL.\n\n"
    "Example: LAKEHOUSE_CHATD__URL=http://127.0.0.1:4111 lakehouse validatord",
    "chatd": "Run only the chat daemon.\n\nExample: lakehouse chatd",
}


LogLevelOption = Annotated[
    LogLevel, typer.Option("--log-level", help="Lowest log level written to stderr.")
]


def _app(role: DaemonRole) -> typer.Typer:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)

    def command(
        context: typer.Context,
        config: ConfigOption = None,
        log_level: LogLevelOption = LogLevel.INFO,
    ) -> None:
        run_daemon(DaemonLine(role, config_path(context, config), log_level))

    app.command(name=role, help=_HELP[role])(command)
    return app


up_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@up_app.command(name="up")
def _up(
    context: typer.Context,
    config: ConfigOption = None,
    log_level: LogLevelOption = LogLevel.INFO,
    workers: Annotated[
        str, typer.Option(metavar="N|auto", help="Processes; auto: one for each processor.")
    ] = "1",
) -> None:
    """Run the whole stack and serve the gateway, in one process or in several workers.

    Example: lakehouse up --config lakehouse.toml --workers auto
    """
    run_daemon(DaemonLine("up", config_path(context, config), log_level, workers))


gateway_app = _app("gateway")
validatord_app = _app("validatord")
chatd_app = _app("chatd")
