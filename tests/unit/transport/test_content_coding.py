"""Compressed answers that nobody asked for: opened where that can be done, and told where not."""

import asyncio
import gzip
import zlib

import pyarrow as pa
import pytest

from lakehouse.transport.client import HttpClient, HttpLimits, HttpReply, TransportFault
from lakehouse.transport.content_coding import CodingFault, OversizedBody, codings_of, opened
from support.raw_server import Exchange, RawServer

TEXT = b'{"city": "Malm\xc3\xb6"}' * 50
MAX = 4_096


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def arrow(data: bytes, codec: str) -> bytes:
    packed: bytes = pa.compress(data, codec, asbytes=True)
    return packed


PACKED = {
    "gzip": gzip.compress(TEXT),
    "x-gzip": gzip.compress(TEXT),
    "GZIP": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "Deflate": raw_deflate(TEXT),
    "br": arrow(TEXT, "brotli"),
    "zstd": arrow(TEXT, "zstd"),
    "identity, gzip": gzip.compress(TEXT[:200]) + gzip.compress(TEXT[200:]),
    "gzip, br": arrow(gzip.compress(TEXT), "brotli"),
    "": TEXT,
}


def answered(
    coding: str, body: bytes, *, status: int = 200, body_max: int = MAX
) -> tuple[HttpReply | TransportFault, RawServer]:
    async def case() -> tuple[HttpReply | TransportFault, RawServer]:
        async def handler(exchange: Exchange) -> None:
            await exchange.reply(body, status, [("content-encoding", coding)])

        async with RawServer(handler) as server:
            client = HttpClient()
            limits = HttpLimits(60_000, 60_000, 60_000, 60_000, body_max)
            try:
                return await client.get(server.url, headers={}, limits=limits), server
            except TransportFault as fault:
                return fault, server
            finally:
                await client.close()

    return asyncio.run(case())


@pytest.mark.parametrize("coding", PACKED)
def test_an_answer_in_any_common_coding_is_opened(coding: str) -> None:
    """The body is what was packed, whatever packed it; nothing but identity was asked for."""
    reply, server = answered(coding, PACKED[coding])
    assert isinstance(reply, HttpReply), reply
    assert reply.body == TEXT
    assert server.requests[0].header("accept-encoding") == "identity"


@pytest.mark.parametrize(
    ("coding", "body", "told"),
    [
        ("gzip", TEXT, "gzip"),
        ("gzip", gzip.compress(TEXT, mtime=0)[:-9], "whole"),
        ("deflate", b"\xff" * 40, "deflate"),
        ("br", b"\xff" * 40, "br"),
        ("zstd", gzip.compress(TEXT, mtime=0), "zstd"),
        ("compress", TEXT, "compress"),
        ("aes128gcm", TEXT, "aes128gcm"),
        ("gzip, gzip, gzip", TEXT, "3 codings"),
        ("gzip", gzip.compress(b"", mtime=0) * 40, "members"),
    ],
)
def test_what_cannot_be_opened_is_told_as_such(coding: str, body: bytes, told: str) -> None:
    """It is a whole answer that cannot be read: neither broke off nor malformed HTTP."""
    fault, server = answered(coding, body)
    assert isinstance(fault, TransportFault), fault
    assert fault.kind == "encoding"
    assert told in fault.detail
    assert len(server.requests) == 1


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_stopped_at_the_limit(coding: str) -> None:
    """A few kilobytes that unpack to 64 MiB end as too large, in little memory."""
    blanks = b" " * (64 << 20)
    packed = {
        "gzip": lambda: gzip.compress(blanks, 1),
        "deflate": lambda: zlib.compress(blanks, 1),
        "br": lambda: arrow(blanks, "brotli"),
        "zstd": lambda: arrow(blanks, "zstd"),
    }[coding]()
    fault, _ = answered(coding, packed, body_max=1 << 20)
    assert isinstance(fault, TransportFault), fault
    assert fault.kind == "too_large"


def test_an_error_whose_body_cannot_be_opened_keeps_its_status() -> None:
    """The status says enough; a broken body under it must not hide it."""
    reply, _ = answered("gzip", TEXT, status=429)
    assert isinstance(reply, HttpReply), reply
    assert (reply.status, reply.body) == (429, b"")


def test_the_limit_is_exact() -> None:
    """A body of just the limit is taken; one byte more is not."""
    for pack, coding in ((gzip.compress, "gzip"), (lambda data: arrow(data, "zstd"), "zstd")):
        assert opened(pack(b"x" * 10), (coding,), bytes_max=10) == b"x" * 10
        with pytest.raises(OversizedBody):
            opened(pack(b"x" * 11), (coding,), bytes_max=10)


def test_a_list_of_codings_is_read_as_the_rfc_says() -> None:
    """Names in any case, in the order in which they were applied, without those that do nothing."""
    assert codings_of(" GZip , identity,, br ") == ("gzip", "br")
    assert codings_of("identity") == ()
    with pytest.raises(CodingFault):
        opened(b"x", ("nope",), bytes_max=10)
