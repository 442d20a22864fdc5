"""`lakehouse keys new`: both halves of an API key, each shown once."""

from typing import Annotated

import typer

from lakehouse.cli.listing import ListingGroup
from lakehouse.cli.terminal import say
from lakehouse.gateway.auth import new_key

keys_app = typer.Typer(
    cls=ListingGroup,
    add_completion=False,
    rich_markup_mode=None,
    help="Make API keys.",
    no_args_is_help=True,
)


@keys_app.callback()
def keys() -> None:
    """Make API keys."""


@keys_app.command()
def new(
    name: Annotated[
        str, typer.Argument(help="Who the key is for: letters, digits, '.', '_', '-'.")
    ],
) -> None:
    """Make a key: the caller's half and the gateway's half.

    Example: lakehouse keys new billing
    """
    key = new_key(name)
    say("The caller sends (shown only now):")
    say(f"  Authorization: Bearer {key.secret}")
    say("The gateway's environment holds (several are joined with commas):")
    say(f"  LAKEHOUSE_API_KEYS={key.entry}")
    say('and its lakehouse.toml says:  [gateway] api_keys_env = "LAKEHOUSE_API_KEYS"')
