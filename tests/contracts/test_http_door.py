"""The public door under bytes that no good client sends: raw sockets to a real daemon."""

import json
import socket
from collections.abc import Iterator

import pytest

from support.raw_caller import BODY, CHUNKED, HOST, POST, Caller, chunk, live, status_of
from support.stack import SCRIPTED, running_stack

LIVE = b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"
# As the JDK's client and `curl --http2` send it.
H2C = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    directory = tmp_path_factory.mktemp("door")
    (directory / "script.json").write_text('{"matches": {"": ["{}"]}}')
    with running_stack(directory, SCRIPTED, apart=False) as processes:
        yield processes["gateway"].port
        assert "Traceback" not in processes["gateway"].output.read_text()


@pytest.fixture
def caller(port: int) -> Iterator[Caller]:
    with Caller(port) as opened:
        yield opened


def post(extra: bytes = b"", body: bytes = BODY, *, length: bool = True) -> bytes:
    counted = b"Content-Length: %d\r\n" % len(body) if length else b""
    return POST + counted + extra + b"\r\n" + body


LAST = b"0\r\n\r\n"
# What is sent → the statuses in order; and whether the connection goes on.
SERVED: dict[str, tuple[bytes, list[int]]] = {
    "plain": (post(), [200]),
    "two in one write": (LIVE + post(), [200, 200]),
    "empty lines before it": (b"\r\n\r\n" + LIVE, [200]),
    "a body on GET": (live(extra=b"Content-Length: 3\r\n") + b"abc" + LIVE, [200, 200]),
    "a body that looks like a request": (post(body=LIVE) + LIVE, [400, 200]),
    "chunks": (CHUNKED + chunk(BODY[:9]) + chunk(BODY[9:]) + LAST, [200]),
    "chunk extensions": (CHUNKED + b"%x;a=b\r\n%b\r\n" % (len(BODY), BODY) + LAST, [200]),
    "chunk sizes in upper case, with zeros": (
        CHUNKED + b"00%X\r\n%b\r\n" % (len(BODY), BODY) + LAST,
        [200],
    ),
    "the coding in upper case": (
        POST + b"Transfer-Encoding: CHUNKED\r\n\r\n" + chunk(BODY) + LAST,
        [200],
    ),
    "trailers": (CHUNKED + chunk(BODY) + b"0\r\nX-A: 1\r\n\r\n" + LIVE, [200, 200]),
    "an offer of h2c": (post(H2C) + LIVE, [200, 200]),
    "an offer of h2c, chunked": (
        POST + H2C + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(BODY) + LAST + LIVE,
        [200, 200],
    ),
    "an offer of h2c on GET": (live(extra=H2C) + LIVE, [200, 200]),
    "an offer of a WebSocket": (
        live(extra=b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n")
        + LIVE,
        [200, 200],
    ),
    "an offer of TLS, with a body": (
        post(b"Connection: upgrade\r\nUpgrade: TLS/1.2\r\n") + LIVE,
        [200, 200],
    ),
    "an offer without Connection": (post(b"Upgrade: h2c\r\n") + LIVE, [200, 200]),
    "an offer between requests": (LIVE + post(H2C) + LIVE, [200, 200, 200]),
    "Expect": (post(b"Expect: 100-continue\r\n"), [100, 200]),
    "absolute form": (live(line=b"GET http://127.0.0.1/livez HTTP/1.1"), [200]),
    "absolute form without a path": (live(line=b"GET http://127.0.0.1 HTTP/1.1"), [404]),
    "absolute form, other case": (
        live(line=b"GET HTTP://LOCALHOST:80/livez HTTP/1.1", host=b"Host: localhost\r\n"),
        [200],
    ),
    "absolute form of another host": (live(line=b"GET http://evil.example/livez HTTP/1.1"), [400]),
    "absolute form of another port": (live(line=b"GET http://127.0.0.1:1/livez HTTP/1.1"), [400]),
    "absolute form with a user": (live(line=b"GET http://u@127.0.0.1/livez HTTP/1.1"), [400]),
    "OPTIONS *": (live(line=b"OPTIONS * HTTP/1.1"), [404]),
    "a header without a value": (live(extra=b"X-Empty:\r\nX-B: 1\r\n"), [200]),
    "no Host": (live(host=b""), [400]),
    "two Hosts": (live(host=HOST + HOST), [400]),
    "two Hosts that differ": (live(host=HOST + b"hOST: evil.example\r\n"), [400]),
    "an empty Host": (live(host=b"Host:\r\n"), [400]),
    "a Host of two": (live(host=b"Host: 127.0.0.1, evil.example\r\n"), [400]),
    "a dot path": (live(line=b"GET /v1/../livez HTTP/1.1"), [404]),
    "an encoded NUL": (live(line=b"GET /v1/sessions/%00 HTTP/1.1"), [404]),
    "an encoding that is no UTF-8": (live(line=b"GET /v1/sessions/%ff HTTP/1.1"), [404]),
    "an encoding that is none": (live(line=b"GET /v1/sessions/%zz HTTP/1.1"), [404]),
    "two slashes": (live(line=b"GET //livez HTTP/1.1"), [404]),
    "a method that no route has": (live(line=b"DELETE /livez HTTP/1.1"), [405]),
}
# After these nobody can say where the next request begins, or it may be an attack: it ends.
ENDED: dict[str, tuple[bytes, list[int]]] = {
    "both framings": (post(b"Transfer-Encoding: chunked\r\n", chunk(BODY) + LAST), [400]),
    "both framings, the other way": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + LAST,
        [400],
    ),
    "two lengths": (post(b"Content-Length: 5\r\n"), [400]),
    "two equal lengths": (post(b"Content-Length: %d\r\n" % len(BODY)), [400]),
    "a list of lengths": (post(b"Content-Length: 5, 5\r\n", length=False), [400]),
    "a length with a sign": (post(b"Content-Length: +5\r\n", length=False), [400]),
    "a negative length": (post(b"Content-Length: -5\r\n", length=False), [400]),
    "a length in hex": (post(b"Content-Length: 0x5\r\n", length=False), [400]),
    "a length with an underscore": (post(b"Content-Length: 1_0\r\n", length=False), [400]),
    "a length of two words": (post(b"Content-Length: 5 5\r\n", length=False), [400]),
    "an empty length": (post(b"Content-Length:\r\n", length=False), [400]),
    "a length past every number": (
        post(b"Content-Length: %b\r\n" % (b"9" * 30), length=False),
        [400],
    ),
    "a length in other digits": (
        post(b"Content-Length: \xd9\xa4\xd9\xa5\r\n", length=False),
        [400],
    ),
    "an unknown coding": (post(b"Transfer-Encoding: xchunked\r\n", length=False), [400]),
    "identity": (post(b"Transfer-Encoding: identity\r\n", length=False), [400]),
    "gzip before chunked": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + LAST, [400]),
    "chunked, then another": (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + LAST, [400]),
    "chunked twice": (POST + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n" + LAST, [400]),
    "a coding behind a control character": (
        POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + LAST,
        [400],
    ),
    "chunks in HTTP/1.0": (
        CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + chunk(BODY) + LAST,
        [400],
    ),
    "a chunk size that is none": (CHUNKED + b"zz\r\n", [400]),
    "a chunk size with a sign": (CHUNKED + b"-3\r\nabc\r\n" + LAST, [400]),
    "a chunk size with 0x": (CHUNKED + b"0x3\r\nabc\r\n" + LAST, [400]),
    "a chunk size and a space": (CHUNKED + b"3 \r\nabc\r\n" + LAST, [400]),
    "a chunk size past every number": (CHUNKED + b"f" * 17 + b"\r\nabc", [400]),
    "a chunk longer than it says": (CHUNKED + b"3\r\nabcd\r\n" + LAST, [400]),
    "a chunk that ends in LF": (CHUNKED + b"3\nabc\n0\n\n", [400]),
    "a folded header": (live(extra=b"X-A: 1\r\n 2\r\n"), [400]),
    "a folded first header": (live(host=b" Host: 127.0.0.1\r\n"), [400]),
    "a space before the colon": (live(host=b"Host : 127.0.0.1\r\n"), [400]),
    "a header without a colon": (live(extra=b"Nonsense\r\n"), [400]),
    "a header without a name": (live(extra=b": x\r\n"), [400]),
    "a NUL in a value": (live(extra=b"X-A: a\0b\r\n"), [400]),
    "a NUL in a name": (live(extra=b"X\0A: b\r\n"), [400]),
    "a CR in a value": (live(extra=b"X-A: a\rb\r\n"), [400]),
    "lines that end in LF": (LIVE.replace(b"\r\n", b"\n"), [400]),
    "one line that ends in LF": (live(extra=b"X-A: 1\n"), [400]),
    "lines that end in CR": (LIVE.replace(b"\r\n", b"\r"), [400]),
    "a tab in the request line": (live(line=b"GET\t/livez HTTP/1.1"), [400]),
    "a method in lower case": (live(line=b"get /livez HTTP/1.1"), [400]),
    "a method that nobody has": (live(line=b"SMUGGLE /livez HTTP/1.1"), [400]),
    "CONNECT": (live(line=b"CONNECT 127.0.0.1:80 HTTP/1.1"), [400]),
    "* on GET": (live(line=b"GET * HTTP/1.1"), [400]),
    "a target without a slash": (live(line=b"GET livez HTTP/1.1"), [400]),
    "a target of another scheme": (live(line=b"GET ftp://127.0.0.1/livez HTTP/1.1"), [400]),
    "a target with a fragment": (live(line=b"GET /livez#a HTTP/1.1"), [400]),
    "a target in raw UTF-8": (live(line="GET /é HTTP/1.1".encode()), [400]),
    "no version": (b"GET /livez\r\n\r\n", [400]),
    "HTTP/0.9": (live(line=b"GET /livez HTTP/0.9"), [400]),
    "HTTP/2.0": (live(line=b"GET /livez HTTP/2.0"), [400]),
    "HTTP/1.9": (live(line=b"GET /livez HTTP/1.9"), [400]),
    "HTTP/11": (live(line=b"GET /livez HTTP/11"), [400]),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [400]),
    "another protocol": (b"SSH-2.0-OpenSSH_9.9\r\n", [400]),
    "HTTP/1.0": (live(line=b"GET /livez HTTP/1.0") + LIVE, [200]),
    "HTTP/1.0 without a Host": (live(line=b"GET /livez HTTP/1.0", host=b""), [200]),
    "HTTP/1.0 with Expect": (
        post(b"Expect: 100-continue\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
        [200],
    ),
    "close, and one more": (live(extra=b"Connection: close\r\n") + LIVE, [200]),
    "a good one, then garbage": (LIVE + b"GARBAGE\r\n\r\n", [200, 400]),
    "two good ones, then garbage": (post() + LIVE + b"\0\r\n\r\n", [200, 200, 400]),
    "a good one, then both framings": (
        LIVE + post(b"Transfer-Encoding: chunked\r\n", chunk(BODY) + LAST),
        [200, 400],
    ),
    "a good one, then a broken chunk": (LIVE + CHUNKED + b"zz\r\n", [200, 400]),
    "more requests than wait": (LIVE * 200, [200] * 65 + [429]),
    "a head over the limit": (live(extra=b"X-A: %b\r\n" % (b"a" * 20_000)), [413]),
    "a head that never ends": (b"GET /livez HTTP/1.1\r\nX-A: " + b"a" * 600_000, [413]),
    "a target that never ends": (b"GET /" + b"a" * 600_000, [413]),
    "headers that never end": (
        b"GET /livez HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(60_000)),
        [413],
    ),
    "an extension that never ends": (CHUNKED + b"3;" + b"a" * 600_000, [413]),
    "a trailer that never ends": (CHUNKED + chunk(BODY) + b"0\r\nX: " + b"a" * 600_000, [413]),
    "a length over the limit": (
        post(b"Content-Length: 2000000\r\n", b"x" * 2_000_000, length=False),
        [413],
    ),
    "chunks over the limit": (CHUNKED + chunk(b"x" * (1 << 20) + b"x") + LAST, [413]),
}


def test_the_table_is_a_table() -> None:
    assert len(SERVED) + len(ENDED) >= 100


@pytest.mark.parametrize("case", SERVED)
def test_a_request_that_can_be_framed_is_answered_and_the_connection_goes_on(
    case: str, caller: Caller
) -> None:
    """Each is answered once, in order, with ids; and the next request is read where it begins."""
    sent, statuses = SERVED[case]
    caller.send(sent + LIVE)
    assert [status_of(caller) for _ in statuses] == statuses
    assert status_of(caller) == 200


@pytest.mark.parametrize("case", ENDED)
def test_a_request_that_cannot_be_framed_is_answered_once_and_ends_the_connection(
    case: str, caller: Caller
) -> None:
    """What was whole before it is answered first; nothing behind it is taken for a request."""
    sent, statuses = ENDED[case]
    caller.send(sent)
    got = []
    while (reply := caller.read()) is not None:
        got.append(reply.status)
        if reply.status >= 400:
            problem = json.loads(reply.body)
            assert reply.headers["content-type"] == "application/problem+json"
            assert problem["session_id"] == reply.headers["x-lakehouse-trace-id"]
            assert reply.headers["connection"] == "close" or len(got) < len(statuses)
    assert got == statuses


@pytest.mark.parametrize("case", ["plain", "an offer of h2c", "chunks", "trailers"])
def test_a_request_may_come_byte_by_byte(case: str, caller: Caller) -> None:
    """TCP may cut anywhere, between a head and its offer of another protocol too."""
    sent, statuses = SERVED[case]
    caller.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(len(sent)):
        caller.send(sent[at : at + 1])
    assert [status_of(caller) for _ in statuses] == statuses


def test_an_offer_keeps_the_body(caller: Caller) -> None:
    """The answer is of the body's own value, not of an empty one."""
    caller.send(post(H2C))
    reply = caller.read()
    assert reply is not None
    assert json.loads(reply.body)["artifact"] == {"a": 1}


def test_a_caller_that_stops_sending_is_still_answered(caller: Caller) -> None:
    """`nc -N` closes its half as soon as it has sent its request."""
    caller.send(LIVE + post())
    caller.socket.shutdown(socket.SHUT_WR)
    assert [status_of(caller), status_of(caller), status_of(caller)] == [200, 200, None]


@pytest.mark.parametrize("sent", [LIVE[:-2], post()[:-1], b"", CHUNKED + b"3\r\nab"])
def test_a_caller_that_stops_amid_a_request_is_let_go(sent: bytes, caller: Caller) -> None:
    """Half a request is none, whatever it holds."""
    caller.send(sent)
    caller.socket.shutdown(socket.SHUT_WR)
    assert status_of(caller) is None


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/v1/kinds", "/v1/sessions", "/metrics"])
def test_head_answers_as_get_does_but_for_the_body(path: str, caller: Caller) -> None:
    """Status and length are the same, and the connection goes on."""
    target = path.encode()
    caller.send(live(line=b"HEAD " + target + b" HTTP/1.1"))
    head = caller.read("HEAD")
    caller.send(live(line=b"GET " + target + b" HTTP/1.1"))
    whole = caller.read()
    assert head is not None
    assert whole is not None
    assert (head.status, head.headers["content-type"]) == (200, whole.headers["content-type"])
    assert int(head.headers["content-length"]) > 0
    assert whole.status == 200


def test_head_is_refused_where_get_is(caller: Caller) -> None:
    """A route without GET has no HEAD either; both are named where they are there."""
    caller.send(live(line=b"HEAD /v1/iterate HTTP/1.1"))
    reply = caller.read("HEAD")
    caller.send(live(line=b"POST /livez HTTP/1.1"))
    other = caller.read()
    assert reply is not None
    assert other is not None
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert (other.status, other.headers["allow"]) == (405, "GET, HEAD")
