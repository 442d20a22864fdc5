"""`lakehouse kinds`: lists the configured kinds, or shows what one of them, or a type, means."""

import re
from typing import Annotated, Final

import msgspec
import typer

from lakehouse.artifact_models.declared import declared_type
from lakehouse.cli.listing import ListingGroup
from lakehouse.cli.options import ConfigOption, JsonOption, read_config
from lakehouse.cli.table import print_json, print_table
from lakehouse.cli.terminal import say, say_lines
from lakehouse.config.catalog import catalog
from lakehouse.config.kind_text import toml_of, toml_of_kind
from lakehouse.core.errors import SetupError
from lakehouse.core.kind import GroundingRule, Kind, mode_of
from lakehouse.core.suggestion import did_you_mean

kinds_app = typer.Typer(
    cls=ListingGroup, add_completion=False, rich_markup_mode=None, invoke_without_command=True
)

_WORD: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")


@kinds_app.callback()
def command(
    context: typer.Context, *, json: JsonOption = False, config: ConfigOption = None
) -> None:
    """List the configured kinds.

    Example: lakehouse kinds
    """
    if context.invoked_subcommand is not None:
        return
    known = catalog(read_config(context, config)).kinds
    kinds = [kind for _, kind in sorted(known.items())]
    if json:
        print_json({"kinds": kinds})
        return
    columns = ("kind", "model", "attempts", "grounded in", "rules", "digest")
    print_table(columns, [_cells(kind) for kind in kinds])
    if not kinds:
        say("No kind is configured. `lakehouse init DIRECTORY` writes an example.", err=True)


@kinds_app.command()
def show(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="A configured kind, or a Python type: package.module:Type.")
    ],
    *,
    toml: Annotated[
        bool, typer.Option("--toml", help="Print TOML for lakehouse.toml (this is the default).")
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show what a kind or a Python type means: its schema, grounding and rules.

    Example: lakehouse kinds show shop.events:Event --toml
    """
    if toml and json:
        raise SetupError("--toml and --json exclude each other.", hint="Leave one of them out.")
    if ":" in name:
        made = declared_type(name)
        words = _WORD.findall(name.rpartition(":")[2])
        text = toml_of(made, "_".join(words).lower() or "kind")
        parts = {"name": made.name, "schema": msgspec.Raw(made.schema)}
        parts |= {"grounding": made.grounding, "rules": made.rules}
    else:
        settings = read_config(context, config)
        if name not in settings.kinds:
            raise SetupError(
                f"{name!r} is no configured kind{did_you_mean(name, settings.kinds)}; "
                f"there is {', '.join(map(repr, settings.kinds)) or 'none'}.",
                hint="A Python type is written package.module:Type.",
            )
        kind = catalog(settings).kinds[name]
        text = toml_of_kind(kind, settings.kinds[name])
        parts = {"name": name, "schema": kind.schema}
        parts |= {"grounding": kind.grounding, "rules": kind.rules}
    if json:
        print_json(parts)
        return
    say_lines([text])


def _cells(kind: Kind) -> list[object]:
    grounded = [
        f"{rule.path}: {rule.column or rule.match}{_offered(rule, kind)}" for rule in kind.grounding
    ]
    return [
        kind.name,
        kind.model,
        kind.max_iterations,
        ", ".join(grounded) or "-",
        len(kind.rules),
        kind.digest[: len("sha256:") + 12],
    ]


def _offered(rule: GroundingRule, kind: Kind) -> str:
    """Return what is set of a rule's candidates; a quote rule has only what it sets itself."""
    mode = rule.candidates if rule.column is None else mode_of(rule, kind)
    said = [] if mode in {None, "auto"} else [f"candidates {mode}"]
    said += ["candidates required"] if rule.candidates_required else []
    return f" ({', '.join(said)})" if said else ""
