"""What a tracer does with ended work while nobody takes anything."""

import asyncio
from collections.abc import Callable

import pytest

from lakehouse.core.context import call_context
from lakehouse.tracing import tracer as tracer_module
from lakehouse.tracing.channel import QUEUE_BYTES_MAX, Reason
from lakehouse.tracing.destination import find_destination
from lakehouse.tracing.langfuse import score_count, scores
from lakehouse.tracing.tracer import Tracer
from support.stack import free_port
from support.traced import (
    attempt,
    failed_row,
    model_call_ended,
    request_ended,
    row_of,
    session_ended,
)

SPANS_OF_A_SESSION = 7


def use(tracing: Callable[[Tracer], None]) -> dict[str, dict[Reason, int]]:
    """Run it with a tracer whose queues are full; gives what was dropped."""

    async def run() -> dict[str, dict[Reason, int]]:
        port = free_port()
        destination = find_destination(
            {
                "LANGFUSE_URL": f"http://127.0.0.1:{port}",
                "LANGFUSE_PUBLIC_KEY": "pk",
                "LANGFUSE_SECRET_KEY": "sk",
            }
        )
        assert destination is not None
        made = Tracer(destination, service="test", version="1", content=False)
        for channel in made.channels:
            channel.offer([b"x" * QUEUE_BYTES_MAX])
            channel.offer([b"x"])
            assert channel.full
        tracing(made)
        found = {channel.name: dict(channel.total.dropped) for channel in made.channels}
        await made.close()
        return found

    return asyncio.run(run())


def test_with_a_full_queue_nothing_is_made_and_all_of_it_is_counted(monkeypatch):
    """A receiver in trouble costs less than one that takes everything."""

    def made(*_: object, **__: object) -> list[object]:
        raise AssertionError("made for a full queue")

    for name in ("session_spans", "request_span", "chat_span"):
        monkeypatch.setattr(tracer_module, name, made)
    monkeypatch.setattr("lakehouse.tracing.langfuse.scores", made)
    context = call_context((), ())

    def tracing(tracer: Tracer) -> None:
        tracer.request(request_ended(context))
        tracer.session(session_ended(attempt(0), context=context))

    assert use(tracing) == {
        "spans": {"queue_full": 1 + 1 + SPANS_OF_A_SESSION},
        "scores": {"queue_full": 1 + 3},
    }


def test_a_trace_that_nobody_records_is_neither_made_nor_counted():
    """The caller's flags say so."""
    context = call_context((), ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"])

    def tracing(tracer: Tracer) -> None:
        tracer.request(request_ended(context))
        tracer.session(session_ended(attempt(0), context=context))
        tracer.model_call(model_call_ended(1.0, context=context))

    assert use(tracing) == {"spans": {"queue_full": 1}, "scores": {"queue_full": 1}}


@pytest.mark.parametrize("row", [row_of(call_context((), ())), failed_row(call_context((), ()))])
def test_scores_are_counted_without_being_made(row):
    assert score_count(row) == len(scores(row))


def test_what_ended_just_before_the_end_is_counted_too():
    """Its spans are made then; the receiver, which is not there, gets none of them."""

    async def run() -> dict[Reason, int]:
        destination = find_destination({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
        assert destination is not None
        tracer = Tracer(destination, service="test", version="1", content=False)
        tracer.request(request_ended(call_context((), ())))
        tracer.session(session_ended(attempt(0)))
        await tracer.close()
        [channel] = tracer.channels
        return dict(channel.total.dropped)

    assert sum(asyncio.run(run()).values()) == 1 + SPANS_OF_A_SESSION
