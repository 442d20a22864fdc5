"""What the HTTP client refuses to send at all."""

import asyncio
import traceback

import pytest

from lakehouse.transport.client import HttpClient, HttpLimits, check_header, check_url
from support.raw_server import Exchange, RawServer


async def never(_: Exchange) -> None:
    raise AssertionError("nothing should have been sent")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "foo",
        "ftp://x/",
        "http://",
        "http:///v1",
        "http://u:p@h/",
        "http://h/a b",
        "http://h:x/",
        "http://h:u:p/",
        "http://u:p℀@h/",
        "http://[u:p/",
        "http://[u:p]/",
    ],
)
def test_a_url_that_cannot_be_called_is_refused(url: str) -> None:
    """The refusal does not repeat the URL, which may hold a password."""
    with pytest.raises(ValueError) as caught:
        check_url(url)
    assert "u:p" not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\n", "a\0", "→"])
def test_a_header_that_would_break_the_request_apart_is_refused(value: str) -> None:
    """Neither a value nor a name can smuggle a second header in; the value is not repeated."""
    with pytest.raises(ValueError, match="'authorization'") as caught:
        check_header("authorization", value)
    assert value not in str(caught.value)
    with pytest.raises(ValueError):
        check_header(value, "x")

    async def case() -> None:
        limits = HttpLimits(60_000, 60_000, 60_000, 60_000, 1_000)
        async with RawServer(never) as server:
            with pytest.raises(ValueError):
                await HttpClient().get(server.url, headers={"x": value}, limits=limits)
            assert server.connections == 0

    asyncio.run(case())
