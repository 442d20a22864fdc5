"""The candidate: what a replay changes. Everything else stays as logged."""

import hashlib
from collections.abc import Mapping
from typing import get_args

import msgspec

from lakehouse.core.chat import Message
from lakehouse.core.context import CallContext, call_context
from lakehouse.core.errors import Refusal
from lakehouse.core.ids import new_span_id
from lakehouse.core.json_text import NULL
from lakehouse.core.kind import CandidatesMode, Kind
from lakehouse.core.metadata import CHECKS_MEMBER, SOURCE_MEMBER, TYPE_MEMBER
from lakehouse.core.row import Row
from lakehouse.core.session import Constrain, IterateRequest
from lakehouse.core.wording import shown
from lakehouse.engine.task import Catalog, plan
from lakehouse.replay.selection import KindInForce


class Candidate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Settings that replace the logged ones; a member that is not set changes nothing.

    `model` is a configured alias, `kind` a configured kind, `system` the system text.
    `deadline_ms` applies to each session.
    """

    model: str | None = None
    kind: str | None = None
    system: str | None = None
    max_iterations: int | None = None
    constrain: Constrain | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    deadline_ms: int | None = None
    candidates: CandidatesMode | None = None

    def words(self) -> str:
        """Describe the changes for people."""
        members: dict[str, object] = msgspec.to_builtins(self)
        shown = {name: "replaced" if name == "system" else value for name, value in members.items()}
        return ", ".join(f"{name} {value}" for name, value in shown.items()) or "nothing"

    def check(self, catalog: Catalog) -> None:
        """Check the candidate against the configuration.

        Raises:
            Refusal: It names something that is not configured, or a value is out of range.
        """
        request = IterateRequest(
            kind=self.kind,
            schema=NULL if self.kind else msgspec.Raw(b"{}"),
            prompt="",
            model=self.model,
            max_iterations=self.max_iterations,
            temperature=_raw(self.temperature),
            max_tokens=self.max_tokens,
            seed=self.seed,
            deadline_ms=self.deadline_ms,
            candidates=self.candidates,
        )
        plan(request, call_context((), ()), catalog)


def replay_request(
    row: Row,
    candidate: Candidate,
    *,
    kinds: Mapping[str, Kind],
    in_force: Mapping[str, KindInForce],
) -> IterateRequest:
    """Make the request that repeats a logged session with the candidate's changes.

    A row holds the settings in force, but not whether they came from the kind or the request.
    Settings of the kind are taken from the kind as it is now, so that the replay tries a changed
    kind; settings of the request are kept. To tell them apart: if the kind's digest is unchanged,
    the kind itself is the reference; otherwise it is the value that most sessions with the same
    kind digest had.

    Raises:
        Refusal: See `judged_by`.
    """
    own = _kind_in_force(row, kinds, in_force)
    settings = row.settings
    kind, callers_schema = judged_by(row, candidate)
    return IterateRequest(
        kind=kind,
        schema=callers_schema if kind is None else NULL,
        prompt=row.prompt if row.messages is None else None,
        messages=None
        if row.messages is None
        else tuple(Message(message.role, message.content) for message in row.messages),
        system=_system(row, candidate, own),
        model=candidate.model or row.model_alias,
        max_iterations=candidate.max_iterations
        or (
            None
            if own is not None and row.max_iterations == own.max_iterations
            else row.max_iterations
        ),
        constrain=candidate.constrain or settings.constrain,
        temperature=settings.temperature
        if candidate.temperature is None
        else _raw(candidate.temperature),
        max_tokens=settings.max_tokens if candidate.max_tokens is None else candidate.max_tokens,
        seed=settings.seed if candidate.seed is None else candidate.seed,
        deadline_ms=candidate.deadline_ms or settings.deadline_ms,
        conversation_id=row.conversation_id,
        metadata=row.metadata,
        candidates=candidate.candidates or _mode(settings.candidates),
        top_p=None if settings.top_p is msgspec.UNSET else float(bytes(settings.top_p)),
        stop=None if settings.stop is msgspec.UNSET else settings.stop,
        output_schema=NULL if kind is None else callers_schema,
        assert_formats=settings.asserts_formats,
    )


def judged_by(row: Row, candidate: Candidate) -> tuple[str | None, msgspec.Raw]:
    """Return the kind that judges a replay, None for no kind, and the caller's schema.

    A kind of the candidate takes the place of a type of Python, with its schema.

    Raises:
        Refusal: Python code judged the session beside the kind; a replay has no such code, and
            without it an answer could pass that was rejected.
    """
    members = row.metadata.keys()
    if TYPE_MEMBER in members and candidate.kind is not None:
        return candidate.kind, NULL
    if not members.isdisjoint({SOURCE_MEMBER, CHECKS_MEMBER}):
        of = row.metadata.get(TYPE_MEMBER, "a type of Python")
        raise Refusal(
            "invalid_request",
            f"The session was also judged by Python code or rules of {shown(of)}, which a replay "
            "does not have.",
            hint="Configure the type as a kind, with `python`, and replay with --as-kind.",
        )
    return None if row.kind is None else candidate.kind or row.kind, row.inline_schema


def replay_context(row: Row, replay_row_id: str) -> CallContext:
    """Return the ids of a replay: those of the session, with a new row id."""
    return CallContext(
        session_id=row.session_id,
        trace_id=row.trace_id,
        row_id=replay_row_id,
        span_id=new_span_id(),
        trace_id_replaced=row.trace_id_replaced,
    )


def replay_row_id(run_id: str, row_id: str, attempt: int) -> str:
    """Return the row id of one replay of one session: a UUIDv7 that depends only on the arguments.

    The first 16 digits are the run's and the rest is a digest, so that a run resumed after a crash
    finds the rows that it already wrote. `attempt` counts the outages before, from 0.
    """
    digest = hashlib.sha256(f"{run_id} {row_id} {attempt}".encode()).digest()
    low = int.from_bytes(digest[:8]) & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    return f"{run_id[:16]}{low:016x}"


def _system(row: Row, candidate: Candidate, own: KindInForce | None) -> str | None:
    if candidate.system is not None:
        return candidate.system
    return None if own is not None and row.system == own.system else row.system


def _mode(logged: str | msgspec.UnsetType) -> CandidatesMode | None:
    # A mode of a later version means nothing here.
    return next((mode for mode in get_args(CandidatesMode) if mode == logged), None)


def _raw(number: float | None) -> msgspec.Raw:
    return NULL if number is None else msgspec.Raw(msgspec.json.encode(number))


def _kind_in_force(
    row: Row, kinds: Mapping[str, Kind], in_force: Mapping[str, KindInForce]
) -> KindInForce | None:
    if row.kind is None:
        return None
    kind = kinds.get(row.kind)
    if kind is not None and kind.digest == row.kind_digest:
        return KindInForce(kind.system, kind.max_iterations)
    return in_force.get(row.kind_digest)
