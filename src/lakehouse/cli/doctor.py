"""`lakehouse doctor`: one line for each thing that must be right, and how to mend it."""

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import typer
from rich.text import Text

from lakehouse.cli.options import ConfigOption, JsonOption, read_config
from lakehouse.cli.table import console, print_json
from lakehouse.compose import Daemon, catalog, key_ring, tracer
from lakehouse.config.settings import Config
from lakehouse.core.chat import ModelStatus
from lakehouse.core.errors import LakehouseError, SetupError
from lakehouse.grounding.settings import TableSettings
from lakehouse.grounding.tables import TableFiles
from lakehouse.sessionlog.disk import free_bytes_required
from lakehouse.tracing.destination import LANGFUSE_URLS, OTLP, without_tracing

doctor_app = typer.Typer(add_completion=False, rich_markup_mode=None)

State = Literal["ok", "warning", "problem"]
_SHARED_FILE_SYSTEMS: Final = ("nfs", "cifs", "smb", "fuse", "overlay", "tmpfs", "9p")


class Check(msgspec.Struct, frozen=True):
    """One thing looked at. `mend` says what to do where it is not `ok`."""

    name: str
    state: State
    detail: str
    mend: str = ""


@doctor_app.command(name="doctor")
def command(
    context: typer.Context,
    *,
    only: Annotated[str, typer.Argument(help="Only checks whose name begins so.")] = "",
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Say what is missing and how to mend it. Exit code 1 if anything is a problem.

    Example: lakehouse doctor
    """
    settings = read_config(context, config)
    found = asyncio.run(_checks(settings, os.environ))
    found = [check for check in found if check.name.startswith(only)]
    if json:
        print_json({"checks": found})
    else:
        out = console()
        for check in found:
            out.print(Text(f"{check.state:>8}  {check.name}: {check.detail}"), soft_wrap=True)
            if check.mend:
                out.print(Text(f"          mend: {check.mend}"), soft_wrap=True)
    raise typer.Exit(int(any(check.state == "problem" for check in found)))


async def _checks(config: Config, environment: Mapping[str, str]) -> list[Check]:
    log = config.path(config.log.path)
    checks = [
        Check("config", "ok", f"{config.source}, {len(config.kinds)} kinds"),
        _guarded("kinds", lambda: f"{len(catalog(config).kinds)} kinds compile"),
        _guarded("keys", lambda: _keys(config, environment)),
        _space(log),
        _file_system(log),
    ]
    if "eatmydata" in environment.get("LD_PRELOAD", ""):
        checks.append(
            Check(
                "log sync",
                "problem",
                "LD_PRELOAD holds eatmydata: fdatasync does nothing",
                "unset LD_PRELOAD; rows would be lost in a power cut",
            )
        )
    checks.append(await _tracing(config, environment))
    checks += [await _table(config, name) for name in config.tables]
    checks += await _daemon(config, environment)
    return checks


def _guarded(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", look())
    except LakehouseError as error:
        return Check(name, "problem", error.internal, error.hint)


async def _guarded_async(name: str, look: Callable[[], Awaitable[str]]) -> Check:
    try:
        return Check(name, "ok", await look())
    except LakehouseError as error:
        return Check(name, "problem", error.internal, error.hint)


def _keys(config: Config, environment: Mapping[str, str]) -> str:
    ring = key_ring(config, environment)
    return "none are needed on loopback" if ring is None else "set and well-formed"


def _space(log: Path) -> Check:
    usage = shutil.disk_usage(_existing(log))
    needed = free_bytes_required(usage.total)
    detail = f"{usage.free >> 20} MiB free, {needed >> 20} MiB needed"
    if usage.free < needed:
        return Check("log space", "problem", detail, "free some space, or move log.path")
    return Check("log space", "ok", detail)


def _file_system(log: Path) -> Check:
    """Name the file system: appends of several processes are only safe on a local one."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return Check("log file system", "ok", "not told by this system")
    place = _existing(log).resolve()
    found = [line.split()[1:3] for line in mounts.read_text("utf-8", "replace").splitlines()]
    around = [(len(point), kind) for point, kind in found if place.is_relative_to(point)]
    kind = max(around, default=(0, "unknown"))[1]
    if kind.startswith(_SHARED_FILE_SYSTEMS):
        return Check(
            "log file system",
            "warning",
            f"{kind} at {log}",
            "put the log on a local disk: appends there are atomic, and survive a power cut",
        )
    return Check("log file system", "ok", kind)


async def _table(config: Config, name: str) -> Check:
    """Load a table with every column that a kind asks of it."""

    async def load() -> str:
        known = catalog(config)
        rules = [rule for kind in known.kinds.values() for rule in kind.rules]
        path = config.path(config.tables[name].path)
        others = {
            other: TableSettings(str(config.path(table.path)))
            for other, table in config.tables.items()
        }
        if not path.exists():
            raise SetupError(f"{path} is not there.", hint=f"correct tables.{name}.path")
        tables = TableFiles(others, rules)
        digests: dict[str, str] = {}
        for kind in known.kinds.values():
            if name in kind.tables():
                digests |= (await tables.snapshot(kind)).digests
        tables.close()
        return digests.get(name, f"{path}; no kind reads it by grounding")

    return await _guarded_async(f"table {name}", load)


async def _tracing(config: Config, environment: Mapping[str, str]) -> Check:
    """Send a test span, and say what came back."""
    try:
        found = tracer(config, environment, "doctor")
    except SetupError as error:
        return Check("tracing", "problem", error.internal, error.hint)
    if found is None:
        return Check("tracing", "ok", f"off: neither {LANGFUSE_URLS[0]} nor {OTLP}ENDPOINT is set")
    destination = found.destination
    started_s = time.monotonic()
    try:
        trace_id, done = await found.probe()
    finally:
        await found.close()
    where = f"{destination.traces_url} ({destination.source})"
    if done.sent:
        taken_ms = (time.monotonic() - started_s) * 1000
        detail = f"{where} took a test span in {taken_ms:.0f} ms, trace {trace_id}"
        return Check("tracing", "ok", detail)
    mend = f"start the receiver, or correct {destination.source}"
    if "answered 40" in done.trouble:
        mend = f"check the keys and the path of {destination.source}"
    return Check("tracing", "problem", f"{where}: {done.trouble}", mend)


async def _daemon(config: Config, environment: Mapping[str, str]) -> list[Check]:
    """Open the log and ask every model's state, as `lakehouse up` would."""
    try:
        daemon = Daemon(config, without_tracing(environment), "up")
    except LakehouseError as error:
        return [Check("log", "problem", error.internal, error.hint)]
    checks = [Check("log", "ok", f"{config.path(config.log.path)} takes rows")]
    try:
        for model in await daemon.models():
            detail = f"{model.provider}, {model.model}: {model.state}"
            if model.detail:
                detail += f" ({model.detail})"
            state: State = "ok" if model.state in {"ready", "loading"} else "problem"
            checks.append(Check(f"model {model.name}", state, detail, _mend(model)))
    finally:
        await daemon.close()
    return checks


def _mend(model: ModelStatus) -> str:
    if model.state == "missing" and model.provider == "llama_cpp":
        return "lakehouse models pull smollm2, or give the path of a GGUF file"
    if model.state == "missing":
        return f"serve {model.model!r} at its endpoint, or correct models.{model.name}.model"
    if model.state == "unreachable":
        return f"start the endpoint, or correct models.{model.name}.base_url"
    return ""


def _existing(path: Path) -> Path:
    """Give the path, or the nearest directory above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
