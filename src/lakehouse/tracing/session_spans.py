"""From a session's row to its spans, for one that just ended and for a row of last month alike.

Pure: what it makes depends on its arguments only, ids included.

    request ── session ─┬─ attempt ─┬─ generation
                        │           ├─ extraction
                        │           ├─ schema        unless extraction failed
                        │           └─ grounding     unless the schema did not hold
                        └─ log append
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from lakehouse.core.context import SESSION_SPAN
from lakehouse.core.ids import derived_span_bytes
from lakehouse.core.json_text import NULL
from lakehouse.core.observation import SessionEnded
from lakehouse.core.row import Row
from lakehouse.core.session import Attempt
from lakehouse.core.trace_context import SAMPLED
from lakehouse.tracing import templates
from lakehouse.tracing.content import cut, cut_raw, json_text, messages
from lakehouse.tracing.request_span import resent_request_span
from lakehouse.tracing.span import AttributeValue, Span, SpanName, Trace, raw_id, session_pairs
from lakehouse.tracing.templates import Codes
from lakehouse.tracing.timeline import AttemptLine, Timeline, estimated, measured

CONVERSATION_CHARS_MAX: Final = 200  # Langfuse takes no longer session id, and ASCII only
REPLAY_DAEMON: Final = "replay"

_CHECKS: Final[tuple[SpanName, ...]] = ("extraction", "schema", "grounding")

_Attributes = dict[str, AttributeValue]


def session_spans(ended: SessionEnded, *, content: bool) -> list[Span]:
    """Make the spans of a session that ended in this process, below its request's span if any."""
    row, context = ended.row, ended.context
    trace = _trace(row, flags=context.flags, tracestate=context.tracestate)
    line = measured(row, ended.times)
    session = _Session(row, trace, line, logged=ended.logged, content=content)
    own = raw_id(context.span_id)
    return list(session.spans(None if own == session.span_id else own))


def span_count(ended: SessionEnded) -> int:
    """Say how many spans `session_spans` makes, without making them."""
    row = ended.row
    checks = sum(len(_checks_run(row, attempt)) for attempt in row.attempts)
    return 2 + 2 * len(ended.times.attempts) + checks


def resent_spans(row: Row, *, content: bool) -> list[Span]:
    """Make the spans of a logged session again, under the ids that they had.

    What no row carries is missing: the caller's own span, attempts that failed before they were
    judged, and how an attempt's time was divided. The request stands for that of the first daemon.
    """
    replayed = row.daemon == REPLAY_DAEMON
    line = estimated(row)
    trace = _trace(row, flags=SAMPLED, tracestate=None)
    session = _Session(row, trace, line, logged=True, content=content, resent=True)
    if replayed:  # no request of its own: the session is the root
        return list(session.spans(None))
    root = resent_request_span(row, line)
    return [root, *session.spans(root.span_id)]


def _trace(row: Row, *, flags: int, tracestate: str | None) -> Trace:
    pairs = session_pairs(row.session_id, row.row_id)
    conversation = _sent_conversation(row)
    if conversation is not None:
        pairs += (("session.id", conversation),)
    return Trace(row.trace_id, flags, tracestate, pairs)


class _Session:
    """One session on its way to spans."""

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
        self.span_id = derived_span_bytes(row.row_id, SESSION_SPAN)
        conversation = _sent_conversation(row)
        self._conversation: _Attributes = (
            {} if conversation is None else {"gen_ai.conversation.id": conversation}
        )
        error = row.error
        self._failure = None if error is None else f"{error.code}: {error.message}"

    def spans(self, parent_span_id: bytes | None) -> Iterator[Span]:
        """Make the session's span and all below it."""
        row, line = self._row, self._line
        yield self._session(parent_span_id)
        judged = {raw_id(attempt.span_id): attempt for attempt in row.attempts}
        for times in line.attempts:
            attempt = judged.get(times.span_id)
            if attempt is None:
                yield from self._failed_attempt(times)
            else:
                codes = tuple(finding.code for finding in attempt.findings)
                yield self._attempt(times, attempt, codes)
                yield self._generation(times, attempt)
                yield from self._checks(times, attempt, codes)
        yield Span(
            templates.log_append(logged=self._logged),
            self._trace,
            derived_span_bytes(row.row_id, "log append"),
            self.span_id,
            line.ended_ns,
            line.logged_ns,
            error=None if self._logged else "The row could not be made durable.",
        )

    def _session(self, parent_span_id: bytes | None) -> Span:
        row, line = self._row, self._line
        attributes = self._conversation.copy()
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
            error=self._failure,
        )

    def _attempt(self, times: AttemptLine, attempt: Attempt, codes: Codes) -> Span:
        attributes = self._findings(attempt, codes)
        if self._content:
            attributes["langfuse.observation.output"] = cut_raw(attempt.artifact)
            if attempt.told is not None:
                attributes["langfuse.observation.input"] = cut(attempt.told)
        return Span(
            templates.attempt(times.iteration, attempt.outcome, codes),
            self._trace,
            times.span_id,
            self.span_id,
            times.started_ns,
            times.ended_ns,
            attributes,
        )

    def _failed_attempt(self, times: AttemptLine) -> Iterator[Span]:
        """Make the spans of an attempt that failed before it was judged."""
        error = self._row.error
        code = None if error is None else error.code
        yield Span(
            templates.failed_attempt(times.iteration, code),
            self._trace,
            times.span_id,
            self.span_id,
            times.started_ns,
            times.ended_ns,
            error=self._failure,
        )
        yield self._generation(times, None)

    def _generation(self, times: AttemptLine, attempt: Attempt | None) -> Span:
        row = self._row
        attributes = self._conversation.copy()
        if times.iteration == 0:
            attributes |= self._sampling()
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
            derived_span_bytes(row.row_id, f"generation/{times.iteration}"),
            times.span_id,
            times.started_ns,
            times.ended_ns if times.answered_ns is None else times.answered_ns,
            attributes,
            error,
        )

    def _checks(self, times: AttemptLine, attempt: Attempt, codes: Codes) -> Iterator[Span]:
        """Make the spans of the checks that ran; the findings are those of the last."""
        answered_ns = times.answered_ns or times.started_ns
        extracted_ns = times.extracted_ns or times.ended_ns
        checked_ns = times.checked_ns or times.ended_ns
        moments_ns = (answered_ns, extracted_ns, checked_ns, times.ended_ns)
        parts = _checks_run(self._row, attempt)
        for place, part in enumerate(parts):
            found = codes if part == parts[-1] else ()
            attributes = self._findings(attempt, found)
            if part == "extraction":
                template = templates.extraction(times.iteration, found, len(attempt.repairs))
            else:
                template = templates.evaluation(part, times.iteration, found)
            if part == "grounding" and self._row.tables:
                attributes["lakehouse.tables"] = json_text(self._row.tables)
            yield Span(
                template,
                self._trace,
                derived_span_bytes(self._row.row_id, f"{part}/{times.iteration}"),
                times.span_id,
                moments_ns[place],
                moments_ns[place + 1],
                attributes,
            )

    def _findings(self, attempt: Attempt, found: Codes) -> _Attributes:
        """Give what the findings say, where there are any and content may be sent."""
        if not (found and self._content):
            return {}
        return {
            "lakehouse.finding_paths": tuple(finding.path for finding in attempt.findings),
            "lakehouse.findings": cut(json_text(attempt.findings)),
        }

    def _sampling(self) -> _Attributes:
        """Give what the caller set: later attempts may be asked otherwise, and no row says how."""
        settings = self._row.settings
        found: _Attributes = {}
        if settings.temperature != NULL:
            found["gen_ai.request.temperature"] = float(bytes(settings.temperature))
        if settings.max_tokens is not None:
            found["gen_ai.request.max_tokens"] = settings.max_tokens
        if settings.seed is not None:
            found["gen_ai.request.seed"] = settings.seed
        return found


def _sent_conversation(row: Row) -> str | None:
    """Give the conversation where a receiver takes its name."""
    name = row.conversation_id
    return name if name and name.isascii() and len(name) <= CONVERSATION_CHARS_MAX else None


def _checks_run(row: Row, attempt: Attempt) -> tuple[SpanName, ...]:
    if not attempt.findings:
        return _CHECKS if row.kind is not None else _CHECKS[:2]
    if not _extracted(attempt):
        return _CHECKS[:1]
    return _CHECKS[:2] if _schema_failed(attempt) else _CHECKS


def _extracted(attempt: Attempt) -> bool:
    """Whether JSON came out of the answer. A row that had to be cut may not hold it any more."""
    return (
        attempt.artifact != NULL
        or attempt.artifact_truncated is not msgspec.UNSET
        or all(finding.code in _AFTER_EXTRACTION for finding in attempt.findings)
    )


def _schema_failed(attempt: Attempt) -> bool:
    return any(finding.code in {"schema", "too_large"} for finding in attempt.findings)


_AFTER_EXTRACTION: Final = frozenset({"schema", "rule", "ungrounded"})
