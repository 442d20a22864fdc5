"""Checks declared grounding rules, for the configuration and for requests."""

import math
from typing import TypeVar

from lakehouse.core.errors import TableUnavailable
from lakehouse.core.json_text import pointer_parts
from lakehouse.core.kind import CandidatesMode, GroundingRule
from lakehouse.core.matches import MATCHES
from lakehouse.core.ports import Column

_Column = TypeVar("_Column", bound=Column)


def fault_of(rule: GroundingRule) -> str | None:
    """Return what is wrong with a rule, naming field and allowed values; None if nothing is."""
    for at in (rule.path, *rule.with_):
        try:
            pointer_parts(at)
        except ValueError:
            return (
                f"{at!r} is not a JSON Pointer: it must be empty or begin with '/', "
                "with '~' in '~0' and '~1' only"
            )
    return _fault_of_match(rule) or _fault_of_offer(rule)


def _fault_of_match(rule: GroundingRule) -> str | None:
    match = MATCHES[rule.match]
    if match.tolerant != (rule.tolerance is not None):
        tolerant = " and ".join(repr(name) for name, one in MATCHES.items() if one.tolerant)
        return f"tolerance belongs to match = {tolerant}, and only to it"
    if rule.tolerance is not None and not (math.isfinite(rule.tolerance) and rule.tolerance >= 0):
        return f"tolerance is {rule.tolerance}; it must be a number of at least 0"
    if not match.in_column:
        if rule.column is not None or rule.with_:
            return (
                f"match = {rule.match!r} allows neither column nor with: a quote comes from the "
                f"text"
            )
        return None
    if rule.column is None:
        return f"match = {rule.match!r} needs a column, written table.column"
    for reference in rule.references():
        if not all(split_reference(reference)):
            return f"column {reference!r} must be written table.column"
        if split_reference(reference)[0] != split_reference(rule.column)[0]:
            return f"with names {reference!r}, which is not in the table of {rule.column!r}"
    return None


def _fault_of_offer(rule: GroundingRule) -> str | None:
    quote = rule.column is None
    if quote and rule.candidates not in {None, "decode", "off"}:
        return (
            f"match = {rule.match!r} takes candidates = 'decode' (only whole sentences and clauses "
            f"of the text can be written) or 'off', not {rule.candidates!r}; without it, a quote "
            f"may be any phrase"
        )
    if not rule.candidates_required:
        return None
    if quote:
        return f"candidates_required needs a column, and match = {rule.match!r} has none"
    return required_fault(rule.candidates or "auto")


def required_fault(mode: CandidatesMode) -> str | None:
    """Return why `candidates_required` cannot hold where candidates have this mode, if so."""
    if mode != "off":
        return None
    return (
        f"candidates_required needs candidates, and candidates is {mode!r} here: "
        f"write candidates = 'auto', 'decode' or 'hint' for this rule"
    )


def split_reference(reference: str) -> tuple[str, str]:
    """Split `table.column` at its first dot; the column's own name may hold dots."""
    table, _, column = reference.partition(".")
    return table, column


class RuleColumns(dict[str, _Column]):
    """The columns of a snapshot by `table.column`; looking up any other is an outage."""

    def __missing__(self, reference: str) -> _Column:
        """Raise `TableUnavailable`."""
        table, column = split_reference(reference)
        raise TableUnavailable(table, f"column {column!r} is not in this snapshot")
