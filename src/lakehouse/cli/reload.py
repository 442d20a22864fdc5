"""`lakehouse reload`: has a running gateway read its configuration anew."""

import asyncio
import os
from typing import Annotated

import typer

from lakehouse.cli.gateway import gateway_caller
from lakehouse.cli.options import ApiKeyOption, ConfigOption, read_config
from lakehouse.cli.terminal import say
from lakehouse.core.config_state import ConfigState

reload_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@reload_app.command(name="reload")
def command(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option(help="URL of the gateway; default: gateway.listen.")
    ] = None,
    api_key_env: ApiKeyOption = None,
    config: ConfigOption = None,
) -> None:
    """Have a running gateway read its configuration anew, without losing a request.

    Kinds, schemas, tables, models, limits and API keys change; addresses and the log do not. Exit
    code 2: the configuration is invalid, and what was served before still is.

    Example: lakehouse reload
    """
    at = url or f"http://{read_config(context, config).gateway.listen}"
    state = asyncio.run(_reloaded(at, api_key_env))
    say(f"The gateway at {at} serves the configuration {state.digest}.")


async def _reloaded(url: str, api_key_env: str | None) -> ConfigState:
    caller = gateway_caller(url, api_key_env, os.environ)
    try:
        return await caller.reload()
    finally:
        await caller.close()
