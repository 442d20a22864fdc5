"""Calls through an HTTP proxy: which go through it, how they are put, and what its troubles are."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
import uvloop

from lakehouse.transport.client import HttpClient, HttpLimits, HttpReply, TransportFault
from lakehouse.transport.proxy import Proxies, ProxyAddress
from support.raw_server import Exchange, RawServer
from support.waiting import WAIT_S

CERTIFICATE = Path(__file__).parents[2] / "support" / "untrusted_localhost.pem"
LIMITS = HttpLimits(60_000, 60_000, 60_000, 60_000, 4_096)


class TunnelProxy:
    """A proxy that opens the ways it is asked for, or answers CONNECT with bytes of the test's."""

    def __init__(self, answer: bytes = b"") -> None:
        self.heads: list[bytes] = []
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=WAIT_S)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        writers = [writer]
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            if self._answer:
                writer.write(self._answer)
                return
            port = int(head.split(b" ")[1].rpartition(b":")[2])
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
            writers.append(there_writer)
            writer.write(b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n")
            await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        except (asyncio.CancelledError, asyncio.IncompleteReadError, OSError):
            pass  # the test is over, or the client had enough
        finally:
            for one in writers:
                one.close()
                with contextlib.suppress(OSError):
                    await one.wait_closed()
            self._tasks.discard(task)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
    writer.close()


async def _ok(exchange: Exchange) -> None:
    await exchange.reply({"path": exchange.request.path})


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(CERTIFICATE)
    return context


def serving() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a case on either event loop: the daemons use uvloop, whose TLS is its own."""
    runner = asyncio.run if request.param == "asyncio" else uvloop.run
    return lambda case: runner(case())


def test_a_plain_call_names_the_whole_url_to_the_proxy(run: Run) -> None:
    """The proxy resolves the name; the model's own headers and the proxy's key are there."""

    async def case() -> None:
        async with RawServer(_ok) as proxy:
            address = f"http://user:p%40ss@127.0.0.1:{proxy.port}"
            client = HttpClient(proxies=Proxies.fixed(address))
            for _ in range(2):
                reply = await client.post(
                    "http://models.invalid:8000/v1/chat?x=1", headers={"a": "b"}, body=b"{}",
                    limits=LIMITS,
                )  # fmt: skip
                assert reply.status == 200
            await client.close()
            first = proxy.requests[0]
            assert first.path == "http://models.invalid:8000/v1/chat?x=1"
            assert first.header("host") == "models.invalid:8000"
            assert first.header("proxy-authorization") == "Basic dXNlcjpwQHNz"
            assert first.header("a") == "b"
            assert (proxy.connections, len(proxy.requests)) == (1, 2), "the connection is kept"

    run(case)


def test_a_tls_call_goes_through_a_tunnel_that_the_proxy_cannot_read(run: Run) -> None:
    """The proxy sees host and port; the certificate that counts is the server's."""

    async def case() -> None:
        async with RawServer(_ok, tls=serving()) as server, TunnelProxy() as proxy:
            url = proxy.url.replace("http://", "http://user:secret@")
            client = HttpClient(tls=trusting(), proxies=Proxies.fixed(url))
            for path in ("/a", "/b"):
                reply = await client.get(
                    f"https://localhost:{server.port}{path}", headers={"k": "v"}, limits=LIMITS
                )
                assert isinstance(reply, HttpReply)
                assert path.encode() in reply.body
            await client.close()
            [head] = proxy.heads
            assert head.startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % server.port)
            assert b"proxy-authorization: Basic" in head
            assert b"k: v" not in head
            assert [request.path for request in server.requests] == ["/a", "/b"]
            assert server.requests[0].header("proxy-authorization") is None

    run(case)


def test_a_server_behind_a_proxy_must_be_trusted_all_the_same(run: Run) -> None:
    """A tunnel is no reason to believe a certificate."""

    async def case() -> None:
        async with RawServer(_ok, tls=serving()) as server, TunnelProxy() as proxy:
            client = HttpClient(proxies=Proxies.fixed(proxy.url))
            with pytest.raises(TransportFault) as caught:
                await client.get(f"https://localhost:{server.port}/", headers={}, limits=LIMITS)
            assert caught.value.reason == "untrusted"
            assert len(proxy.heads) == 1
            assert server.requests == []
            await client.close()

    run(case)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "status 407"),
        (b"HTTP/1.0 502 Bad Gateway\r\nx: y\r\n\r\nbody", "status 502"),
        (b"SSH-2.0-x\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "unexpected bytes"),
        (b"x" * 40_000, "no HTTP"),
        (b"HTTP/1.1 200", "closed the connection"),
    ],
)
def test_a_proxy_that_does_not_open_the_way_is_named_as_the_trouble(
    run: Run, answer: bytes, told: str
) -> None:
    """Not the model's endpoint, which was never reached."""

    async def case() -> None:
        async with TunnelProxy(answer) as proxy:
            client = HttpClient(proxies=Proxies.fixed(proxy.url))
            with pytest.raises(TransportFault) as caught:
                await client.get("https://models.invalid/v1", headers={}, limits=LIMITS)
            fault = caught.value
            assert (fault.kind, fault.reason, fault.unsent) == ("connect", "proxy", True)
            assert told in fault.detail
            assert len(proxy.heads) == 1
            await client.close()

    run(case)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_down_is_named_as_the_trouble(run: Run, scheme: str) -> None:
    """The address that does not answer is the proxy's."""

    async def case() -> None:
        async with RawServer(_ok) as gone:
            url = gone.url
        client = HttpClient(proxies=Proxies.fixed(url))
        with pytest.raises(TransportFault) as caught:
            await client.get(f"{scheme}://models.invalid/", headers={}, limits=LIMITS)
        assert caught.value.reason == "proxy"
        assert "the proxy cannot be reached: connection refused" in caught.value.detail
        await client.close()

    run(case)


def test_a_proxy_that_hangs_is_given_up_within_the_limit(run: Run) -> None:
    """The whole way counts as connecting."""

    async def case() -> None:
        hung = asyncio.Event()

        async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hung.wait()
            writer.close()

        server = await asyncio.start_server(hang, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        client = HttpClient(proxies=Proxies.fixed(url))
        limits = msgspec.structs.replace(LIMITS, connect_ms=200)
        with pytest.raises(TransportFault) as caught:
            await client.get("https://models.invalid/", headers={}, limits=limits)
        assert caught.value.kind == "timeout_connect"
        hung.set()
        await client.close()
        server.close()

    run(case)


PROXY = ProxyAddress("proxy", 3128)
ENVIRONMENT = {
    "HTTP_PROXY": "http://plain:1",
    "https_proxy": "secure:2",
    "NO_PROXY": "internal, .corp.example, 10.0.0.0/8, exact.example:8443, ::1, *.star.example",
}


@pytest.mark.parametrize(
    ("tls", "host", "port", "found"),
    [
        (False, "models.example.com", 80, "plain:1"),
        (True, "models.example.com", 443, "secure:2"),
        (True, "internal", 443, None),
        (True, "a.internal", 443, None),
        (True, "notinternal", 443, "secure:2"),
        (True, "api.corp.example", 443, None),
        (True, "API.CORP.EXAMPLE", 443, None),
        (True, "corp.example", 443, None),
        (False, "10.1.2.3", 8000, None),
        (False, "11.1.2.3", 8000, "plain:1"),
        (True, "exact.example", 8443, None),
        (True, "exact.example", 443, "secure:2"),
        (True, "a.star.example", 443, None),
        (False, "127.0.0.1", 11434, None),
        (False, "127.8.8.8", 11434, None),
        (False, "localhost", 8000, None),
        (False, "::1", 8000, None),
    ],
)
def test_the_environment_says_who_goes_through_which_proxy(
    tls: bool, host: str, port: int, found: str | None
) -> None:
    """By scheme; not those of NO_PROXY, by name, net or port; never this machine itself."""
    address = Proxies.of_environment(ENVIRONMENT).find(tls=tls, host=host, port=port)
    assert (None if address is None else str(address)) == found


def test_no_proxy_of_a_star_and_no_variables_mean_straight() -> None:
    """And ALL_PROXY stands in for both."""
    for environment in ({}, {"HTTP_PROXY": ""}, {"ALL_PROXY": "p:1", "no_proxy": "*"}):
        assert Proxies.of_environment(environment).find(tls=True, host="h", port=1) is None
    found = Proxies.of_environment({"ALL_PROXY": "http://p"}).find(tls=False, host="h", port=1)
    assert str(found) == "p:80"


@pytest.mark.parametrize(
    "text", ["socks5://p:1", "https://p:1", "http://", "http://p:x", "http://p:1/path", "ftp://p"]
)
def test_a_proxy_that_cannot_be_used_is_refused_without_its_password(text: str) -> None:
    """The variable is named, its value is not repeated."""
    with pytest.raises(ValueError) as caught:
        Proxies.of_environment({"HTTPS_PROXY": text.replace("p:", "user:canary@p:")})
    assert "$HTTPS_PROXY" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_proxy_that_is_configured_holds_for_this_machine_too() -> None:
    """Whoever names it means it; its password is not printed."""
    proxies = Proxies.fixed("http://user:canary@proxy:3128")
    address = proxies.find(tls=False, host="127.0.0.1", port=1)
    assert str(address) == "proxy:3128"
    assert "canary" not in repr(address)
