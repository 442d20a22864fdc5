"""Lists commands in a help page, each with its first sentence in full."""

from typing import Any, Final

import typer
from typer.core import TyperGroup

_SENTENCE_CHARS_MAX: Final = 1_000


class ListingGroup(TyperGroup):
    """A group whose help folds long lines; Typer's own cuts them off with dots."""

    def summaries(self, ctx: Any) -> list[tuple[str, str]]:
        """Return the name and first sentence of each command, in order."""
        names = self.list_commands(ctx)
        commands = [(name, self.get_command(ctx, name)) for name in names]
        return [
            (name, command.get_short_help_str(_SENTENCE_CHARS_MAX))
            for name, command in commands
            if command is not None
        ]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list; the base class calls it for the help page."""
        with formatter.section("Commands"):
            formatter.write_dl(self.summaries(ctx))


def command_group(about: str) -> typer.Typer:
    """Return an app for a command that has commands of its own."""
    group = typer.Typer(
        cls=ListingGroup,
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
        help=about,
    )
    group.callback()(lambda: None)  # without one, Typer makes a lone command the whole app
    return group
