"""From a session's row to its spans, for one that just ended and for a row of last month alike.

Pure: what it makes depends on its arguments only, ids included.

    request ── session ─┬─ attempt ─┬─ generation
                        │           ├─ extraction
                        │           ├─ schema        unless extraction failed
                        │           └─ grounding     unless the schema did not hold
                        └─ log append
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from lakehouse.core.context import REQUEST_SPAN, SESSION_SPAN
from lakehouse.core.finding import Finding
from lakehouse.core.ids import derived_span_id
from lakehouse.core.json_text import NULL
from lakehouse.core.observation import SessionEnded
from lakehouse.core.row import Row
from lakehouse.core.session import Attempt
from lakehouse.tracing.content import cut, cut_raw, json_text, messages
from lakehouse.tracing.request_span import resent_request_span
from lakehouse.tracing.span import AttributeValue, Pairs, Span, SpanName
from lakehouse.tracing.timeline import AttemptLine, Timeline, estimated, measured

CONVERSATION_CHARS_MAX: Final = 200  # Langfuse takes no longer session id, and ASCII only
REPLAY_DAEMON: Final = "replay"

_Attributes = dict[str, AttributeValue]
_PLAIN: Final[Pairs] = (("langfuse.observation.type", "span"),)


def session_spans(ended: SessionEnded, *, content: bool) -> list[Span]:
    """Make the spans of a session that ended in this process, below its request's span if any."""
    own = derived_span_id(ended.row.row_id, SESSION_SPAN)
    return list(
        _Session(
            ended.row,
            measured(ended.row, ended.times),
            parent_span_id=None if ended.context.span_id == own else ended.context.span_id,
            flags=ended.context.flags,
            tracestate=ended.context.tracestate,
            logged=ended.logged,
            content=content,
        ).spans()
    )


def resent_spans(row: Row, *, content: bool) -> list[Span]:
    """Make the spans of a logged session again, under the ids that they had.

    What no row carries is missing: the caller's own span, attempts that failed before they were
    judged, and how an attempt's time was divided. The request stands for that of the first daemon.
    """
    replayed = row.daemon == REPLAY_DAEMON
    request_id = None if replayed else derived_span_id(row.row_id, REQUEST_SPAN)
    session = _Session(
        row,
        estimated(row),
        parent_span_id=request_id,
        flags=1,
        tracestate=None,
        logged=True,
        content=content,
        resent=True,
    )
    if replayed:  # no request of its own: the session is the root
        return list(session.spans())
    return [resent_request_span(row, session.line), *session.spans()]


class _Session:
    """One session on its way to spans."""

    def __init__(
        self,
        row: Row,
        line: Timeline,
        *,
        parent_span_id: str | None,
        flags: int,
        tracestate: str | None,
        logged: bool,
        content: bool,
        resent: bool = False,
    ) -> None:
        self._row = row
        self.line = line
        self._parent_span_id = parent_span_id
        self._flags = flags
        self._tracestate = tracestate
        self._logged = logged
        self._content = content
        self._resent = resent
        self._span_id = derived_span_id(row.row_id, SESSION_SPAN)
        self._ids: Pairs = (
            ("lakehouse.session_id", row.session_id),
            ("lakehouse.row_id", row.row_id),
        )
        conversation = row.conversation_id
        if conversation and conversation.isascii() and len(conversation) <= CONVERSATION_CHARS_MAX:
            self._ids += (("session.id", conversation),)
            self._conversation: Pairs = (("gen_ai.conversation.id", conversation),)
        else:
            self._conversation = ()

    def spans(self) -> Iterator[Span]:
        """Make the session's span and all below it."""
        line = self.line
        yield self._session()
        judged = {attempt.span_id: attempt for attempt in self._row.attempts}
        for iteration, times in enumerate(line.attempts):
            yield from self._attempt(iteration, times, judged.get(times.span_id))
        attributes: _Attributes = {"lakehouse.logged": self._logged}
        error = None if self._logged else "The row could not be made durable."
        yield self._span(
            "log append", attributes, self._span_id, line.ended_ns, line.logged_ns, error=error
        )

    def _session(self) -> Span:
        row = self._row
        constant: Pairs = (
            ("langfuse.observation.type", "chain"),
            ("langfuse.trace.name", row.kind or "iterate"),
            ("lakehouse.verdict", row.verdict),
            ("lakehouse.iterations", row.iterations),
            ("lakehouse.model_alias", row.model_alias),
            ("lakehouse.daemon", row.daemon),
            ("lakehouse.config_digest", row.config_digest),
            ("lakehouse.kind_digest", row.kind_digest),
            ("lakehouse.logged", self._logged),
        )
        optional: tuple[tuple[str, AttributeValue | None], ...] = (
            ("lakehouse.kind", row.kind),
            ("lakehouse.accepted_iteration", row.accepted_iteration),
            ("lakehouse.grounded", row.grounded),
            ("error.type", row.error.code if row.error is not None else None),
            ("lakehouse.resent", self._resent or None),
        )
        attributes: _Attributes = {name: value for name, value in optional if value is not None}
        if row.attempts:
            attributes["lakehouse.finding_codes"] = _codes(row.attempts[-1].findings)
        if row.metadata:
            attributes["langfuse.trace.metadata"] = json_text(row.metadata)
        if self._content:
            prompt, artifact = cut(row.prompt), cut_raw(row.artifact)
            for scope in ("trace", "observation"):
                attributes[f"langfuse.{scope}.input"] = prompt
                attributes[f"langfuse.{scope}.output"] = artifact
        return self._span(
            "session",
            attributes,
            self._parent_span_id,
            self.line.started_ns,
            self.line.logged_ns,
            span_id=self._span_id,
            shared=(constant, self._conversation),
            error=None if row.error is None else f"{row.error.code}: {row.error.message}",
        )

    def _attempt(
        self, iteration: int, times: AttemptLine, attempt: Attempt | None
    ) -> Iterator[Span]:
        """Make an attempt's spans; without `attempt` it failed before it was judged."""
        row = self._row
        attributes: _Attributes = {"lakehouse.iteration": iteration}
        failure = None
        if attempt is not None:
            attributes["lakehouse.outcome"] = attempt.outcome
            attributes |= self._found(attempt.findings)
            if self._content:
                attributes["langfuse.observation.output"] = cut_raw(attempt.artifact)
                if attempt.told is not None:
                    attributes["langfuse.observation.input"] = cut(attempt.told)
        elif row.error is not None:
            attributes["error.type"] = row.error.code
            failure = f"{row.error.code}: {row.error.message}"
        yield self._span(
            "attempt",
            attributes,
            self._span_id,
            times.started_ns,
            times.ended_ns,
            span_id=times.span_id,
            error=failure,
        )
        answered = times.answered_ns is not None
        yield self._generation(iteration, times, attempt, None if answered else failure)
        if attempt is not None:
            yield from self._checks(iteration, times, attempt)

    def _generation(
        self, iteration: int, times: AttemptLine, attempt: Attempt | None, failure: str | None
    ) -> Span:
        row = self._row
        constant: Pairs = (
            ("langfuse.observation.type", "generation"),
            ("lakehouse.model_alias", row.model_alias),
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", row.provider),
            ("gen_ai.request.model", row.model),
        )
        attributes: _Attributes = {"lakehouse.iteration": iteration}
        if iteration == 0:
            attributes |= self._sampling()
        if attempt is not None:
            attributes["gen_ai.response.finish_reasons"] = (attempt.finish_reason,)
            if attempt.usage.prompt_tokens is not None:
                attributes["gen_ai.usage.input_tokens"] = attempt.usage.prompt_tokens
            if attempt.usage.completion_tokens is not None:
                attributes["gen_ai.usage.output_tokens"] = attempt.usage.completion_tokens
            if self._content:
                attributes |= messages(self._row, attempt)
        elif failure is not None and row.error is not None:
            attributes["error.type"] = row.error.code
        return self._span(
            "generation",
            attributes,
            times.span_id,
            times.started_ns,
            times.ended_ns if times.answered_ns is None else times.answered_ns,
            iteration=iteration,
            name=f"chat {row.model}",
            shared=(constant, self._conversation),
            client=True,
            error=failure,
        )

    def _checks(self, iteration: int, times: AttemptLine, attempt: Attempt) -> Iterator[Span]:
        answered_ns = times.answered_ns or times.started_ns
        extracted_ns = times.extracted_ns or times.ended_ns
        checked_ns = times.checked_ns or times.ended_ns
        findings = attempt.findings
        extracted = _extracted(attempt)
        held = extracted and not _schema_failed(attempt)
        attributes: _Attributes = {"lakehouse.repairs": len(attempt.repairs)}
        found = () if extracted else findings
        ran_ns = answered_ns, extracted_ns
        yield self._check("extraction", iteration, attempt, ran_ns, found, attributes)
        if extracted:
            found = () if held else findings
            yield self._check("schema", iteration, attempt, (extracted_ns, checked_ns), found)
        if held and self._row.kind is not None:
            attributes = {"lakehouse.tables": json_text(self._row.tables)}
            ran_ns = checked_ns, times.ended_ns
            yield self._check("grounding", iteration, attempt, ran_ns, findings, attributes)

    def _check(  # noqa: PLR0917  facts of one check, in the order of its span
        self,
        part: SpanName,
        iteration: int,
        attempt: Attempt,
        ran_ns: tuple[int, int],
        findings: Sequence[Finding],
        attributes: _Attributes | None = None,
    ) -> Span:
        constant: Pairs = (
            ("langfuse.observation.type", "span" if part == "extraction" else "evaluator"),
            ("lakehouse.iteration", iteration),
            ("lakehouse.passed", not findings),
        )
        attributes = {**(attributes or {}), **self._found(findings)}
        return self._span(
            part, attributes, attempt.span_id, *ran_ns, iteration=iteration, shared=(constant,)
        )

    def _found(self, findings: Sequence[Finding]) -> _Attributes:
        if not findings:
            return {}
        found: _Attributes = {
            "langfuse.observation.level": "WARNING",
            "lakehouse.finding_codes": _codes(findings),
        }
        if self._content:
            found["lakehouse.finding_paths"] = tuple(finding.path for finding in findings)
            found["lakehouse.findings"] = cut(json_text(findings))
        return found

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

    def _span(
        self,
        part: SpanName,
        attributes: _Attributes,
        parent_span_id: str | None,
        start_ns: int,
        end_ns: int,
        *,
        span_id: str | None = None,
        iteration: int | None = None,
        shared: tuple[Pairs, ...] = (_PLAIN,),
        name: str | None = None,
        client: bool = False,
        error: str | None = None,
    ) -> Span:
        row_id = self._row.row_id
        within = part if iteration is None else f"{part}/{iteration}"
        return Span(
            part=part,
            name=name or part,
            trace_id=self._row.trace_id,
            span_id=span_id or derived_span_id(row_id, within),
            parent_span_id=parent_span_id,
            start_ns=start_ns,
            end_ns=max(start_ns, end_ns),
            attributes=attributes,
            shared=(self._ids, *shared),
            kind="client" if client else "internal",
            error=error,
            flags=self._flags,
            tracestate=self._tracestate,
        )


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


def _codes(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(finding.code for finding in findings)
