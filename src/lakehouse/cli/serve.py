"""`lakehouse up`, `gateway`, `validatord`, `chatd`: one process each, the same code."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable

import typer
import uvloop

from lakehouse.cli.daemon_log import DaemonLog, LogLevel, LogLevelOption
from lakehouse.cli.doubts import doubts_of
from lakehouse.cli.options import ConfigOption, read_config
from lakehouse.cli.terminal import say
from lakehouse.config.settings import Config
from lakehouse.core.errors import LakehouseError
from lakehouse.daemon import Daemon
from lakehouse.stack import Role, Stack
from lakehouse.tracing.destination import SECRETS, why_off
from lakehouse.transport.daemon import listen_on, serve
from lakehouse.transport.door import DoorLimits, connections_max

_LOG = logging.getLogger(__name__)
_HELP = {
    "up": "Run the whole stack in one process and serve the gateway.\n\n"
    "Example: lakehouse up --config lakehouse.toml",
    "gateway": "Run only the gateway; [validatord] url is the validator daemon's URL.\n\n"
    "Example: LAKEHOUSE_VALIDATORD__URL=http://127.0.0.1:4112 lakehouse gateway",
    "validatord": "Run only the validator daemon; [chatd] url is the chat daemon's URL.\n\n"
    "Example: LAKEHOUSE_CHATD__URL=http://127.0.0.1:4111 lakehouse validatord",
    "chatd": "Run only the chat daemon.\n\nExample: lakehouse chatd",
}


def _app(role: Role) -> typer.Typer:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)

    def command(
        context: typer.Context,
        config: ConfigOption = None,
        log_level: LogLevelOption = LogLevel.INFO,
    ) -> None:
        with DaemonLog(log_level) as log:
            try:
                settings = read_config(context, config)
                log.secrets = _secrets(settings)
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    complete = runner.run(_serve(settings, role))
            except LakehouseError as error:
                if not log.for_people:  # people read the error itself, below
                    _LOG.error("%s did not start: %s", role, error.internal)
                raise
        sys.exit(0 if complete else 1)

    app.command(name=role, help=_HELP[role])(command)
    return app


up_app = _app("up")
gateway_app = _app("gateway")
validatord_app = _app("validatord")
chatd_app = _app("chatd")


async def _serve(config: Config, role: Role) -> bool:
    daemon = Daemon(config, os.environ, role)
    try:
        listener = listen_on(daemon.host, daemon.port)
        host, port = listener.getsockname()[:2]
        await daemon.start()
        await serve(
            daemon.app,
            listener,
            drain=daemon.drain,
            drain_ms=config.session.drain_ms,
            on_ready=_announcement(daemon.stack, f"http://{host}:{port}"),
            limits=DoorLimits(connections_max=connections_max()),
        )
    finally:
        complete = await daemon.close()
    return complete


def _secrets(config: Config) -> tuple[str, ...]:
    """List the secrets that the configuration names, to be cut out of whatever is logged."""
    models = (name for model in config.models.values() for name in model.secret_variables())
    names = {*models, config.chatd.api_key_env, config.validatord.api_key_env, *SECRETS}
    return tuple(os.environ.get(name, "") for name in names if name is not None)


def _announcement(stack: Stack, url: str) -> Callable[[], None]:
    config, role = stack.config, stack.role

    def announce() -> None:
        say(f"lakehouse {role} is listening at {url} (config: {config.source})")
        if role in {"up", "gateway"}:
            say(f"Sessions are logged under {config.path(config.log.path)}")
            say("Try:\n" + _curl(config, url))
            say(f"OpenAI clients: base_url {url}/v1, with a kind or a model as `model`.")
        say(_tracing(stack))
        if role in {"up", "validatord"}:
            _warn_of_missing_tables(config)
            for doubt in doubts_of(stack.catalog, stack.rules):
                say(f"warning: {doubt}", err=True)
        sys.stdout.flush()

    return announce


def _tracing(stack: Stack) -> str:
    if stack.tracer is None:
        return f"Tracing is off: {why_off(os.environ)}."
    destination = stack.tracer.destination
    content = "with" if stack.config.tracing.content else "without"
    return (
        f"Traces go to {destination.traces_url} ({destination.source}), {content} prompts "
        "and outputs"
    )


def _warn_of_missing_tables(config: Config) -> None:
    """Name the tables that are not there yet; a daemon starts without them, and looks again."""
    for name, table in config.tables.items():
        path = config.path(table.path)
        if not path.exists():
            say(
                f"warning: tables.{name}.path: {path} does not exist; until it does, sessions "
                f"that need it end as `table_unavailable`",
                err=True,
            )


def _curl(config: Config, url: str) -> str:
    if config.kinds:
        body = f'{{"kind": "{next(iter(config.kinds))}", "prompt": "…"}}'
        if "airport_event" in config.kinds:
            prompt = "BCN Barcelona: flight VY3901 delayed 25 minutes, late inbound aircraft."
            body = f'{{"kind": "airport_event", "temperature": 0, "prompt": "{prompt}"}}'
    else:
        schema = '{"type": "object", "required": ["city"]}'
        body = f'{{"schema": {schema}, "prompt": "Name a city, as JSON."}}'
    key = ' -H "Authorization: Bearer $KEY"' if config.gateway.api_keys_env else ""
    return f"  curl -s {url}/v1/iterate{key} --json '{body}'"
