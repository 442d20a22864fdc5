"""Which session a call belongs to: the id rules of contract section 2, as one pure function."""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Final

import msgspec

from lakehouse.core.ids import (
    REQUEST_SPAN,
    SESSION_SPAN,
    derived_span_id,
    is_session_id,
    new_id,
    new_span_id,
    trace_id_of,
)
from lakehouse.core.trace_context import (
    FLAGS_KNOWN,
    RANDOM,
    SAMPLED,
    TraceParent,
    parse_traceparent,
    parse_tracestate,
)

TRACE_ID_HEADER = "x-lakehouse-trace-id"
ROW_ID_HEADER = "x-lakehouse-row-id"
DEADLINE_HEADER = "x-lakehouse-deadline-ms"
REPLACED_HEADER = "x-lakehouse-trace-id-replaced"
LOAD_BUDGET_HEADER = "x-lakehouse-load-budget-ms"

current_session: Final[ContextVar[str | None]] = ContextVar("current_session", default=None)
"""The session that the running task works for; it is written to the lines of the daemon's log."""


class CallContext(msgspec.Struct, frozen=True):
    """The ids of one call in every daemon.

    `span_id` is this daemon's own span for the call and the parent of whatever it calls next.
    `link` is the caller's context if the header named another trace than the caller's. `flags` are
    W3C's: sampled, and whether the trace id is random. `tracestate` is passed on unchanged.
    `outermost`: none of our other daemons forwarded the call, and no session made it. `deadline_ms`
    and `load_budget_ms` are the time that an outer daemon has left for this call.
    """

    session_id: str
    trace_id: str
    row_id: str
    span_id: str
    parent_span_id: str | None = None
    link: TraceParent | None = None
    flags: int = SAMPLED
    tracestate: str | None = None
    trace_id_replaced: bool = False
    outermost: bool = False
    deadline_ms: int | None = None
    load_budget_ms: int | None = None

    @property
    def sampled(self) -> bool:
        """Whether spans of this call are recorded, as the caller decided."""
        return bool(self.flags & SAMPLED)

    def traceparent(self) -> str:
        """Write the `traceparent` of this daemon's span, for responses and the next hop.

        It is of version 00; unknown flag bits are sent as zero.
        """
        return f"00-{self.trace_id}-{self.span_id}-0{self.flags & FLAGS_KNOWN}"

    def trace_headers(self) -> dict[str, str]:
        """Return the W3C headers that pass the trace on to any receiver."""
        headers = {"traceparent": self.traceparent()}
        if self.tracestate is not None:
            headers["tracestate"] = self.tracestate
        return headers

    def hop_headers(self) -> dict[str, str]:
        """Return the headers that pass this call to an inner daemon, without deadlines."""
        headers = {
            TRACE_ID_HEADER: self.session_id,
            ROW_ID_HEADER: self.row_id,
            **self.trace_headers(),
        }
        if self.trace_id_replaced:
            headers[REPLACED_HEADER] = "true"
        return headers

    def child(self, span_id: str) -> "CallContext":
        """Return the same call under another of our spans, such as one attempt's."""
        return msgspec.structs.replace(
            self, span_id=span_id, parent_span_id=self.span_id, outermost=False
        )


def adopted(context: CallContext, session_id: str, row_id: str) -> CallContext:
    """Return the context of a session that another call began, for the call that goes on with it.

    With other ids its own span is the root of its trace, as for a session without a request.
    """
    if (context.session_id, context.row_id) == (session_id, row_id):
        return context
    return msgspec.structs.replace(
        context,
        session_id=session_id,
        trace_id=trace_id_of(session_id),
        row_id=row_id,
        span_id=derived_span_id(row_id, SESSION_SPAN),
        parent_span_id=None,
        link=None,
        tracestate=None,
    )


def session_context(session_id: str | None = None) -> CallContext:
    """Create the ids of a session without a request: its own span is the root of its trace.

    An invalid `session_id` is replaced, as one in a header is.
    """
    context = call_context(() if session_id is None else (session_id,), ())
    return msgspec.structs.replace(context, span_id=derived_span_id(context.row_id, SESSION_SPAN))


def call_context(
    trace_id_headers: Sequence[str],
    traceparents: Sequence[str],
    tracestates: Sequence[str] = (),
    *,
    minted_by_tracing: str | None = None,
    row_id: str | None = None,
    trace_id_replaced: bool = False,
    deadline_ms: int | None = None,
    load_budget_ms: int | None = None,
) -> CallContext:
    """Decide a call's ids. The first valid source wins: header, trace context, a new id.

    Args:
        trace_id_headers: Every `X-Lakehouse-Trace-Id` field; anything but one valid value is
            replaced, never echoed, and noted in `trace_id_replaced`.
        traceparents: Every `traceparent` field; ignored as a whole unless exactly one is valid.
        tracestates: Every `tracestate` field; ignored unless the caller's trace is continued.
        minted_by_tracing: The id that a tracing middleware minted for this request, if one did.
        row_id: Given by an inner hop only; minted otherwise.
        trace_id_replaced: Whether the outer daemon replaced a bad header, on an inner hop.
        deadline_ms: The outer daemon's remaining time for this call, on an inner hop.
        load_budget_ms: Likewise, for waiting while a model loads.
    """
    parent = parse_traceparent(traceparents) if traceparents else None
    header = trace_id_headers[0].strip(" \t") if len(trace_id_headers) == 1 else ""
    flags = SAMPLED
    if header and is_session_id(header):
        session_id = header
        trace_id = trace_id_of(session_id)
    elif parent is not None:
        session_id = trace_id = parent.trace_id
    else:
        session_id = trace_id = minted_by_tracing or new_id()
        flags |= RANDOM  # its last 7 bytes are random, and we created it
    link = parent
    parent_span_id = tracestate = None
    if parent is not None and parent.trace_id == trace_id:
        link, parent_span_id, flags = None, parent.span_id, parent.flags
        tracestate = parse_tracestate(tracestates) if tracestates else None
    outermost = row_id is None
    row_id = row_id or new_id()
    return CallContext(
        session_id=session_id,
        trace_id=trace_id,
        row_id=row_id,
        span_id=derived_span_id(row_id, REQUEST_SPAN) if outermost else new_span_id(),
        parent_span_id=parent_span_id,
        link=link,
        flags=flags,
        tracestate=tracestate,
        trace_id_replaced=trace_id_replaced or (bool(trace_id_headers) and session_id != header),
        outermost=outermost,
        deadline_ms=deadline_ms,
        load_budget_ms=load_budget_ms,
    )
