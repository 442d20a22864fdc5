"""Checks that a schema does not guarantee to apply, reported at start and by `doctor`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lakehouse.config.kinds import doubts_about
from lakehouse.engine.task import Catalog

if TYPE_CHECKING:
    from lakehouse.grounding.tables import Rules


def doubts_of(known: Catalog, rules: "Mapping[str, Rules]") -> list[str]:
    """List what may silently not be checked.

    Keywords that JSON Schema does not have; pointers and `$names` that a schema leaves open.
    """
    found = doubts_about(known.kinds, known.schemas)
    if rules:
        from lakehouse.config.rules import doubts_about_rules  # noqa: PLC0415  loads DuckDB

        kinds = {name: known.kinds[name] for name in rules}
        found += doubts_about_rules(rules, kinds, known.schemas)
    return found
