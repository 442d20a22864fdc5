"""What `lakehouse doctor --production` asks beyond `doctor`: is it safe to let traffic in?

A problem loses rows, gives answers that no model made, or lets others in. A warning is something
to decide knowingly. Secrets in the file need no check: a configuration with one is refused.
"""

import ctypes
import os
import resource
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lakehouse.cli.doctor_check import Check, State
from lakehouse.cli.doctor_log import existing, file_system, is_unsafe
from lakehouse.config.checks import LOOPBACK
from lakehouse.config.load import BUILT_IN
from lakehouse.config.settings import Config
from lakehouse.core.errors import LakehouseError
from lakehouse.core.limits import DESCRIPTORS_RESERVED
from lakehouse.sessionlog.reading.compacted import read_identity

_FREE_SHARE_MIN: Final = 0.1
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_TIMEX_BYTES: Final = 256  # the kernel's `struct timex` has 208
_CLOCK_ERROR: Final = 5  # TIME_ERROR: nothing keeps the clock right
_KEYS_FIX: Final = "lakehouse keys new NAME, and gateway.api_keys_env or api_keys_file"


def production_checks(config: Config) -> Iterator[Check]:
    """Check what a configuration and this machine need before others depend on them."""
    log = config.path(config.log.path)
    yield _keys(config)
    yield _address(config)
    yield from _models(config)
    yield from _budgets(config)
    yield _durability(config)
    yield _disk(log)
    yield _space(log)
    yield _table(config, log)
    yield _descriptors(config)
    yield _clock()
    yield from _rights(config, log)
    if config.tracing.content:
        yield _check(
            "tracing content",
            "warning",
            "prompts and outputs are sent to the receiver of traces",
            "all who read traces read them, and `lakehouse log forget` does not reach them",
            "tracing.content = false, unless that is wanted",
        )


def _check(name: str, state: State, detail: str, why: str = "", fix: str = "") -> Check:
    return Check(f"production {name}", state, detail, fix, why)


def _keys(config: Config) -> Check:
    if config.has_keys:
        return _check("keys", "ok", "callers need an API key")
    return _check(
        "keys",
        "problem",
        "no API keys are configured",
        "any program that reaches the address, by a proxy too, may ask, read the log and reload",
        _KEYS_FIX,
    )


def _address(config: Config) -> Check:
    listen = config.gateway.listen
    if listen.rpartition(":")[0].strip("[]") in LOOPBACK:
        return _check("address", "ok", f"{listen}: only this machine reaches it without a proxy")
    return _check(
        "address",
        "warning",
        f"{listen} is reached from other machines without TLS",
        "keys and prompts could be read on the way",
        "let a proxy with TLS stand before it (docs/how-to/put-it-behind-a-proxy.md), or keep the "
        "network closed",
    )


def _models(config: Config) -> Iterator[Check]:
    if config.source == BUILT_IN:
        yield _check(
            "configuration",
            "problem",
            "there is no lakehouse.toml: these are built-in defaults",
            "they are for a first try",
            "lakehouse init, or --config FILE",
        )
    for name, model in config.models.items():
        unfit = model.unfit()
        if unfit is not None:
            yield _check(
                f"model {name}",
                "problem",
                unfit,
                "every session that asks it is judged on such answers",
                f"put another model into models.{name}: docs/how-to/use-an-openai-endpoint.md",
            )
        else:
            yield _check(f"model {name}", "ok", model.model)


def _budgets(config: Config) -> Iterator[Check]:
    """Each kind's answers need an end, and each model's waits must fit into a session."""
    for name, kind in config.kinds.items():
        model = config.models[kind.model or next(iter(config.models))]
        if kind.max_tokens is None and model.max_tokens is None:
            yield _check(
                f"kind {name}",
                "warning",
                "no max_tokens limits its answers",
                "a model that repeats itself writes, and costs, until the deadline",
                f"max_tokens under [kinds.{name}] or its model",
            )
    deadline_ms = config.session.deadline_ms
    for name, model in config.models.items():
        if model.first_byte_timeout_ms >= deadline_ms:
            yield _check(
                f"model {name} waits",
                "warning",
                f"first_byte_timeout_ms, {model.first_byte_timeout_ms}, is no shorter than "
                f"session.deadline_ms, {deadline_ms}",
                "one call that hangs takes the whole session: nothing is left for a retry",
                f"a shorter first_byte_timeout_ms under [models.{name}]",
            )


def _durability(config: Config) -> Check:
    if config.log.durability == "commit":
        return _check("durability", "ok", "a row is on the disk before its reply")
    return _check(
        "durability",
        "problem",
        'log.durability is "os"',
        "a power cut takes rows whose replies were sent",
        'log.durability = "commit"',
    )


def _disk(log: Path) -> Check:
    kind = file_system(log)
    if kind is None or not is_unsafe(kind):
        return _check("log disk", "ok", kind or "this system does not report its kind")
    return _check(
        "log disk",
        "problem",
        f"{log} is on {kind}",
        "rows are lost with the container or the memory, or torn by appends that are not atomic",
        "put log.path on a local disk or a volume",
    )


def _space(log: Path) -> Check:
    usage = shutil.disk_usage(existing(log))
    share = usage.free / usage.total
    detail = f"{share:.0%} of the log's disk is free"
    if share >= _FREE_SHARE_MIN:
        return _check("log space", "ok", detail)
    why = "when it is full no session is taken on"
    return _check("log space", "warning", detail, why, "free some, or move log.path")


def _table(config: Config, log: Path) -> Check:
    try:
        identity = read_identity(log)
    except LakehouseError as error:
        return _check("log table", "problem", error.internal, fix=error.hint)
    place = identity.table if identity is not None else config.log.table
    if place is None or "://" not in place:
        where = "in no table yet" if identity is None else f"compacted into {place}"
        return _check(
            "log table",
            "warning",
            f"the log is {where}, and its only copy is on this machine",
            "the disk fills up, and rows are lost with it",
            "log.table in an object store and `lakehouse log compact` by a timer, or copies of "
            "the directory: docs/how-to/size-and-back-up.md",
        )
    if identity is None:
        why = "the disk fills up, and rows are lost with it"
        fix = "run `lakehouse log compact` by a timer"
        return _check("log table", "warning", f"nothing was compacted into {place} yet", why, fix)
    return _check("log table", "ok", f"compacted into {place}")


def _descriptors(config: Config) -> Check:
    """A daemon raises its soft limit to the hard one, which therefore counts."""
    needed = 2 * config.gateway.sessions_at_once_max + DESCRIPTORS_RESERVED
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard in {resource.RLIM_INFINITY, -1} or hard >= needed:
        told = "no limit" if hard in {resource.RLIM_INFINITY, -1} else f"{hard} of {needed} needed"
        return _check("descriptors", "ok", told)
    return _check(
        "descriptors",
        "problem",
        f"{hard} of {needed} needed",
        f"gateway.sessions_at_once_max is {config.gateway.sessions_at_once_max}, and a session may "
        "hold two connections: callers are turned away before that",
        f"raise the limit (LimitNOFILE, ulimit -n, --ulimit) to {needed}, or lower "
        "sessions_at_once_max",
    )


def _clock() -> Check:
    state = _clock_state()
    if state == _CLOCK_ERROR:
        return _check(
            "clock",
            "warning",
            "the kernel says that nothing keeps the clock right",
            "rows are found by their time, and object stores refuse requests with a wrong one",
            "run a time service: systemd-timesyncd or chrony, on the host of a container",
        )
    told = "this system does not tell its state" if state is None else "kept right"
    return _check("clock", "ok", told)


def _clock_state() -> int | None:
    """Ask Linux for the clock's state, and change nothing; None where that is not possible."""
    if sys.platform != "linux":
        return None
    state: int = ctypes.CDLL(None, use_errno=True).adjtimex(
        ctypes.create_string_buffer(_TIMEX_BYTES)
    )
    return state if state >= 0 else None


def _rights(config: Config, log: Path) -> Iterator[Check]:
    if os.geteuid() == 0:
        yield _check(
            "user",
            "warning",
            "this is root",
            "a fault in a daemon of root's is a fault in the machine",
            "run the daemon, and this command, as a user of its own",
        )
    if log.exists() and log.stat().st_mode & _OTHERS:
        yield _check(
            "log rights",
            "warning",
            f"others may look into {log}",
            "rows hold prompts and answers",
            f"chmod go-rwx {log}",
        )
    files = [Path(config.source), config.path(config.gateway.api_keys_file or "")]
    for file in files:
        if file.is_file() and file.stat().st_mode & _OTHERS_WRITE:
            yield _check(
                "file rights",
                "problem",
                f"others may change {file}",
                "with it they decide what is accepted, and who may ask",
                f"chmod go-w {file}",
            )
