"""Checks between fields of a configuration, beyond each field's type."""

import re
from typing import Final

from lakehouse.config.model_checks import ErrorAt, check_model, check_range, check_sampling
from lakehouse.config.settings import Config, KindSettings
from lakehouse.core.integers import whole_number
from lakehouse.core.kind import GroundingRule
from lakehouse.core.limits import (
    DEADLINE_MS_MAX,
    ITERATIONS_MAX,
    LOAD_BUDGET_MS_MAX,
    STREAM_WAIT_MS_MAX,
)
from lakehouse.core.suggestion import did_you_mean
from lakehouse.core.wording import shown
from lakehouse.grounding.rules import fault_of, required_fault, split_reference
from lakehouse.tabular.formats import FORMATS, leaves_types
from lakehouse.transport.origins import origin_fault

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # a drive of one letter is none


def check(config: Config, error: ErrorAt) -> None:
    """Check a whole configuration.

    Raises:
        SetupError: Made by `error(field, message)`, for the first violation.
    """
    for name, model in config.models.items():
        check_model(f"models.{name}", model, error)
    for name, table in config.tables.items():
        if table.types and not leaves_types(table.path):
            untyped = " and ".join(one.name for one in FORMATS if not one.typed)
            raise error(
                f"tables.{name}.types",
                f"{table.path} has types of its own: only {untyped} needs them",
            )
    for name, kind in config.kinds.items():
        if name in config.models:
            raise error(
                f"kinds.{name}",
                "has the name of a model; OpenAI clients name either in `model`, so the names must "
                "differ",
            )
        _check_kind(f"kinds.{name}", kind, config, error)
    for section in ("gateway", "chatd", "validatord"):
        listen = getattr(config, section).listen
        if listen is not None:
            _check_listen(section, listen, config, error)
    _check_paths(config, error)
    check_range("session.deadline_ms", config.session.deadline_ms, 1, DEADLINE_MS_MAX, error)
    check_range("session.max_iterations", config.session.max_iterations, 1, ITERATIONS_MAX, error)
    check_range(
        "session.load_budget_ms", config.session.load_budget_ms, 0, LOAD_BUDGET_MS_MAX, error
    )
    check_range("session.drain_ms", config.session.drain_ms, 0, 3_600_000, error)
    for index, origin in enumerate(config.gateway.allowed_origins):
        fault = origin_fault(origin)
        if fault is not None:
            raise error(f"gateway.allowed_origins[{index}]", f"is {origin!r}; it {fault}")
    check_range(
        "gateway.sessions_at_once_max", config.gateway.sessions_at_once_max, 1, 100_000, error
    )
    stream_wait_ms = config.gateway.openai.stream_wait_ms
    check_range("gateway.openai.stream_wait_ms", stream_wait_ms, 0, STREAM_WAIT_MS_MAX, error)


def _check_paths(config: Config, error: ErrorAt) -> None:
    paths: dict[str, str | None] = {"log.path": config.log.path}
    for name, model in config.models.items():
        paths |= {f"models.{name}.{path}": getattr(model, path) for path in model.PATHS}
    paths |= {f"tables.{name}.path": table.path for name, table in config.tables.items()}
    paths |= {f"kinds.{name}.schema": kind.schema for name, kind in config.kinds.items()}
    for field, path in paths.items():
        if path is not None and _URL.match(path):
            raise error(field, f"is {shown(path)}, a URL; it must be a local path")
    table_uri = config.log.table
    if table_uri is not None and table_uri.startswith("file:") and table_uri[5:8] != "///":
        raise error(
            "log.table", f"is {shown(table_uri)}; file:// must be followed by an absolute path"
        )


def listen_address(listen: str) -> tuple[str, int]:
    """Split `host:port` (`[::1]:4110` for IPv6).

    Raises:
        ValueError: It has another form.
    """
    host, colon, port = listen.rpartition(":")
    number = whole_number(port, 65_535)
    bracketed = host.startswith("[") and host.endswith("]")
    name = host[1:-1] if bracketed else host
    if not colon or not name or number is None or bracketed != (":" in name) or {*name} & {*"[]"}:
        raise ValueError(listen)
    return name, number


def _check_kind(field: str, kind: KindSettings, config: Config, error: ErrorAt) -> None:
    if (kind.schema is None) == (kind.python is None):
        raise error(f"{field}.schema", "give exactly one of `schema` (a file) and `python`")
    if kind.model is not None and kind.model not in config.models:
        near = did_you_mean(kind.model, config.models)
        raise error(
            f"{field}.model",
            f"is {kind.model!r}{near}; configured models: {', '.join(config.models)}",
        )
    check_range(f"{field}.max_iterations", kind.max_iterations, 1, ITERATIONS_MAX, error)
    check_sampling(field, kind.sampling(), error)
    for index, rule in enumerate(kind.grounding):
        place = f"{field}.grounding[{index}]"
        _check_grounding(place, rule, config, error)
        if rule.candidates_required:
            fault = required_fault(rule.candidates or kind.candidates)
            if fault is not None:
                raise error(f"{place}.candidates_required", fault)


def _check_grounding(field: str, rule: GroundingRule, config: Config, error: ErrorAt) -> None:
    fault = fault_of(rule)
    if fault is not None:
        raise error(field, fault)
    if rule.column is not None:
        table, _ = split_reference(rule.column)
        if table not in config.tables:
            known = ", ".join(config.tables) or "none"
            near = did_you_mean(table, config.tables)
            raise error(
                f"{field}.column",
                f"table {table!r} is not configured{near}; configured tables: {known}",
            )


def _check_listen(section: str, listen: str, config: Config, error: ErrorAt) -> None:
    try:
        host, _ = listen_address(listen)
    except ValueError:
        raise error(f"{section}.listen", f"is {listen!r}; it must be host:port") from None
    if host not in LOOPBACK and not config.has_keys:
        raise error(
            f"{section}.listen",
            f"is {listen!r}, which other machines can reach: that needs API keys. Set "
            '`api_keys_env = "LAKEHOUSE_API_KEYS"` under [gateway]',
        )
