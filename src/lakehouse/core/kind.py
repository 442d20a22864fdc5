"""A kind: a named type of artifact with its grounding and rules."""

import hashlib
import math
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol

import msgspec
import rfc8785

from lakehouse.core.chat import History, Sampling
from lakehouse.core.json_text import JsonValue
from lakehouse.core.matches import MatchName

CandidatesMode = Literal["auto", "decode", "hint", "off"]
"""How a model is offered the values that the source names: as its provider and their number allow,
in the schema it decodes under, in the prompt, or not at all."""
FormatMode = Literal["off", "known", "all"]
"""Whether `format` is asserted: never, for known formats only, or always, with unknown formats
refused."""

EACH: Final = "*"
"""In a pointer of a grounding rule, each element of an array; of an object the member named so."""

GROUNDING_KEYWORD: Final = "x-lakehouse"
"""The keyword of a schema that says a grounding rule at the place of its value."""
RULES_KEYWORD: Final = "x-lakehouse-rules"
"""The keyword at the root of a schema that lists SQL rules."""


class GroundingRule(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"with_": "with"}
):
    """One declared grounding: the value at `path` must be in `column`, or be a quote.

    `path` is a JSON Pointer; each element counts where it points at an array, and `*` in it is each
    element of an array on the way: `/events/*/airport`. `column` is `table.column`, absent for
    `quote`. `tolerance` is absolute, only for `within`. `with` maps further pointers to columns of
    the same table that must match in the same row: `/events/*/city` is that of the same event.
    `candidates` is how a model is offered the column's values that the source names; None: as the
    kind says. With `candidates_required`, where the source names no value, a model that decodes
    under a schema can only write null, and any other is asked to.
    """

    path: str
    match: MatchName = "exact"
    column: str | None = None
    tolerance: float | None = None
    with_: dict[str, str] = {}
    candidates: CandidatesMode | None = None
    candidates_required: bool | None = None

    def references(self) -> tuple[str, ...]:
        """Return each `table.column` that the rule reads."""
        return () if self.column is None else (self.column, *self.with_.values())


class SqlRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One declared rule: a query that must return TRUE; `$name` is a top-level member, bound.

    Lists and objects are bound as LISTs and STRUCTs of the schema's types.
    """

    sql: str
    message: str


class ModelFault(msgspec.Struct, frozen=True):
    """What a validator reports about an artifact, and the place in it.

    `nearest` is a JSON array of values that it would take; empty if it names none.
    """

    place: tuple[str | int, ...]
    message: str
    nearest: bytes = b""


class ArtifactCheck(Protocol):
    """A check of whole artifacts beyond schema, grounding and rules."""

    async def faults(self, artifact: bytes) -> list[ModelFault]:
        """Check one artifact that passed the schema, off the event loop.

        Raises:
            InfraError: `rule_broken`: the check itself failed; `timeout`, `overloaded`: it did not
                finish in time.
        """
        ...

    def close(self) -> None:
        """Stop the process or thread that runs the check."""
        ...


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a session takes from its kind. `schema` is raw JSON as configured.

    An inline schema makes a kind without a name. `model` is an alias. `repair` lets broken JSON be
    fixed before the checks; every change is recorded in the attempt's `repairs`. `history` is what
    a later attempt sees of the earlier ones; None: the model's setting. `reprompt` is the text
    before the findings; None: the default; empty: none. `sampling` applies where a request sets
    nothing. `candidates` is how a model is offered the values that the source names, where a rule
    says nothing. `model_check` runs the validators of a Python model. `grown` are the settings,
    newer than the first version, that the digest covers. `carried` are the rules, encoded, that the
    schema of a request added to `grounding`: the digest of a configured kind does not cover them.
    `own` is the key of the `OwnChecks` that were added.
    """

    name: str | None
    schema: msgspec.Raw
    system: str | None
    grounding: tuple[GroundingRule, ...]
    rules: tuple[SqlRule, ...]
    max_iterations: int
    model: str
    digest: str
    repair: bool = False
    history: History | None = None
    reprompt: str | None = None
    sampling: Sampling = Sampling()
    formats: FormatMode = "off"
    candidates: CandidatesMode = "auto"
    model_check: ArtifactCheck | None = None
    grown: Mapping[str, object] = MappingProxyType({})
    carried: bytes = b""
    own: bytes = b""

    def tables(self) -> frozenset[str]:
        columns = [rule.column for rule in self.grounding if rule.column is not None]
        return frozenset(column.partition(".")[0] for column in columns)


class OwnChecks(msgspec.Struct, frozen=True, kw_only=True):
    """What this process's own code checks in one session, beside the kind.

    `rules` are prepared under `key`, which is empty if there are none.
    """

    rules: tuple[SqlRule, ...] = ()
    key: bytes = b""
    check: ArtifactCheck | None = None


def mode_of(rule: GroundingRule, kind: Kind) -> CandidatesMode:
    """Return how a model is offered the candidates of a rule of a kind, as configured."""
    return rule.candidates or kind.candidates


def digest_of(value: object) -> str:
    """Digest a JSON value: `sha256:` and the hex SHA-256 of its RFC 8785 form.

    RFC 8785 has only doubles: other numbers are rounded to one, as the RFC says; a number beyond
    the range of a double, for which the RFC has no form, is digested as text.
    """
    if isinstance(value, list) and {str}.issuperset(map(type, value)):
        canonical = msgspec.json.encode(value)  # the same form of texts, in a tenth of the time
    else:
        plain: Any = _as_doubles(msgspec.to_builtins(value, builtin_types=(Decimal,)))
        canonical = rfc8785.dumps(plain)
    return "sha256:" + hashlib.sha256(canonical).hexdigest()


def kind_digest(
    schema: JsonValue,
    *,
    system: str | None,
    grounding: tuple[GroundingRule, ...],
    rules: tuple[SqlRule, ...],
    max_iterations: int,
    model: str,
    grown: Mapping[str, object] = MappingProxyType({}),
) -> str:
    """Digest everything that affects a verdict or a prompt; kinds with equal digests behave alike.

    `grown` are the settings added later (`repair`, `history`, …), only those that differ from their
    defaults, so that digests of older kinds do not change. Cost: about 0.1 ms.
    """
    return digest_of(
        {
            **grown,
            "schema": schema,
            "system": system,
            "grounding": [_declared(rule) for rule in grounding],
            "rules": rules,
            "max_iterations": max_iterations,
            "model": model,
        }
    )


def _declared(rule: GroundingRule) -> dict[str, object]:
    # Unset members are left out, so that a new member does not change existing digests.
    members: dict[str, object] = msgspec.to_builtins(rule)
    return {name: value for name, value in members.items() if value not in (None, {})}


def _as_doubles(value: object) -> object:
    if isinstance(value, dict):
        return {name: _as_doubles(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_doubles(item) for item in value]
    if isinstance(value, Decimal):
        return float(value) if math.isfinite(float(value)) else str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        try:
            return float(value)
        except OverflowError:
            return str(value)
    return value
