"""Builds spans from a session's row, for new sessions and old rows alike.

Pure: what it makes depends on its arguments only, ids included.

    request ── session ─┬─ attempt ─┬─ generation
                        │           ├─ extraction
                        │           ├─ schema        unless extraction failed
                        │           └─ grounding     unless the schema did not hold
                        └─ log append
"""

from typing import Final

import msgspec

from lakehouse.core.finding import FOUND_BY
from lakehouse.core.ids import (
    ATTEMPT_SPANS,
    LOG_APPEND_SPAN,
    SESSION_SPAN,
    derived_span_bytes,
    span_seed,
)
from lakehouse.core.json_text import NULL
from lakehouse.core.observation import SessionEnded
from lakehouse.core.row import Row
from lakehouse.core.session import Attempt
from lakehouse.core.trace_context import SAMPLED
from lakehouse.tracing import templates
from lakehouse.tracing.content import cut, cut_raw, json_text, messages
from lakehouse.tracing.door_spans import resent_request_span
from lakehouse.tracing.span import (
    NO_ATTRIBUTES,
    AttributeValue,
    Span,
    SpanName,
    Template,
    Trace,
    raw_id,
    session_pairs,
)
from lakehouse.tracing.timeline import AttemptLine, Timeline, estimated, measured

CONVERSATION_CHARS_MAX: Final = 200  # Langfuse takes no longer session id, and ASCII only
REPLAY_DAEMON: Final = "replay"

_CHECKS: Final[tuple[SpanName, ...]] = ("extraction", "schema", "grounding")
# The numbers of an attempt's derived spans, beside its first.
_GENERATION: Final = 0
_FIRST_CHECK: Final = 1

_Attributes = dict[str, AttributeValue]


def session_spans(ended: SessionEnded, *, content: bool) -> list[Span]:
    """Build the spans of a session that ended in this process, below its request's span if any."""
    row, context = ended.row, ended.context
    trace = _trace(row, flags=context.flags, tracestate=context.tracestate)
    line = measured(row, ended.times)
    session = _Session(row, trace, line, logged=ended.logged, content=content)
    own = raw_id(context.span_id)
    return session.spans(None if own == session.span_id else own)


def span_count(ended: SessionEnded) -> int:
    """Return how many spans `session_spans` makes, without making them."""
    row = ended.row
    checks = sum(len(_checks_run(row, attempt)) for attempt in row.attempts)
    return 2 + 2 * len(ended.times.attempts) + checks


def resent_spans(row: Row, *, content: bool) -> list[Span]:
    """Rebuild the spans of a logged session with their original ids.

    Data that rows do not have is missing: the caller's own span, attempts that failed before they
    were judged, and how an attempt's time was divided. The request is that of the first daemon.
    """
    replayed = row.daemon == REPLAY_DAEMON
    line = estimated(row)
    trace = _trace(row, flags=SAMPLED, tracestate=None)
    session = _Session(row, trace, line, logged=True, content=content, resent=True)
    if replayed:  # no request of its own: the session is the root
        return session.spans(None)
    root = resent_request_span(row, line)
    return [root, *session.spans(root.span_id)]


def _trace(row: Row, *, flags: int, tracestate: str | None) -> Trace:
    pairs = session_pairs(row.session_id, row.row_id)
    conversation = _sent_conversation(row)
    if conversation is not None:
        pairs += (("session.id", conversation),)
    return Trace(row.trace_id, flags, tracestate, pairs)


class _Session:
    """Builds the spans of one session."""

    def __init__(
        self,
        row: Row,
        trace: Trace,
        line: Timeline,
        *,
        logged: bool,
        content: bool,
        resent: bool = False,
    ) -> None:
        self._row = row
        self._trace = trace
        self._line = line
        self._logged = logged
        self._content = content
        self._resent = resent
        self._seed = span_seed(row.row_id)
        self.span_id = derived_span_bytes(self._seed, SESSION_SPAN)
        self._conversation = _sent_conversation(row)
        error = row.error
        self._failure = None if error is None else f"{error.code}: {error.message}"

    def spans(self, parent_span_id: bytes | None) -> list[Span]:
        """Build the session's span and all spans below it."""
        line = self._line
        spans = [self._session(parent_span_id)]
        for times in line.attempts:
            if times.attempt is None:
                spans += (self._failed_attempt(times), self._generation(times, None))
            else:
                spans += self._judged_attempt(times, times.attempt)
        spans.append(
            Span(
                templates.log_append(logged=self._logged),
                self._trace,
                derived_span_bytes(self._seed, LOG_APPEND_SPAN),
                self.span_id,
                line.ended_ns,
                line.logged_ns,
                error=None if self._logged else "The row could not be made durable.",
            )
        )
        return spans

    def _session(self, parent_span_id: bytes | None) -> Span:
        row, line = self._row, self._line
        attributes = self._conversation_attributes()
        if row.metadata:
            attributes["langfuse.trace.metadata"] = json_text(row.metadata)
        if self._content:
            prompt, artifact = cut(row.prompt), cut_raw(row.artifact)
            for scope in ("trace", "observation"):
                attributes[f"langfuse.{scope}.input"] = prompt
                attributes[f"langfuse.{scope}.output"] = artifact
        return Span(
            templates.session(row, logged=self._logged, resent=self._resent),
            self._trace,
            self.span_id,
            parent_span_id,
            line.started_ns,
            line.logged_ns,
            attributes,
            self._failure,
        )

    def _judged_attempt(self, times: AttemptLine, attempt: Attempt) -> list[Span]:
        """Build the spans of a judged attempt and of its steps."""
        parts = _checks_run(self._row, attempt)
        made = templates.judged_attempt(times.iteration, attempt, parts)
        found = self._findings(attempt)
        attributes = {**found, **_offered(attempt)} if attempt.narrowed else found
        if self._content:
            output = cut_raw(attempt.artifact)
            attributes = {**attributes, "langfuse.observation.output": output}
            if attempt.told is not None:
                attributes["langfuse.observation.input"] = cut(attempt.told)
        own = Span(
            made.attempt,
            self._trace,
            times.span_id,
            self.span_id,
            times.started_ns,
            times.ended_ns,
            attributes,
        )
        return [own, self._generation(times, attempt), *self._checks(times, made.checks, found)]

    def _failed_attempt(self, times: AttemptLine) -> Span:
        """Build the span of an attempt that failed before it was judged."""
        error = self._row.error
        return Span(
            templates.failed_attempt(times.iteration, None if error is None else error.code),
            self._trace,
            times.span_id,
            self.span_id,
            times.started_ns,
            times.ended_ns,
            error=self._failure,
        )

    def _generation(self, times: AttemptLine, attempt: Attempt | None) -> Span:
        row = self._row
        attributes = self._conversation_attributes()
        if times.iteration == 0 and row.settings.seed is not None:
            attributes["gen_ai.request.seed"] = row.settings.seed
        finish_reason = error = None
        if attempt is not None:
            finish_reason, usage = attempt.finish_reason, attempt.usage
            if usage.prompt_tokens is not None:
                attributes["gen_ai.usage.input_tokens"] = usage.prompt_tokens
            if usage.completion_tokens is not None:
                attributes["gen_ai.usage.output_tokens"] = usage.completion_tokens
            if self._content:
                attributes |= messages(row, attempt)
        elif times.answered_ns is None and row.error is not None:
            attributes["error.type"] = row.error.code
            error = self._failure
        return Span(
            templates.generation(times.iteration, row, finish_reason),
            self._trace,
            self._span_id(times, _GENERATION),
            times.span_id,
            times.started_ns,
            times.ended_ns if times.answered_ns is None else times.answered_ns,
            attributes,
            error,
        )

    def _checks(
        self, times: AttemptLine, checks: tuple[Template, ...], found: _Attributes
    ) -> list[Span]:
        """Build the spans of the checks that ran; the findings are those of the last."""
        spans = []
        start_ns = times.answered_ns or times.started_ns
        last = len(checks) - 1
        ends_ns = (times.extracted_ns, times.checked_ns, times.ended_ns)
        for place, template in enumerate(checks):
            attributes = found if place == last else NO_ATTRIBUTES
            if template.part == "grounding" and self._row.tables:
                attributes = {**attributes, "lakehouse.tables": json_text(self._row.tables)}
            end_ns = ends_ns[place] or times.ended_ns
            spans.append(
                Span(
                    template,
                    self._trace,
                    self._span_id(times, _FIRST_CHECK + place),
                    times.span_id,
                    start_ns,
                    end_ns,
                    attributes,
                )
            )
            start_ns = end_ns
        return spans

    def _span_id(self, times: AttemptLine, number: int) -> bytes:
        """Return the id of one derived span of an attempt."""
        return derived_span_bytes(self._seed, ATTEMPT_SPANS * (times.iteration + 1) + number)

    def _conversation_attributes(self) -> _Attributes:
        return {} if self._conversation is None else {"gen_ai.conversation.id": self._conversation}

    def _findings(self, attempt: Attempt) -> _Attributes:
        """Return the findings, if there are any and content may be sent."""
        if not (attempt.findings and self._content):
            return {}
        return {
            "lakehouse.finding_paths": tuple(finding.path for finding in attempt.findings),
            "lakehouse.findings": cut(json_text(attempt.findings)),
        }


def _offered(attempt: Attempt) -> _Attributes:
    narrowed = attempt.narrowed or ()
    return {
        "lakehouse.offered_paths": tuple(one.path for one in narrowed),
        "lakehouse.offered_columns": tuple(one.column for one in narrowed),
        "lakehouse.offered_modes": tuple(one.mode for one in narrowed),
        "lakehouse.offered_candidates": tuple(one.candidates for one in narrowed),
    }


def _sent_conversation(row: Row) -> str | None:
    """Return the conversation id, if a receiver uses it."""
    name = row.conversation_id
    return name if name and name.isascii() and len(name) <= CONVERSATION_CHARS_MAX else None


def _checks_run(row: Row, attempt: Attempt) -> tuple[SpanName, ...]:
    if not attempt.findings:
        return _CHECKS if row.kind is not None else _CHECKS[:2]
    if not _extracted(attempt):
        return _CHECKS[:1]
    return _CHECKS[:2] if _schema_failed(attempt) else _CHECKS


def _extracted(attempt: Attempt) -> bool:
    """Whether the answer contained JSON. A row that had to be cut may not have it any more."""
    return (
        attempt.artifact != NULL
        or attempt.artifact_truncated is not msgspec.UNSET
        or all(finding.code in _AFTER_EXTRACTION for finding in attempt.findings)
    )


def _schema_failed(attempt: Attempt) -> bool:
    return any(finding.code in _BY_SCHEMA for finding in attempt.findings)


_AFTER_EXTRACTION: Final = {code for code, steps in FOUND_BY.items() if "extraction" not in steps}
_BY_SCHEMA: Final = {code for code, steps in FOUND_BY.items() if "schema" in steps}
