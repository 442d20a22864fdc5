"""Checks of `lakehouse doctor` on kinds beyond their configuration: their code, and their log."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from lakehouse.cli.doctor_check import Check
from lakehouse.config.columns import place_of
from lakehouse.config.trials import try_model
from lakehouse.core.errors import LakehouseError
from lakehouse.core.json_text import JsonError, JsonValue, parse_bytes
from lakehouse.core.kind import Kind
from lakehouse.engine.task import Catalog
from lakehouse.grounding.check import values_at
from lakehouse.grounding.tables import Rules
from lakehouse.sessionlog.reading.filters import SessionFilter
from lakehouse.sessionlog.reading.sessions import list_sessions
from lakehouse.validation.schema import CompiledSchema

_SESSIONS_MAX: Final = 50  # the newest accepted ones of a kind that are looked at
_SESSIONS_MIN: Final = 10  # for one check among others that apply


class _Accepted(msgspec.Struct):
    """What is read of a row."""

    artifact: msgspec.Raw
    grounded: bool | None


async def model_checks(known: Catalog) -> list[Check]:
    """Try the validators of every Python kind, and end what they ran in."""
    checks = []
    try:
        for name, kind in known.kinds.items():
            if kind.model_check is None:
                continue
            try:
                await try_model(kind, known)
            except LakehouseError as error:
                checks.append(Check(f"validators of {name}", "problem", error.public, error.hint))
            else:
                checks.append(Check(f"validators of {name}", "ok", "they ran on sample answers"))
    finally:
        known.close()
    return checks


def applied_checks(log: Path, known: Catalog, rules: Mapping[str, Rules]) -> list[Check]:
    """Tell from the log which checks of a kind met nothing to check in its last sessions."""
    checks = []
    for name, kind in known.kinds.items():
        if not kind.grounding and not kind.rules:
            continue
        try:
            rows = _accepted(log, name)
        except LakehouseError as error:
            checks.append(Check(f"kind {name} in the log", "warning", error.public, error.hint))
            continue
        for never in _never(kind, known.schemas.of(kind), rows, rules.get(name, {})):
            detail = f"{never} in none of the last {len(rows)} accepted sessions"
            fix = "correct the pointer or name, or make the member `required` in the schema"
            checks.append(Check(f"kind {name} in the log", "warning", detail, fix))
    return checks


def _accepted(log: Path, kind: str) -> list[_Accepted]:
    where = SessionFilter(kind=kind, verdict="accepted")
    page = list_sessions(log, where, limit=_SESSIONS_MAX)
    return [msgspec.json.decode(row, type=_Accepted) for row in page.rows]


def _never(
    kind: Kind, schema: CompiledSchema, rows: list[_Accepted], rules: Rules
) -> Iterator[str]:
    """Name the checks that no artifact had a value for."""
    artifacts = list(_artifacts(rows))
    if not artifacts:
        return
    if kind.grounding and all(row.grounded is None for row in rows):
        yield f"no grounding rule of kinds.{kind.name} applied"
        return
    if len(artifacts) < _SESSIONS_MIN:
        return
    for index, grounding in enumerate(kind.grounding):
        for member, at in (("path", grounding.path), *(("with", at) for at in grounding.with_)):
            if not any(any(values_at(artifact, at)) for artifact in artifacts):
                yield f"{place_of(kind, index, schema)}.{member}: {at!r} led to a value"
    for index, rule in enumerate(kind.rules):
        for member in rules[rule.sql].members if rule.sql in rules else ():
            if not any(
                isinstance(artifact, dict) and artifact.get(member) is not None
                for artifact in artifacts
            ):
                yield f"kinds.{kind.name}.rules[{index}].sql: ${member} had a value"


def _artifacts(rows: list[_Accepted]) -> Iterator[JsonValue]:
    for row in rows:
        try:
            yield parse_bytes(bytes(row.artifact))
        except JsonError:
            continue  # of another writer; `log verify` is where that is told
