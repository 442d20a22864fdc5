"""`lakehouse kinds`: lists the configured kinds."""

import typer

from lakehouse.cli.options import ConfigOption, JsonOption, read_config
from lakehouse.cli.table import print_json, print_table
from lakehouse.cli.terminal import say
from lakehouse.core.kind import GroundingRule, Kind, mode_of
from lakehouse.stack import catalog

kinds_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@kinds_app.command(name="kinds")
def command(
    context: typer.Context, *, json: JsonOption = False, config: ConfigOption = None
) -> None:
    """List the configured kinds.

    Example: lakehouse kinds
    """
    known = catalog(read_config(context, config)).kinds
    kinds = [kind for _, kind in sorted(known.items())]
    if json:
        print_json({"kinds": kinds})
        return
    columns = ("kind", "model", "attempts", "grounded in", "rules", "digest")
    print_table(columns, [_cells(kind) for kind in kinds])
    if not kinds:
        say("No kind is configured. `lakehouse init DIRECTORY` writes an example.", err=True)


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
