"""The queue to a receiver: batches, bounds, retries, halving, the end; and nobody waits."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from lakehouse.tracing import channel as channel_module
from lakehouse.tracing.channel import (
    BATCH_BYTES_MAX,
    BATCH_ITEMS_MAX,
    CALLS_MAX,
    Channel,
    Delivered,
    Receiver,
)
from lakehouse.tracing.intake import IntakeUrl
from lakehouse.transport.client import HttpClient
from support.raw_server import Exchange, RawServer
from support.stack import free_port
from support.steady_loop import run_steadily
from support.waiting import WAIT_S

AMPLE_MS = 60_000


def items(count: int) -> list[bytes]:
    return [b"item-%06d" % number for number in range(count)]


def bodies(server: RawServer) -> list[list[bytes]]:
    return [request.body.split(b",") for request in server.requests]


def channel(
    url: str, http: HttpClient, *, timeout_ms: int = AMPLE_MS, **changes: object
) -> Channel:
    receiver = Receiver(
        url=IntakeUrl(url),
        headers={"authorization": "Basic x"},
        timeout_ms=timeout_ms,
        gzip=False,
        batch=b",".join,
        rejected=lambda reply: int(reply.headers.get("x-rejected", "0")),
    )
    return Channel("spans", receiver, http, **{"linger_s": 0.02, **changes})  # type: ignore[arg-type]


def run(
    handler: Callable[[Exchange], Awaitable[None]],
    use: Callable[[Channel], Awaitable[object]],
    *,
    end_s: float = WAIT_S,
    timeout_ms: int = AMPLE_MS,
    **changes: object,
) -> tuple[Channel, RawServer]:
    """Serve `handler` while `use` has a channel to it; the time of the loop stands in pauses."""

    async def whole() -> tuple[Channel, RawServer]:
        async with RawServer(handler) as server:
            http = HttpClient()
            made = channel(server.url + "/v1/traces", http, timeout_ms=timeout_ms, **changes)
            await use(made)
            await made.close(end_s)
            await http.close()
            return made, server

    return run_steadily(whole())


async def until(condition: Callable[[], object]) -> None:
    """Wait for what must come."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)


async def take(exchange: Exchange) -> None:
    await exchange.reply(b"")


def answering(*statuses: int, headers: list[tuple[str, str]] | None = None):
    """Answer with these, in order; with the last for ever."""
    left = list(statuses)

    async def handler(exchange: Exchange) -> None:
        status = left.pop(0) if len(left) > 1 else left[0]
        await exchange.reply(b"", status, headers)

    return handler


async def deliver(made: Channel, count: int, done: list[Delivered]) -> None:
    done.append(await made.deliver(items(count)))


@pytest.fixture
def no_backoff(monkeypatch):
    monkeypatch.setattr(channel_module, "BACKOFF_S_MAX", 0.01)


def test_what_is_offered_arrives_in_batches_in_order():
    """Offers within a moment share a body; a full batch does not wait for the moment."""

    async def use(made: Channel) -> None:
        for item in items(BATCH_ITEMS_MAX + 10):
            made.offer([item])
        assert made.depth == BATCH_ITEMS_MAX + 10

    made, server = run(take, use, linger_s=0.2)
    assert [len(body) for body in bodies(server)] == [BATCH_ITEMS_MAX, 10]
    assert [item for body in bodies(server) for item in body] == items(BATCH_ITEMS_MAX + 10)
    assert (made.total.sent, made.total.dropped, made.depth) == (BATCH_ITEMS_MAX + 10, {}, 0)
    assert server.requests[0].header("authorization") == "Basic x"


def test_a_batch_is_bounded_in_bytes():
    big = b"x" * (BATCH_BYTES_MAX // 2 + 1)

    async def use(made: Channel) -> None:
        made.offer([big, big, big])

    _, server = run(take, use)
    assert [len(body) for body in bodies(server)] == [2, 1]


def test_the_channel_goes_on_after_a_pause():
    async def use(made: Channel) -> None:
        made.offer([b"first"])
        await until(lambda: made.total.sent == 1)
        made.offer([b"second"])

    made, server = run(take, use)
    assert bodies(server) == [[b"first"], [b"second"]]
    assert made.total.sent == 2


def test_what_does_not_fit_is_dropped_whole_and_counted_and_nobody_waits():
    """The receiver hangs; ten thousand offers end without it, and every item is accounted for."""
    hung = asyncio.Event()

    async def hang(exchange: Exchange) -> None:
        hung.set()
        await exchange.client_gone()

    async def use(made: Channel) -> None:
        made.offer([b"x" * 100])
        await hung.wait()
        for _ in range(10_000):  # no `await`: nobody waits
            made.offer([b"x" * 100, b"y" * 100])
        assert made.total.dropped["queue_full"] == 20_000 - 10
        assert made.depth == 1 + 10

    made, _ = run(hang, use, end_s=0.1, queue_bytes_max=1_000)
    assert made.total.sent == 0
    assert sum(made.total.dropped.values()) == 20_001


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_otlp_allows_is_tried_again(status, no_backoff):
    """With the very same body."""
    done: list[Delivered] = []
    _, server = run(answering(status, status, 200), lambda made: deliver(made, 3, done))
    assert bodies(server) == [items(3)] * 3
    assert (done[0].sent, done[0].dropped) == (3, {})


def test_retries_end(no_backoff):
    done: list[Delivered] = []
    _, server = run(answering(503), lambda made: deliver(made, 3, done))
    assert len(server.requests) == channel_module.RETRIES_MAX + 1
    assert done[0].dropped == {"unreachable": 3}
    assert "503" in done[0].trouble


def test_retry_after_is_waited_for():
    done: list[Delivered] = []
    begun = time.monotonic()
    handler = answering(503, 200, headers=[("retry-after", "1")])
    run(handler, lambda made: deliver(made, 1, done))
    assert time.monotonic() - begun >= 1.0
    assert done[0].sent == 1


@pytest.mark.parametrize("status", [301, 401, 403, 404, 500, 501])
def test_what_otlp_forbids_to_try_again_is_dropped_at_once(status):
    done: list[Delivered] = []
    _, server = run(answering(status), lambda made: deliver(made, 3, done))
    assert len(server.requests) == 1
    assert done[0].dropped == {"refused": 3}
    assert str(status) in done[0].trouble


def test_a_receiver_that_is_not_there_is_unreachable(no_backoff):
    async def whole() -> Delivered:
        http = HttpClient()
        done = await channel(f"http://127.0.0.1:{free_port()}/", http).deliver(items(2))
        await http.close()
        return done

    done = asyncio.run(whole())
    assert done.dropped == {"unreachable": 2}
    assert "connect" in done.trouble


def test_a_receiver_that_hangs_is_given_up_within_its_time(no_backoff, monkeypatch):
    monkeypatch.setattr(channel_module, "RETRIES_MAX", 0)
    done: list[Delivered] = []

    async def hang(exchange: Exchange) -> None:
        await exchange.client_gone()

    async def use(made: Channel) -> None:
        done.append(await made.deliver(items(2), retries=0))

    run(hang, use, timeout_ms=300)
    assert done[0].dropped == {"unreachable": 2}
    assert "timeout_total" in done[0].trouble  # not by its end, after a minute


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("bad", [0, 37, 63])
def test_one_bad_item_takes_no_other_along(status, bad):
    """The batch is halved until it stands alone; every other arrives exactly once."""
    taken: list[bytes] = []

    async def strict(exchange: Exchange) -> None:
        found = exchange.request.body.split(b",")
        if items(64)[bad] in found:
            await exchange.reply(b"", status)
        else:
            taken.extend(found)
            await exchange.reply(b"")

    done: list[Delivered] = []
    _, server = run(strict, lambda made: deliver(made, 64, done))
    assert sorted(taken) == [item for item in items(64) if item != items(64)[bad]]
    assert (done[0].sent, done[0].dropped) == (63, {"rejected": 1})
    assert len(server.requests) <= 13


def test_a_receiver_that_refuses_everything_is_not_asked_for_ever():
    done: list[Delivered] = []
    _, server = run(answering(400), lambda made: deliver(made, 512, done))
    assert len(server.requests) == CALLS_MAX
    assert done[0].dropped == {"rejected": 512}


def test_what_a_receiver_says_it_refused_is_counted():
    """Partial success: the rest was taken, and nothing is sent again."""
    done: list[Delivered] = []
    handler = answering(200, headers=[("x-rejected", "2")])
    _, server = run(handler, lambda made: deliver(made, 5, done))
    assert len(server.requests) == 1
    assert (done[0].sent, done[0].dropped) == (3, {"rejected": 2})


def test_what_waits_at_the_end_is_sent_without_lingering():
    async def use(made: Channel) -> None:
        made.offer(items(5))
        await made.close(WAIT_S)

    made, server = run(take, use, linger_s=10 * WAIT_S)
    assert bodies(server) == [items(5)]
    assert (made.total.sent, made.total.dropped) == (5, {})


def test_the_end_is_bounded_and_counts_what_it_could_not_send():
    """Also what is offered after it."""

    async def hang(exchange: Exchange) -> None:
        await exchange.client_gone()

    async def use(made: Channel) -> None:
        made.offer(items(5))
        await made.close(0.2)  # the call itself would end after a minute, and be tried again
        made.offer(items(2))

    made, _ = run(hang, use)
    assert made.total.sent == 0
    assert sum(made.total.dropped.values()) == 7


def test_a_receiver_that_comes_back_gets_what_still_waits(no_backoff):
    """Dropped while it was away: what could not be brought. After that: everything."""

    async def use(made: Channel) -> None:
        made.offer(items(1))
        await until(lambda: made.total.dropped)
        assert made.total.dropped == {"unreachable": 1}
        made.offer([b"late"])

    made, server = run(answering(*[503] * 5, 200), use)
    assert bodies(server)[-1] == [b"late"]
    assert (made.total.sent, made.total.dropped) == (1, {"unreachable": 1})


def lost_in(made: Channel, count: int) -> bool:
    return made.total.dropped.get("refused") == count


def test_losses_are_logged_once_a_minute(no_backoff, caplog):
    async def use(made: Channel) -> None:
        for lost in (1, 2, 3):
            made.offer(items(1))
            await until(partial(lost_in, made, lost))

    made, server = run(answering(403), use)
    assert len(server.requests) == 3
    assert made.total.dropped == {"refused": 3}
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "403" in caplog.text
