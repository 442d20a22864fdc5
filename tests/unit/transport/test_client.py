"""The HTTP client: each limit by itself, one request once, and nothing left running.

Every test runs on both event loops: asyncio's, and uvloop, which the daemons use.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

import lakehouse.transport.client as client_module
from lakehouse.transport.client import (
    HttpClient,
    TransportFault,
)
from support.http_calls import AMPLE, Run, fault_of, fine, limited, post
from support.raw_server import Exchange, RawServer
from support.waiting import WAIT_S

CERTIFICATE = Path(__file__).parents[2] / "support" / "untrusted_localhost.pem"


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run(coroutine: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(coroutine)

    return run


@pytest.fixture(autouse=True)
def _idle_connections_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the machine takes from one call to the next."""
    monkeypatch.setattr(client_module, "_IDLE_S", 600.0)


async def silent(exchange: Exchange) -> None:
    await exchange.client_gone()


def says(*parts: bytes, close: bool = False) -> Callable[[Exchange], Awaitable[None]]:
    async def handler(exchange: Exchange) -> None:
        for part in parts:
            await exchange.send(part)
            await asyncio.sleep(0.01)
        if close:
            exchange.writer.close()

    return handler


def test_a_request_is_sent_as_it_should_be(run: Run) -> None:
    """Method, path with query, host, length, the caller's headers; nothing compressed is asked."""

    async def case() -> None:
        async with RawServer(fine) as server:
            client = HttpClient()
            reply = await post(client, server.url + "/v1/x?y=%20z", traceparent="00-a-b-01")
            await client.get(server.url, headers={}, limits=AMPLE)
            await client.close()
            assert (reply.status, reply.body) == (200, b'{"fine": true}')
            sent, asked = server.requests
            assert (sent.method, sent.path, sent.body) == ("POST", "/v1/x?y=%20z", b'{"a":1}')
            assert sent.header("host") == f"127.0.0.1:{server.port}"
            assert sent.header("content-length") == "7"
            assert sent.header("traceparent") == "00-a-b-01"
            assert sent.header("accept-encoding") == "identity"
            assert (asked.method, asked.path, asked.body) == ("GET", "/", b"")
            assert asked.header("content-length") is None

    run(case())


@pytest.mark.parametrize(
    ("limit", "kind", "handler"),
    [
        ("first_byte_ms", "timeout_first_byte", silent),
        ("first_byte_ms", "timeout_first_byte", says(b"HTTP/1.1 200 OK\r\nx:", *[b"y"] * 50)),
        ("idle_ms", "timeout_idle", says(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", b" ")),
        ("total_ms", "timeout_total", silent),
        (
            "total_ms",
            "timeout_total",
            says(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n", *[b" "] * 50),
        ),
    ],
)
def test_each_limit_ends_a_call_by_itself(
    run: Run, limit: str, kind: str, handler: Callable[[Exchange], Awaitable[None]]
) -> None:
    """With every other limit ample, the call ends at this one, and says which it was.

    It goes over a connection that is there already, so that it is sent whatever the limit.
    """

    async def hold(exchange: Exchange) -> None:
        if exchange.request.path == "/first":
            await fine(exchange)
            return
        await handler(exchange)
        await exchange.client_gone()

    async def case() -> None:
        async with RawServer(hold) as server:
            client = HttpClient()
            await post(client, server.url + "/first")
            began = time.monotonic()
            fault = await fault_of(client, server.url, limited(**{limit: 150}))
            elapsed_ms = (time.monotonic() - began) * 1000
            await client.close()
            assert (fault.kind, fault.unsent) == (kind, False)
            assert elapsed_ms >= 149
            assert server.connections == 1

    run(case())


def test_a_handshake_that_does_not_end_is_a_connect_timeout(run: Run) -> None:
    """The connect limit covers TLS; nothing of the request has left by then."""

    async def case() -> None:
        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(4096):
                pass
            writer.close()

        server = await asyncio.start_server(hold, "127.0.0.1", 0)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        client = HttpClient()
        fault = await fault_of(client, url, limited(connect_ms=100))
        assert (fault.kind, fault.unsent) == ("timeout_connect", True)
        fault = await fault_of(client, url, limited(total_ms=100))
        assert (fault.kind, fault.unsent) == ("timeout_total", True)
        server.close()
        await asyncio.sleep(0.05)  # lets the handlers see the end of their connections

    run(case())


def test_an_unknown_authority_is_refused_and_a_trusted_one_is_not(run: Run) -> None:
    """Certificates are verified; who trusts an authority says so with a context."""

    async def case() -> None:
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(CERTIFICATE)
        trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
        async with RawServer(fine, tls=serving) as server:
            url = f"https://localhost:{server.port}"
            fault = await fault_of(HttpClient(), url)
            assert (fault.kind, fault.unsent) == ("connect", True)
            assert "CERTIFICATE_VERIFY_FAILED" in fault.detail
            assert server.requests == []
            client = HttpClient(tls=trusting)
            assert (await post(client, url)).status == 200
            fault = await fault_of(client, f"https://127.0.0.1:{server.port}")  # another name
            assert fault.kind == "connect"
            await client.close()
            await asyncio.sleep(0.05)  # lets the server's TLS see the end of its connections

    run(case())


def test_a_refused_connection_is_unsent_and_a_reset_one_is_not(run: Run) -> None:
    """Both are `connect`; only of the first is it sure that nobody acted on the request."""

    async def case() -> None:
        async def reset(exchange: Exchange) -> None:
            exchange.reset()

        client = HttpClient()
        async with RawServer(reset) as server:
            url = server.url
            fault = await fault_of(client, url)
            assert (fault.kind, fault.unsent) == ("connect", False)
            assert len(server.requests) == 1, "a POST was sent again"
        fault = await fault_of(client, url)
        assert (fault.kind, fault.unsent) == ("connect", True)

    run(case())


def test_cancelling_a_call_ends_it_at_the_server_too(run: Run) -> None:
    """Nobody goes on generating for a caller that is gone, before the answer or amid it."""

    async def case(*parts: bytes) -> None:
        asked, gone = asyncio.Event(), asyncio.Event()

        async def handler(exchange: Exchange) -> None:
            for part in parts:
                await exchange.send(part)
            asked.set()
            if await exchange.client_gone():
                gone.set()

        async with RawServer(handler) as server:
            client = HttpClient()
            call = asyncio.create_task(post(client, server.url))
            await asked.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            async with asyncio.timeout(WAIT_S):
                await gone.wait()

    run(case())
    run(case(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"))


def test_calls_one_after_another_share_a_connection(run: Run) -> None:
    """Keep-alive: five calls, one connection; calls at once get one each."""

    async def case() -> None:
        async with RawServer(fine) as server:
            client = HttpClient()
            for _ in range(5):
                await post(client, server.url)
            assert server.connections == 1
            await asyncio.gather(*(post(client, server.url) for _ in range(4)))
            assert server.connections == 4
            await client.close()

    run(case())


@pytest.mark.parametrize(
    "handler",
    [
        says(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"),
        says(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}"),
        says(b"HTTP/1.1 200 OK\r\n\r\n{", b"}", close=True),
        says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", close=True),
        says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{} "),
        says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", b"late"),
        says(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n[666]"
        ),
        says(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n[666]",
        ),
    ],
)
def test_a_connection_in_doubt_is_not_used_again(
    run: Run, handler: Callable[[Exchange], Awaitable[None]]
) -> None:
    """An answer that ends with its connection, or has something after it, serves one call."""

    async def case() -> None:
        async with RawServer(handler) as server:
            client = HttpClient()
            for _ in range(3):
                assert (await post(client, server.url)).body == b"{}"
                await server.forsaken()
                await asyncio.sleep(
                    0.01
                )  # all was sent: one turn of the loop, and the client has it
            assert server.connections == 3
            await client.close()

    run(case())


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers close idle connections; a request must not cross with that."""
    monkeypatch.setattr(client_module, "_IDLE_S", 0.02)

    async def case() -> None:
        async with RawServer(fine) as server:
            client = HttpClient()
            await post(client, server.url)
            await asyncio.sleep(0.05)
            await post(client, server.url)
            assert server.connections == 2
            await client.close()

    run(case())


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1",
         b"1"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n1\r\n0\r\nlink: y\r\n\r\n",
         b"1"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 503 No\r\nvary: a\r\nVary: b\r\ncontent-length: 1\r\n\r\n1", b"1"),
    ],
)  # fmt: skip
def test_every_whole_answer_is_given_as_it_came(run: Run, answer: bytes, body: bytes) -> None:
    """Interim answers and trailers are passed over; redirects and failures are just answers."""

    async def case() -> None:
        async with RawServer(says(answer)) as server:
            client = HttpClient()
            for _ in range(2):
                reply = await post(client, server.url)
                assert reply.body == body
                assert "link" not in reply.headers
            if reply.status == 503:
                assert reply.headers == {"vary": "a, b", "content-length": "1"}
            assert (server.connections, len(server.requests)) == (1, 2)
            await client.close()

    run(case())


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nx: y\r\n\r\n" * 4_000,
    ],
)
def test_what_was_not_asked_for_is_malformed(run: Run, answer: bytes) -> None:
    """No other protocol, framing in doubt, encoding, or endless interim answers."""

    async def case() -> None:
        async with RawServer(says(answer)) as server:
            fault = await fault_of(HttpClient(), server.url)
            assert fault.kind == "malformed", fault
            assert len(server.requests) == 1

    run(case())


@pytest.mark.parametrize("head", [b"content-length: 11", b"transfer-encoding: chunked"])
def test_a_body_may_be_as_long_as_the_limit_and_no_longer(run: Run, head: bytes) -> None:
    """The cap holds for a body of known and of unknown length."""

    async def case() -> None:
        body = b"b\r\n12345678901\r\n0\r\n\r\n" if b"chunked" in head else b"12345678901"
        async with RawServer(says(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body)) as server:
            client = HttpClient()
            reply = await post(client, server.url, limited(body_bytes_max=11))
            assert reply.body == b"12345678901"
            fault = await fault_of(client, server.url, limited(body_bytes_max=10))
            assert fault.kind == "too_large"

    run(case())


def test_proxies_of_the_environment_are_ignored(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt never goes to a machine that the configuration does not name."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def case() -> None:
        async with RawServer(fine) as server:
            client = HttpClient()
            assert (await post(client, server.url)).status == 200
            await client.close()

    run(case())


def test_closing_the_client_ends_calls_under_way(run: Run) -> None:
    """They end as faults, at once; nothing hangs on a closed client."""

    async def case() -> None:
        asked = asyncio.Event()

        async def handler(exchange: Exchange) -> None:
            asked.set()
            await exchange.client_gone()

        async with RawServer(handler) as server:
            client = HttpClient()
            call = asyncio.create_task(post(client, server.url))
            await asked.wait()
            await client.close()
            with pytest.raises(TransportFault, match="the client was closed"):
                await call

    run(case())
