"""An observer that turns finished work into spans and scores, and sends them to the receiver.

They are built and encoded in the loop's next turn, so that no reply waits for it.
"""

import asyncio
import logging
import os
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Final

from lakehouse.core.context import session_context
from lakehouse.core.errors import SetupError
from lakehouse.core.observation import ModelCallEnded, RequestEnded, SessionEnded
from lakehouse.core.row import Row
from lakehouse.tracing.channel import Channel, Delivered, Receiver
from lakehouse.tracing.door_spans import chat_span, request_span
from lakehouse.tracing.intake import Destination, ScoreIntake
from lakehouse.tracing.otlp import encode_batch, encode_resource, encode_spans, rejected_spans
from lakehouse.tracing.session_spans import resent_spans, session_spans, span_count
from lakehouse.tracing.span import Span, Template, Trace, raw_id
from lakehouse.transport.client import HttpClient

_LOG = logging.getLogger(__name__)

FLUSH_S_MAX: Final = 3.0  # at the end of a daemon, after its drain


class Tracer:
    """Exports the spans of one process. Cost: about 0.1 ms of CPU per session, after its reply.

    With a full queue it builds no spans and only counts them: a failing receiver costs a session
    less than a working one.

    Args:
        destination: Where spans go.
        service: `service.name` of this process, if the environment does not set it.
        version: `service.version`.
        content: Whether prompts and outputs are included.
    """

    def __init__(
        self, destination: Destination, *, service: str, version: str, content: bool
    ) -> None:
        self.destination = destination
        self._content = content
        self._http = HttpClient(tls=_tls(destination))
        self._spans = Channel("spans", _span_receiver(destination, service, version), self._http)
        self._ended: list[tuple[Channel, Callable[[], Sequence[bytes]]]] = []
        self._scores: tuple[Channel, ScoreIntake] | None = None
        if destination.scores is not None:
            receiver = _score_receiver(destination, destination.scores)
            self._scores = Channel("scores", receiver, self._http), destination.scores

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The queues, to count waiting and dropped items."""
        return (self._spans,) if self._scores is None else (self._spans, self._scores[0])

    def request(self, ended: RequestEnded) -> None:
        if ended.context.sampled:
            self._soon(self._spans, lambda: self._encoded([request_span(ended)]))

    def session(self, ended: SessionEnded) -> None:
        if not ended.context.sampled:
            return
        self._soon(
            self._spans,
            lambda: self._encoded(session_spans(ended, content=self._content)),
            lambda: span_count(ended),
        )
        if self._scores is not None:
            channel, scores = self._scores
            row = ended.row
            self._soon(channel, lambda: scores.encode(row), lambda: scores.count(row))

    def model_call(self, ended: ModelCallEnded) -> None:
        """Queue the span of a direct model call; a session's calls are traced from its row."""
        if ended.context.sampled and ended.context.outermost:
            self._soon(
                self._spans, lambda: self._encoded([chat_span(ended, content=self._content)])
            )

    async def resend(self, rows: Sequence[Row]) -> Delivered:
        """Send the traces of logged sessions now, with their original ids.

        A row of another program with an invalid time, or a span with an invalid id, is dropped.
        """
        done = Delivered()
        encoded: list[bytes] = []
        for row in rows:
            try:
                spans = resent_spans(row, content=self._content)
            except ValueError as error:
                done.drop("invalid", 1, f"no trace for row {row.row_id!r}: {error}")
            else:
                encoded += _encoded(spans, done)
        done.add(await self._spans.deliver(encoded))
        if self._scores is not None:
            channel, scores = self._scores
            verdicts = [score for row in rows for score in scores.encode(row)]
            done.add(await channel.deliver(verdicts))
        return done

    async def probe(self) -> tuple[str, Delivered]:
        """Send one test span now, once; returns its trace id and the result."""
        context = session_context()
        now_ns = time.time_ns()
        span = Span(
            Template("request", "lakehouse doctor", "internal", ()),
            Trace.of(context),
            raw_id(context.span_id),
            None,
            now_ns,
            now_ns,
        )
        done = Delivered()
        done.add(await self._spans.deliver(_encoded([span], done), retries=0))
        return context.trace_id, done

    def totals(self) -> dict[tuple[str, ...], float]:
        """Return counts of sent and dropped items by channel and reason; sent has no reason."""
        found: dict[tuple[str, ...], float] = {}
        for channel in self.channels:
            found[channel.name, ""] = channel.total.sent
            for reason, count in channel.total.dropped.items():
                found[channel.name, reason] = count
        return found

    async def close(self) -> None:
        """Send waiting items for a limited time, and close the connections."""
        self._make()
        try:
            await asyncio.gather(*(channel.close(FLUSH_S_MAX) for channel in self.channels))
        finally:
            await self._http.close()
        for channel in self.channels:
            if channel.total.dropped:
                _LOG.warning(
                    "%s: %d sent, dropped: %s; `lakehouse trace resend` sends them from the log",
                    channel.name,
                    channel.total.sent,
                    ", ".join(
                        f"{count} {reason}" for reason, count in channel.total.dropped.items()
                    ),
                )

    def _encoded(self, spans: Sequence[Span]) -> list[bytes]:
        return _encoded(spans, self._spans.total)

    def _soon(
        self,
        channel: Channel,
        make: Callable[[], Sequence[bytes]],
        count: Callable[[], int] = lambda: 1,
    ) -> None:
        """Build and offer items in the loop's next turn; with a full queue only count them."""
        if channel.full:
            channel.overflow(count())
            return
        if not self._ended:
            asyncio.get_running_loop().call_soon(self._make)
        self._ended.append((channel, make))

    def _make(self) -> None:
        """Build the spans of all work that ended in the last turn."""
        ended, self._ended = self._ended, []
        for channel, make in ended:
            try:
                channel.offer(make())
            except Exception:  # noqa: BLE001  the boundary: tracing may fail, the work may not
                _LOG.exception("a trace could not be made")


def _encoded(spans: Sequence[Span], count_in: Delivered) -> list[bytes]:
    """Encode spans one by one: one that cannot be is dropped alone."""

    def drop(span: Span, why: str) -> None:
        count_in.drop("invalid", 1, f"a span {span.part!r} is not valid: {why}")

    return encode_spans(spans, drop)


def _tls(destination: Destination) -> ssl.SSLContext | None:
    if destination.certificate is None:
        return None
    try:
        return ssl.create_default_context(cafile=destination.certificate)
    except (OSError, ssl.SSLError) as error:
        raise SetupError(
            f"OTEL_EXPORTER_OTLP_CERTIFICATE: {destination.certificate!r} cannot be read: {error}."
        ) from error


def _span_receiver(destination: Destination, service: str, version: str) -> Receiver:
    attributes = {
        "service.name": service,
        "service.version": version,
        "service.instance.id": f"{os.uname().nodename}-{os.getpid()}",
        "telemetry.sdk.name": "lakehouse",
        "telemetry.sdk.language": "python",
        **destination.resource,
    }
    resource = encode_resource(attributes)
    return Receiver(
        url=destination.traces_url,
        headers={**destination.headers, "content-type": "application/x-protobuf"},
        timeout_ms=destination.timeout_ms,
        gzip=destination.gzip,
        batch=lambda items: encode_batch(resource, items),
        rejected=lambda reply: rejected_spans(reply.body),
    )


def _score_receiver(destination: Destination, scores: ScoreIntake) -> Receiver:
    return Receiver(
        url=scores.url,
        headers={**destination.headers, "content-type": "application/json"},
        timeout_ms=destination.timeout_ms,
        gzip=False,
        batch=scores.batch,
        rejected=lambda reply: scores.rejected(reply.body),
    )
