"""Tries the checks of all kinds before the first session, where that needs a table or a process.

What a trial finds is an error at start. What it cannot check, such as a table that does not exist
yet, is reported elsewhere, and sessions find it again.
"""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from lakehouse.core.errors import InfraError, SetupError, TableUnavailable
from lakehouse.core.json_text import dumps
from lakehouse.core.kind import Kind
from lakehouse.engine.task import Catalog
from lakehouse.validation.samples import samples_of

if TYPE_CHECKING:
    from lakehouse.grounding.tables import TableFiles

_TRY_S: Final = 10.0  # for the tables of one kind


async def try_checks(known: Catalog, tables: "TableFiles | None") -> None:
    """Try rules that read tables, and the validators of Python models.

    Raises:
        SetupError: One fails for every answer.
    """
    if tables is not None:
        await try_on_tables(tables, known.kinds)
    for kind in known.kinds.values():
        await try_model(kind, known)


async def try_on_tables(tables: "TableFiles", kinds: Mapping[str, Kind]) -> None:
    """Try the rules that read tables, as far as those can be read now.

    Raises:
        SetupError: A rule fails for every answer.
    """
    for name, prepared in tables.rules.items():
        if not any(rule.tables for rule in prepared.values()):
            continue
        try:
            async with asyncio.timeout(_TRY_S):
                await tables.snapshot(kinds[name])
        except (TableUnavailable, TimeoutError):
            continue
        except InfraError as error:
            raise SetupError(f"kinds.{name}.rules: {error.public}", hint=error.hint) from error


async def try_model(kind: Kind, known: Catalog) -> None:
    """Check sample answers from the schema with a kind's model, if it has one.

    Raises:
        SetupError: A child process cannot import it, or it fails on every answer with an error that
            is not a rejection.
    """
    if kind.model_check is None:
        return
    samples = samples_of(known.schemas.of(kind)) or ({},)
    broken: InfraError | None = None
    for sample in samples:
        try:
            await kind.model_check.faults(dumps(sample).encode("utf-8"))
        except InfraError as error:
            if error.code == "timeout":
                raise SetupError(
                    f"kinds.{kind.name}.python: {error.public}", hint=error.hint
                ) from error
            broken = error
        else:
            return
    if broken is not None:
        raise SetupError(f"kinds.{kind.name}.python: {broken.public}", hint=broken.hint) from broken
