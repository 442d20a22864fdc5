"""The story of one session, attempt by attempt, made of its row.

Everything that a page says of a session is here, as data: the page and its `.json` show the same.
Words of later versions stand as they are.
"""

from typing import Final
from urllib.parse import quote

import msgspec

from lakehouse.core.chat import Usage
from lakehouse.core.conversation import user_texts
from lakehouse.core.errors import INFRA_HINT
from lakehouse.core.json_text import NULL
from lakehouse.core.metadata import AFTER_MEMBER
from lakehouse.core.replay_row import Feedback
from lakehouse.core.row import Row, Settings
from lakehouse.core.wording import counted
from lakehouse.sessionlog.reading.filters import REPLAY_DAEMON
from lakehouse.ui.attempt_story import AnswerChange, AttemptStory, artifact_change, attempts_of
from lakehouse.ui.session_calls import SessionCalls, calls_of
from lakehouse.ui.shown_text import ShownText, shown_text
from lakehouse.ui.texts import duration

_TRACE_ID: Final = "{trace_id}"
_LABELS: Final = {
    "right": "A person says: the answer is right.",
    "wrong": "A person says: the answer is wrong.",
    "corrected": "A person corrected the answer.",
}


class Turn(msgspec.Struct, frozen=True):
    """One turn of the conversation that the session began with; `note` says what else it is."""

    role: str
    content: ShownText
    note: str


class ErrorStory(msgspec.Struct, frozen=True):
    """Why a session could not be judged, and what to do. `detail` is the cause for the operator."""

    code: str
    message: str
    detail: str | None
    hint: str


class LabelStory(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said of the session last. `change` leads to the corrected artifact."""

    feedback_id: str
    label: str
    sentence: str
    comment: str | None
    author: str | None
    timestamp: str
    artifact: msgspec.Raw
    change: AnswerChange | None


class SessionStory(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `row` is the whole of it, as it was written. `timestamp` is the session's end."""

    session_id: str
    row_id: str
    trace_id: str
    trace_url: str | None
    trace_id_replaced: bool
    timestamp: str
    daemon: str
    is_replay: bool
    kind: str | None
    has_inline_schema: bool
    model: str
    model_alias: str
    provider: str
    conversation_id: str | None
    verdict: str
    sentence: str
    grounding_sentence: str
    error: ErrorStory | None
    label: LabelStory | None
    conversation: tuple[Turn, ...]
    attempts: tuple[AttemptStory, ...]
    max_iterations: int
    usage: Usage
    settings: Settings
    inline_schema: msgspec.Raw
    metadata: dict[str, str]
    config_digest: str
    kind_digest: str
    tables: dict[str, str]
    calls: SessionCalls
    row: msgspec.Raw
    duration_ms: int


def story_of(
    row: Row,
    line: bytes,
    *,
    gateway_url: str,
    needs_key: bool = False,
    label: Feedback | None = None,
    trace_page: str | None = None,
) -> SessionStory:
    """Tell the story of a row. `line` is its line in the log, `label` its newest feedback.

    `gateway_url` is where another session would be asked for, with a key if it `needs_key`.
    `trace_page` is the URL of a trace's page at the receiver, with `{trace_id}` in it.

    Cost: about 1 ms for a row of 3 KB; at most some seconds for one of 8 MiB.
    """
    return SessionStory(
        session_id=row.session_id,
        row_id=row.row_id,
        trace_id=row.trace_id,
        trace_url=_trace_url(trace_page, row.trace_id),
        trace_id_replaced=row.trace_id_replaced,
        timestamp=row.timestamp,
        daemon=row.daemon,
        is_replay=row.daemon == REPLAY_DAEMON,
        kind=row.kind,
        has_inline_schema=row.inline_schema != NULL,
        model=row.model,
        model_alias=row.model_alias,
        provider=row.provider,
        conversation_id=row.conversation_id,
        verdict=row.verdict,
        sentence=verdict_sentence(row),
        grounding_sentence=_grounding_sentence(row),
        error=_error(row),
        label=None if label is None else _label(row, label),
        conversation=_conversation(row),
        attempts=attempts_of(row),
        max_iterations=row.max_iterations,
        usage=row.usage,
        settings=row.settings,
        inline_schema=row.inline_schema,
        metadata=row.metadata,
        config_digest=row.config_digest,
        kind_digest=row.kind_digest,
        tables=row.tables,
        calls=calls_of(row, gateway_url=gateway_url, needs_key=needs_key),
        row=msgspec.Raw(line),
        duration_ms=row.duration_ms,
    )


def verdict_sentence(row: Row) -> str:
    """Say in one plain sentence how a session ended."""
    took = duration(row.duration_ms)
    if row.verdict == "infra_error":
        code = "no code" if row.error is None else row.error.code
        judged = (
            f"after {counted(row.iterations, 'answer')}" if row.iterations else "without an answer"
        )
        return f"It could not be judged ({code}), {judged}, in {took}."
    if row.verdict == "max_iter_exhausted":
        judged = counted(row.iterations, "answer")
        were = "was" if row.iterations == 1 else "were"
        return f"No answer was accepted: {judged} {were} rejected, in {took}."
    if row.accepted_iteration == 0:
        return f"The first answer was accepted, in {took}."
    number = row.iterations if row.accepted_iteration is None else row.accepted_iteration + 1
    return f"Answer {number} of at most {row.max_iterations} was accepted, in {took}."


def _trace_url(page: str | None, trace_id: str) -> str | None:
    return None if page is None else page.replace(_TRACE_ID, quote(trace_id, safe=""))


def _grounding_sentence(row: Row) -> str:
    if row.grounded is None:
        return "No rule compared the answer with a table or the text."
    if row.grounded:
        return "Every value that a rule names is in its table or in the text."
    return "Some value that a rule names is not in its table or in the text."


def _error(row: Row) -> ErrorStory | None:
    if row.error is None:
        return None
    unknown = "A later version of Lakehouse wrote this code; this version has no hint for it."
    hint = next((text for code, text in INFRA_HINT.items() if code == row.error.code), unknown)
    return ErrorStory(row.error.code, row.error.message, row.error.detail, hint)


def _label(row: Row, label: Feedback) -> LabelStory:
    corrected = label.artifact != NULL
    return LabelStory(
        feedback_id=label.feedback_id,
        label=label.label,
        sentence=_LABELS.get(label.label, label.label),
        comment=label.comment,
        author=label.author,
        timestamp=label.timestamp,
        artifact=label.artifact,
        change=artifact_change(row.artifact, label.artifact) if corrected else None,
    )


def _conversation(row: Row) -> tuple[Turn, ...]:
    turns = []
    if row.system is not None:
        turns.append(Turn("system", shown_text(row.system, row.system_truncated), ""))
    if row.messages is None:
        turns.append(Turn("user", shown_text(row.prompt, row.prompt_truncated), ""))
        return tuple(turns)
    users = sum(message.role == "user" for message in row.messages)
    continued = len(user_texts(row.messages, row.metadata)) < users
    last_user = max((n for n, one in enumerate(row.messages) if one.role == "user"), default=-1)
    for n, message in enumerate(row.messages):
        told = continued and n == last_user
        note = f"What Python checks rejected in row {row.metadata[AFTER_MEMBER]}." if told else ""
        turns.append(
            Turn(message.role, shown_text(message.content, message.content_truncated), note)
        )
    return tuple(turns)
