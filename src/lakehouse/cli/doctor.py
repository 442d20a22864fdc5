"""`lakehouse doctor`: one line per check, and how to fix what fails."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from lakehouse.cli.console import console
from lakehouse.cli.doctor_candidates import candidate_checks
from lakehouse.cli.doctor_check import Check, State, skipped
from lakehouse.cli.doctor_kinds import applied_checks, model_checks
from lakehouse.cli.doctor_log import log_checks
from lakehouse.cli.doctor_openai import openai_checks
from lakehouse.cli.doctor_production import production_checks
from lakehouse.cli.doubts import doubts_of
from lakehouse.cli.options import ConfigOption, JsonOption, read_config
from lakehouse.cli.table import print_json
from lakehouse.config.api_keys import key_ring
from lakehouse.config.catalog import catalog
from lakehouse.config.columns import empty_columns, misfits
from lakehouse.config.rules import table_files
from lakehouse.config.settings import Config
from lakehouse.config.tracing import tracer
from lakehouse.core.chat import ModelStatus
from lakehouse.core.errors import InfraError, LakehouseError, SetupError, TableUnavailable
from lakehouse.core.kind import Kind
from lakehouse.core.ports import TableSnapshot
from lakehouse.core.suggestion import did_you_mean
from lakehouse.core.wording import counted
from lakehouse.engine.task import Catalog
from lakehouse.grounding.tables import TableFiles
from lakehouse.providers.provider import ModelSettings
from lakehouse.providers.registry import PROVIDERS
from lakehouse.stack import Stack
from lakehouse.tracing.destination import why_off, without_tracing

doctor_app = typer.Typer(add_completion=False, rich_markup_mode=None)

_NAME_IT: Final = (
    "correct the keyword, pointer or $name; or name the member under `properties` of the schema"
)


@doctor_app.command(name="doctor")
def command(
    context: typer.Context,
    *,
    only: Annotated[str, typer.Argument(help="Run only checks whose names start with this.")] = "",
    production: Annotated[
        bool, typer.Option("--production", help="Also check what production needs.")
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Report what is missing and how to fix it.

    Exit code 1 if anything is a problem, or was skipped because of one. With --production also
    checks keys, the address, models, the log's disk and rights, limits and the clock; run it on
    the machine and as the user that the daemon has.

    Example: lakehouse doctor --production
    """
    settings = read_config(context, config)
    found = asyncio.run(_checks(settings, os.environ))
    if production:
        found += production_checks(settings)
    names = [check.name for check in found]
    found = [check for check in found if check.name.startswith(only)]
    if not found:
        raise SetupError(
            f"No check starts with {only!r}{did_you_mean(only, names)}; "
            f"the checks are {', '.join(names)}."
        )
    if json:
        print_json({"checks": found})
    else:
        out = console()
        for check in found:
            out.print(Text(f"{check.state:>8}  {check.name}: {check.detail}"), soft_wrap=True)
            if check.why:
                out.print(Text(f"          why: {check.why}"), soft_wrap=True)
            if check.fix:
                out.print(Text(f"          fix: {check.fix}"), soft_wrap=True)
    raise typer.Exit(int(any(check.state in {"problem", "skipped"} for check in found)))


async def _checks(config: Config, environment: Mapping[str, str]) -> list[Check]:
    log = config.path(config.log.path)
    kinds, known = _kinds(config)
    made: list[TableFiles] = []
    rules = _after(kinds, "rules", lambda: _rules(config, known, made))
    doubts = doubts_of(known, made[0].rules if made else {}) if known is not None else []
    keys = _guarded("keys", lambda: _keys(config, environment))
    checks = [
        Check("config", "ok", f"{config.source}, {counted(len(config.kinds), 'kind')}"),
        kinds,
        *(Check("checks", "warning", doubt, _NAME_IT) for doubt in doubts),
        rules,
        *openai_checks(config),
        keys,
        *log_checks(log),
    ]
    if "eatmydata" in environment.get("LD_PRELOAD", ""):
        checks.append(
            Check(
                "log sync",
                "problem",
                "LD_PRELOAD contains eatmydata: fdatasync does nothing",
                "unset LD_PRELOAD; rows would be lost in a power cut",
            )
        )
    checks.append(await _tracing(config, environment))
    broken = next((check.name for check in (kinds, rules) if check.state == "problem"), None)
    if known is None or broken is not None:
        checks += [skipped(f"table {name}", broken or kinds.name) for name in config.tables]
    else:
        checks += await _tables(config, known, made[0])
        models = await model_checks(known)
        broken = next((check.name for check in models if check.state == "problem"), None)
        checks += [*models, *applied_checks(log, known, made[0].rules)]
    if keys.state == "problem":
        broken = broken or keys.name
    return checks + await _daemon(config, environment, broken)


def _guarded(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", look())
    except LakehouseError as error:
        return Check(name, "problem", error.internal, error.hint)


def _after(needed: Check, name: str, look: Callable[[], str]) -> Check:
    return _guarded(name, look) if needed.state == "ok" else skipped(name, needed.name)


def _kinds(config: Config) -> tuple[Check, Catalog | None]:
    try:
        known = catalog(config)
    except LakehouseError as error:
        return Check("kinds", "problem", error.internal, error.hint), None
    return Check("kinds", "ok", f"{counted(len(known.kinds), 'kind')} can be used"), known


def _rules(config: Config, known: Catalog | None, made: list[TableFiles]) -> str:
    """Prepare the SQL rules, try those that read no table, and keep the tables in `made`."""
    assert known is not None
    made.append(table_files(known.kinds, known.schemas, config))
    count = sum(map(len, made[0].rules.values()))
    return f"{counted(count, 'SQL rule')} can be prepared"


def _keys(config: Config, environment: Mapping[str, str]) -> str:
    ring = key_ring(config, environment)
    return "not needed on loopback" if ring is None else "set and well-formed"


async def _tables(config: Config, known: Catalog, tables: TableFiles) -> list[Check]:
    """Load the tables with every column that a kind asks of them, and try the rules on them."""
    broken: list[Check] = []
    offered: list[Check] = []
    digests: dict[str, str] = {}
    faults: dict[str, Check] = {}
    try:
        for kind in known.kinds.values():
            try:
                snapshot = await tables.snapshot(kind)
                digests |= snapshot.digests
                broken += _misfits(kind, known, snapshot)
                schema, model = known.schemas.of(kind), config.models[kind.model]
                offered += candidate_checks(kind, schema, model, snapshot)
            except TableUnavailable as error:
                # A rule over several tables is told under the first: once is enough.
                name = error.table.partition(", ")[0]
                fix = f"correct the columns that kinds.{kind.name} uses, or tables.{name}.path"
                faults.setdefault(name, Check(f"table {name}", "problem", error.internal, fix))
            except InfraError as error:
                fix = f"correct `sql` under [[kinds.{kind.name}.rules]]"
                told = f"kinds.{kind.name}: {error.public}"
                broken.append(Check("rules on tables", "problem", told, fix))
    finally:
        tables.close()
    tables_told = [
        faults.get(name) or _table(name, config.path(table.path), digests.get(name), faults)
        for name, table in config.tables.items()
    ]
    return [*broken, *tables_told, *offered]


def _misfits(kind: Kind, known: Catalog, snapshot: TableSnapshot) -> list[Check]:
    schema = known.schemas.get(bytes(kind.schema))
    fix = "use a column of the schema's type, or correct the schema"
    empty = empty_columns(kind, snapshot)
    found = [Check("columns", "problem", told, fix) for told in misfits(kind, schema, snapshot)]
    if empty:
        told = f"{', '.join(empty)}: empty, so kinds.{kind.name} rejects every answer that has one"
        found.append(Check("columns", "warning", told, "fill the table, or correct its path"))
    return found


def _table(name: str, path: Path, digest: str | None, faults: Mapping[str, Check]) -> Check:
    if digest is not None:
        return Check(f"table {name}", "ok", digest)
    if not path.exists():
        fix = f"correct tables.{name}.path"
        return Check(f"table {name}", "problem", f"{path} does not exist.", fix)
    if faults:
        return skipped(f"table {name}", next(iter(faults.values())).name)
    return Check(f"table {name}", "ok", f"{path}; no kind uses it")


async def _tracing(config: Config, environment: Mapping[str, str]) -> Check:
    """Send a test span, and say what came back."""
    try:
        found = tracer(config, environment, "doctor")
    except SetupError as error:
        return Check("tracing", "problem", error.internal, error.hint)
    if found is None:
        return Check("tracing", "ok", f"off: {why_off(environment)}")
    destination = found.destination
    started_s = time.monotonic()
    try:
        trace_id, done = await found.probe()
    finally:
        await found.close()
    where = f"{destination.traces_url} ({destination.source})"
    if done.sent:
        taken_ms = (time.monotonic() - started_s) * 1000
        detail = f"{where} accepted a test span in {taken_ms:.0f} ms, trace {trace_id}"
        return Check("tracing", "ok", detail)
    fix = f"start the receiver, or correct {destination.source}"
    if "answered 40" in done.trouble:
        fix = f"check the keys and the path of {destination.source}"
    return Check("tracing", "problem", f"{where}: {done.trouble}", fix)


async def _daemon(
    config: Config, environment: Mapping[str, str], broken: str | None
) -> list[Check]:
    """Make a daemon, which opens the log, and ask every model's state, as `lakehouse up` would."""
    names = [f"model {name}" for name in config.models]
    if broken is not None:
        return [skipped(name, broken) for name in ("daemon", *names)]
    try:
        stack = Stack(config, without_tracing(environment), "up")
    except LakehouseError as error:
        failed = Check("daemon", "problem", error.internal, error.hint)
        return [failed, *(skipped(name, failed.name) for name in names)]
    log = config.path(config.log.path)
    checks = [Check("daemon", "ok", f"`lakehouse up` can start; {log} is writable")]
    try:
        for model in await stack.chat.models():
            detail = f"{model.provider}, {model.model}: {model.state}"
            told = _told(model, config)
            if told:
                detail += f" ({told})"
            state: State = "ok" if model.state in {"ready", "loading"} else "problem"
            fix = PROVIDERS.get(model.provider, ModelSettings).fix(model)
            checks.append(Check(f"model {model.name}", state, detail, fix))
    finally:
        await stack.close()
    return checks


def _told(model: ModelStatus, config: Config) -> str | None:
    """Return what `ready` means for a model of this machine, which only a daemon loads."""
    own = config.chatd.url is None and model.state == "ready"
    return (config.models[model.name].readiness() if own else None) or model.detail
