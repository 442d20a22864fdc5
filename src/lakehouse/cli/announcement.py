"""What a daemon says on the terminal when it serves."""

import os

from lakehouse.cli.doubts import doubts_of
from lakehouse.cli.terminal import say
from lakehouse.config.settings import Config
from lakehouse.stack import Stack
from lakehouse.tracing.destination import why_off
from lakehouse.ui.address import BASE


def announce(stack: Stack, url: str, *, workers: int = 1) -> None:
    """Say where a daemon listens, how to ask it, and what of its configuration is doubtful."""
    config, role = stack.config, stack.role
    several = f", {workers} workers" if workers > 1 else ""
    say(f"lakehouse {role} is listening at {url} (config: {config.source}{several})")
    if role in {"up", "gateway"}:
        say(f"Sessions are logged under {config.path(config.log.path)}")
        say("Try:\n" + _curl(config, url))
        if config.ui.enabled:
            say(f"Look at the sessions in a browser: {url}{BASE}")
        say(f"OpenAI clients: base_url {url}/v1, with a kind or a model as `model`.")
    say(_tracing(stack))
    if role in {"up", "validatord"}:
        _warn_of_missing_tables(config)
        for doubt in doubts_of(stack.catalog, stack.rules):
            say(f"warning: {doubt}", err=True)


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
    key = ' -H "Authorization: Bearer $KEY"' if config.has_keys else ""
    return f"  curl -s {url}/v1/iterate{key} --json '{body}'"
