"""The session row: the one line of a session in the log. The contract sets the member order.

Row structs are always complete. Members that an older writer left out or a newer one added exist
only in the bytes; `row_codec.rewrite_row` preserves them.
"""

from typing import Final, Literal

import msgspec

from lakehouse.core.chat import Role, Usage
from lakehouse.core.finding import Truncated
from lakehouse.core.json_text import Int64
from lakehouse.core.session import Attempt, Constrain, Verdict
from lakehouse.core.words import Word


class RowMessage(msgspec.Struct, frozen=True):
    """One turn of the conversation in a row."""

    role: Role
    content: str
    content_truncated: Truncated | msgspec.UnsetType = msgspec.UNSET


class Settings(msgspec.Struct, frozen=True):
    """The sampling and time settings in force; null = not set. `temperature` is raw JSON.

    `history` is a `History`, or one of a later version; left out if it is `findings`. `candidates`
    is the request's `CandidatesMode`, likewise; left out where the request set none. `top_p`, raw
    JSON, and `stop` are the request's, too: those of the kind and the model are in their digests.
    `assert_formats` is the request's: true, or left out.
    """

    constrain: Constrain
    temperature: msgspec.Raw
    max_tokens: Int64 | None
    seed: Int64 | None
    deadline_ms: Int64
    history: Word | msgspec.UnsetType = msgspec.UNSET
    candidates: Word | msgspec.UnsetType = msgspec.UNSET
    top_p: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    stop: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    assert_formats: bool | msgspec.UnsetType = msgspec.UNSET

    @property
    def asserts_formats(self) -> bool:
        return self.assert_formats is True


class LoggedError(msgspec.Struct, frozen=True):
    """The `error` member: why a session could not be judged.

    `detail` is the cause for the operator.

    `code` is an `InfraCode`, or one of a later version. Rows older than 2026-11-29 have no
    `detail`; newer ones have it, null if there is none.
    """

    code: Word
    message: str
    detail: str | None = None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """`session.iterate.v1`: everything about one session. See spec/v1/row.schema.json.

    `timestamp` is the end of the session. `model` is the provider's name for the model and
    `model_alias` ours. With `messages`, `prompt` is the last user text. `iterations` counts the
    attempts made. `grounded` is null when no grounding rule applied.
    """

    schema: Literal["session.iterate.v1"] = "session.iterate.v1"
    session_id: str
    trace_id: str
    row_id: str
    timestamp: str
    daemon: str
    kind: str | None
    model: str
    model_alias: str
    provider: str
    prompt: str
    prompt_truncated: Truncated | msgspec.UnsetType = msgspec.UNSET
    messages: tuple[RowMessage, ...] | None
    system: str | None
    system_truncated: Truncated | msgspec.UnsetType = msgspec.UNSET
    max_iterations: Int64
    settings: Settings
    inline_schema: msgspec.Raw
    verdict: Verdict
    iterations: Int64
    accepted_iteration: Int64 | None
    grounded: bool | None
    artifact: msgspec.Raw
    attempts: tuple[Attempt, ...]
    error: LoggedError | None
    usage: Usage
    duration_ms: Int64
    conversation_id: str | None
    metadata: dict[str, str]
    trace_id_replaced: bool
    config_digest: str
    kind_digest: str
    tables: dict[str, str]


IDEMPOTENCY_KEY: Final = "idempotency_key"
"""The member of `metadata` that names the key of a session: the SHA-256 of the key, in hex."""


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """`session.started.v1`: what was known before the first model call; `timestamp` is the start.

    If a session's writer died without a final row, the reaper builds its row from these members.
    """

    schema: Literal["session.started.v1"] = "session.started.v1"
    session_id: str
    trace_id: str
    row_id: str
    timestamp: str
    daemon: str
    kind: str | None
    model: str
    model_alias: str
    provider: str
    prompt: str
    prompt_truncated: Truncated | msgspec.UnsetType = msgspec.UNSET
    messages: tuple[RowMessage, ...] | None
    system: str | None
    system_truncated: Truncated | msgspec.UnsetType = msgspec.UNSET
    max_iterations: Int64
    settings: Settings
    inline_schema: msgspec.Raw
    conversation_id: str | None
    metadata: dict[str, str]
    trace_id_replaced: bool
    config_digest: str
    kind_digest: str


class SegmentHeader(msgspec.Struct, frozen=True, kw_only=True):
    """`session_log.segment.v1`: the first line of every segment. `segment` counts from 0."""

    schema: Literal["session_log.segment.v1"] = "session_log.segment.v1"
    writer_id: str
    segment: Int64
    daemon: str
    runtime: str
    version: str
    started_at: str
