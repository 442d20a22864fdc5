"""`lakehouse keys new`: prints both halves of an API key, once."""

from typing import Annotated

import typer

from lakehouse.cli.listing import command_group
from lakehouse.cli.terminal import say
from lakehouse.gateway.auth import new_key

keys_app = command_group("Create API keys.")


@keys_app.command()
def new(
    name: Annotated[
        str, typer.Argument(help="Name of the key's owner: letters, digits, '.', '_', '-'.")
    ],
) -> None:
    """Create a key: the caller's half and the gateway's half.

    Example: lakehouse keys new billing
    """
    key = new_key(name)
    say("The caller sends (not shown again):")
    say(f"  Authorization: Bearer {key.secret}")
    say("Set in the gateway's environment (separate several entries with commas):")
    say(f"  LAKEHOUSE_API_KEYS={key.entry}")
    say('and in its lakehouse.toml:  [gateway] api_keys_env = "LAKEHOUSE_API_KEYS"')
