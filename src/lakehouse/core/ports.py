"""The four ports, with their guarantees in the docstrings.

One contract suite per port runs over all of its adapters. Nothing
mutable crosses a port: arguments and results are frozen values of `core`.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from lakehouse.core.candidate import RuleCandidates
from lakehouse.core.chat import CallLimits, ChatReply, ChatRequest, ModelStatus
from lakehouse.core.context import CallContext
from lakehouse.core.json_text import JsonValue, null
from lakehouse.core.kind import GroundingRule, Kind, SqlRule
from lakehouse.core.matches import Holds, MatchName
from lakehouse.core.row import Row, Started
from lakehouse.core.session import IterateRequest, Judged, SessionReply, ValidateReply


class ChatModel(Protocol):
    """Models by alias."""

    async def chat(
        self, request: ChatRequest, *, context: CallContext, limits: CallLimits
    ) -> ChatReply:
        """Call the model once and return its answer, whatever it says.

        It retries transport errors itself; callers never retry. `context.span_id` is sent to the
        provider as the parent of the call. Cancelling stops the call, never a model's load.

        Raises:
            InfraError: No answer; raised within `limits` and 250 ms, and within 2 s of its deadline
                if the model's owner does not report that it is alive.
            Refusal: `unknown_model`.
        """
        ...

    async def models(self) -> tuple[ModelStatus, ...]:
        """Return every configured model's state within 2 s, without calling a model."""
        ...


class KindInfo(msgspec.Struct, frozen=True):
    """One kind as `GET /v1/kinds` shows it: everything that its digest covers.

    `settings` are those that came after the first version and differ from their defaults.
    """

    name: str
    model: str
    max_iterations: int
    system: str | None
    schema: msgspec.Raw
    grounding: tuple[GroundingRule, ...]
    rules: tuple[SqlRule, ...]
    digest: str
    settings: dict[str, Any] = {}


class RequestedRule(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"with_": "with"}
):
    """A grounding rule of a request: a `GroundingRule` in which null means absent."""

    path: str
    match: MatchName | None = None
    column: str | None = None
    tolerance: float | None = None
    with_: dict[str, str] | None = None

    def rule(self) -> GroundingRule:
        return GroundingRule(
            path=self.path,
            match=self.match or "exact",
            column=self.column,
            tolerance=self.tolerance,
            with_=self.with_ or {},
        )


class ValidateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of `POST /v1/validate`. Exactly one of `kind` and `schema`.

    `source` is the text that quotes must come from. `tables` are inline, as lists of objects, and
    are the only tables for the inline `grounding`.
    """

    output: str
    kind: str | None = None
    schema: msgspec.Raw = msgspec.field(default_factory=null)
    source: str | None = None
    grounding: tuple[RequestedRule, ...] | None = None
    tables: dict[str, list[dict[str, msgspec.Raw]]] | None = None


class Validator(Protocol):
    """Sessions and checks."""

    async def iterate(
        self, request: IterateRequest, context: CallContext, *, judged: Judged | None = None
    ) -> SessionReply:
        """Run one session to its verdict. Its row is durable before this returns.

        A session that has started always gets a reply, possibly `infra_error`, even if the caller
        disconnects. `context` decides its ids. `judged` is called with each attempt, in order,
        before this returns.

        Raises:
            Refusal: The request was rejected; no model was called, no row is written.
        """
        ...

    async def validate(self, request: ValidateRequest) -> ValidateReply:
        """Judge a given answer: no model, no row.

        Raises:
            Refusal: The request cannot be judged.
            TableUnavailable: A table of the kind cannot be read.
        """
        ...

    async def kinds(self) -> tuple[KindInfo, ...]: ...


class RecordSink(Protocol):
    """Where rows go. One sink is one writer of one stream."""

    def check_writable(self) -> None:
        """Raise early, before any model call, if a row could not be made durable.

        Raises:
            Refusal: `log_unavailable`.
        """
        ...

    def started(self, record: Started) -> None:
        """Write the started line, not synced: it survives the process, not a power cut.

        Raises:
            InfraError: `log_unavailable`.
        """
        ...

    async def append(self, row: Row) -> None:
        """Make one final row durable. Returns after the sync; concurrent calls share one.

        A row over the size limit is cut as the contract says before it is written.

        Raises:
            InfraError: `log_unavailable`; the row is not known to be in the log.
        """
        ...


class Column(Protocol):
    """One column of one table version, indexed for exact questions. Null cells match nothing."""

    @property
    def holds(self) -> Holds:
        """The type of its cells."""
        ...

    @property
    def empty(self) -> bool:
        """Whether it has no rows or only null cells, so that it matches nothing."""
        ...

    def rows(self, value: JsonValue, match: MatchName, tolerance: float | None) -> Collection[int]:
        """Return the numbers of the rows whose cell matches; empty for a value of another kind.

        Membership of a row costs at most one look-up. Cost: at most 20 µs on 1,000,000 rows; twice
        that for `within`.
        """
        ...

    async def nearest(
        self, value: JsonValue, match: MatchName, rows: Collection[int] | None = None
    ) -> list[msgspec.Raw]:
        """Return at most `NEAREST_MAX` distinct values as JSON, the nearest first.

        Edit distance on code points (of the keys, where the match has one), or absolute difference;
        ties by bytes. None for a value of another kind. Of the whole column, or of the cells in
        `rows`. Cost: a pass over the distinct values, off the event loop where they are many.
        """
        ...


class RuleOutcome(msgspec.Struct, frozen=True):
    """The result of one SQL rule. `members` are the names it binds, sorted; `error` is a message.

    A rule that failed on the artifact's values counts as not true.
    """

    holds: bool
    members: tuple[str, ...]
    error: str | None = None


class TableSnapshot(Protocol):
    """The tables of one kind, each at one version, for the length of a session. Safe to share."""

    @property
    def digests(self) -> Mapping[str, str]:
        """Table name → digest of the version used, sorted by name in bytes."""
        ...

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns that the kind's grounding names, by `table.column`; their indexes are ready.

        A look-up of any other raises `TableUnavailable`.
        """
        ...

    def candidates(
        self,
        rules: Sequence[GroundingRule],
        sources: Sequence[str],
        nearest: Mapping[str, Sequence[msgspec.Raw]],
    ) -> tuple[RuleCandidates, ...]:
        """Return for each rule of the kind what the sources name of its columns.

        `nearest` are values by `table.column` that count as near spellings too. The same input
        gives the same result. Cost: about 200 µs for each 1,000 characters and column.

        Raises:
            TableUnavailable: A rule names a missing table or column.
        """
        ...

    async def outcomes(
        self, rules: Sequence[SqlRule], members: Mapping[str, JsonValue]
    ) -> list[RuleOutcome]:
        """Run SQL rules of the kind with the artifact's members bound, off the event loop.

        Raises:
            TableUnavailable: A rule names a missing table or column.
            InfraError: `timeout`, if a rule took longer than its limit.
        """
        ...


class TableSource(Protocol):
    """Reference tables by name."""

    async def snapshot(self, kind: Kind) -> TableSnapshot:
        """Return the current versions of the tables that the kind's grounding and rules read.

        A table whose file changed is reloaded first, off the event loop, once for all callers that
        wait. Cost with nothing changed: one `stat` per table.

        Raises:
            TableUnavailable: A table cannot be read, or lacks a column that the kind names.
            Refusal: `invalid_request`, if the tables came with the request and are invalid.
        """
        ...
