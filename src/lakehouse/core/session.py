"""A session: the request, its attempts, and how it ended."""

from collections.abc import Callable
from typing import Final, Literal, Self

import msgspec

from lakehouse.core.chat import Message, OfferMode, Usage
from lakehouse.core.finding import Finding, Repair, Truncated
from lakehouse.core.json_text import Int64, JsonScalar, null
from lakehouse.core.kind import CandidatesMode, digest_of
from lakehouse.core.words import Word

Verdict = Literal["accepted", "max_iter_exhausted", "infra_error"]
Constrain = Literal["auto", "off"]
SOURCE_COLUMN: Final = "source"

VERDICT_STATUS: dict[Verdict, int] = {"accepted": 200, "max_iter_exhausted": 422}


class IterateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of `POST /v1/iterate`. Exactly one of `kind`/`schema` and of `prompt`/`messages`.

    `schema`, `temperature` and `output_schema` keep their bytes; raw `null` when absent. An empty
    `stop` is a value: no text ends an answer, whatever the kind or the model says. The answer must
    satisfy `output_schema` beside the schema of its `kind`. `assert_formats` asserts the known
    formats of every schema that judges the answer; a kind may assert more.
    """

    kind: str | None = None
    schema: msgspec.Raw = msgspec.field(default_factory=null)
    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    system: str | None = None
    model: str | None = None
    max_iterations: Int64 | None = None
    constrain: Constrain = "auto"
    temperature: msgspec.Raw = msgspec.field(default_factory=null)
    max_tokens: Int64 | None = None
    seed: Int64 | None = None
    deadline_ms: Int64 | None = None
    conversation_id: str | None = None
    metadata: dict[str, str] = {}
    candidates: CandidatesMode | None = None
    top_p: float | None = None
    stop: tuple[str, ...] | None = None
    output_schema: msgspec.Raw = msgspec.field(default_factory=null)
    assert_formats: bool = False


class Narrowed(msgspec.Struct, frozen=True, kw_only=True):
    """The values offered to the model at one place: those of a column that occur in the source.

    `path` is a JSON Pointer into the artifact, `column` is `table.column`, or `SOURCE_COLUMN` where
    quotes of the source were offered. `mode` is `decode` if
    they were in the schema that constrained decoding, `hint` if they were in the prompt.
    `candidates` is their number; `digest` is `digest_of` their list.
    """

    path: str
    column: str
    mode: Word
    candidates: Int64
    digest: str

    @classmethod
    def of(cls, path: str, column: str, mode: OfferMode, values: list[JsonScalar]) -> Self:
        """Record distinct values that were offered."""
        return cls(
            path=path,
            column=column,
            mode=mode,
            candidates=len(values),
            digest=digest_of(values),
        )


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One model answer, judged. Members in the order of contract section 4.

    `told` is the feedback added to the conversation for this attempt, null at iteration 0. `output`
    is the model's text with its thinking blocks; `thinking` the provider's reasoning, else those
    blocks. `artifact` is raw JSON or `null`. `finish_reason` is a `FinishReason`, or one that a
    later version wrote. `span_id` is the parent sent with its model call. `narrowed` is left out
    when empty.
    """

    iteration: Int64
    outcome: Literal["accepted", "rejected"]
    findings: tuple[Finding, ...]
    findings_truncated: Truncated | msgspec.UnsetType = msgspec.UNSET
    told: str | None
    told_truncated: Truncated | msgspec.UnsetType = msgspec.UNSET
    output: str
    output_truncated: Truncated | msgspec.UnsetType = msgspec.UNSET
    thinking: str | None
    thinking_truncated: Truncated | msgspec.UnsetType = msgspec.UNSET
    artifact: msgspec.Raw
    artifact_truncated: Truncated | msgspec.UnsetType = msgspec.UNSET
    repairs: tuple[Repair, ...]
    repairs_truncated: Truncated | msgspec.UnsetType = msgspec.UNSET
    finish_reason: Word
    usage: Usage
    duration_ms: Int64
    span_id: str
    narrowed: tuple[Narrowed, ...] | msgspec.UnsetType = msgspec.UNSET


Judged = Callable[[Attempt], None]
"""Called with each attempt as soon as it is judged; must return at once."""


class ReplyError(msgspec.Struct, frozen=True):
    """Why a session is `infra_error`, and what to do.

    `retry_after_s`: whole seconds to wait, if known; also in `Retry-After`.
    """

    code: Word
    message: str
    retryable: bool
    hint: str
    retry_after_s: Int64 | msgspec.UnsetType = msgspec.UNSET


class SessionReply(msgspec.Struct, frozen=True, kw_only=True):
    """The reply of `POST /v1/iterate`, one shape for all verdicts.

    `findings` are the last attempt's, empty when accepted. `artifact` is raw JSON or `null`.
    `kind_digest` is the row's; empty from a daemon of an older version.
    """

    session_id: str
    trace_id: str
    row_id: str
    verdict: Verdict
    iterations: Int64
    accepted_iteration: Int64 | None
    artifact: msgspec.Raw
    grounded: bool | None
    findings: tuple[Finding, ...]
    attempts: tuple[Attempt, ...]
    usage: Usage
    model: str
    error: ReplyError | None
    duration_ms: Int64
    kind_digest: str = ""


class ValidateReply(msgspec.Struct, frozen=True):
    """The reply of `POST /v1/validate`: 200 either way."""

    verdict: Literal["accepted", "rejected"]
    artifact: msgspec.Raw
    grounded: bool | None
    findings: tuple[Finding, ...]
