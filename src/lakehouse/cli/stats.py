"""`lakehouse stats`: verdicts and rates. An outage is never counted as a bad answer."""

from typing import Annotated

import typer

from lakehouse.cli.filter_options import (
    DaemonOption,
    KindOption,
    ModelOption,
    SinceOption,
    UntilOption,
)
from lakehouse.cli.known_names import check_names
from lakehouse.cli.options import ConfigOption, JsonOption, log_directory, read_config
from lakehouse.cli.table import percent, print_json, print_table
from lakehouse.sessionlog.reading.counts import Stats
from lakehouse.sessionlog.reading.filters import SessionFilter, moment
from lakehouse.sessionlog.reading.stats import stats

stats_app = typer.Typer(add_completion=False, rich_markup_mode=None)

_RATES = ("first-shot rate", "(95 %)", "accepted rate", "(95 %)")
_REPEATED = "repeated by clients"
_COUNTS = ("sessions", "accepted", "first_shot", "max_iter_exhausted", "infra_error")


@stats_app.command(name="stats")
def command(
    context: typer.Context,
    *,
    by: Annotated[
        str,
        typer.Option(
            help="Group by these, comma-separated: model, kind, day, provider, daemon, verdict, "
            "offered (how the first attempt was offered values of tables), door (the API that was "
            "called), client (the program that called), api_key (the name of the caller's key)."
        ),
    ] = "",
    kind: KindOption = None,
    model: ModelOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    daemon: DaemonOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show verdict counts and rates; rates exclude infra_error.

    Where clients sent requests again, it also shows how many sessions those made.

    Example: lakehouse stats --by model,kind --since 2026-11-01
    """
    settings = read_config(context, config)
    where = SessionFilter(
        kind=kind,
        model=model,
        daemon=daemon,
        since=None if since is None else moment(since, name="since"),
        until=None if until is None else moment(until, name="until"),
    )
    dimensions = [name.strip() for name in by.split(",") if name.strip()]
    log = log_directory(settings)
    result = stats(log, by=dimensions, where=where)
    if not result.sessions:
        check_names(settings, log, where)
    if json:
        print_json(result)
        return
    parts = (result.by or ()) if dimensions else ()
    rows = [[*_group(part, dimensions), *_numbers(part)] for part in parts]
    rows.append([*("all" if not i else "" for i in range(len(dimensions))), *_numbers(result)])
    columns = [*dimensions, *_COUNTS, *_RATES]
    if result.repeated:
        columns.append(_REPEATED)
        for row, part in zip(rows, (*parts, result), strict=True):
            row.append(f"{part.repeated} ({percent(part.repeated / part.sessions)})")
    print_table(columns, rows)


def _group(part: Stats, dimensions: list[str]) -> list[object]:
    group = part.group or {}
    return [group.get(name) or "(none)" for name in dimensions]


def _numbers(part: Stats) -> list[object]:
    return [
        *(getattr(part, name) for name in _COUNTS),
        percent(part.first_shot_rate),
        _interval(part.first_shot_interval),
        percent(part.accepted_rate),
        _interval(part.accepted_interval),
    ]


def _interval(bounds: tuple[float, float] | None) -> str:
    return "-" if bounds is None else f"{100 * bounds[0]:.0f} to {100 * bounds[1]:.0f} %"
