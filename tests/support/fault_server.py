"""The 44 upstream behaviours of the fault matrix, in two dialects, whole or streamed.

Each behaviour is a handler of a `RawServer` that counts when it has really happened (`fired`):
a green run in which nothing was injected proves nothing.
"""

import asyncio
import contextlib
import functools
import gzip
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from support.fault_bodies import Dialect, answer, error_body, events
from support.raw_server import Exchange, RawServer
from support.waiting import WAIT_S

DRIP_S = 0.02


@dataclass
class Scene:
    """One request at the server of one case."""

    exchange: Exchange
    dialect: Dialect
    streaming: bool
    call: int  # 1 for the first request
    elsewhere: str  # a URL of another host, for redirects

    @property
    def media_type(self) -> str:
        if not self.streaming:
            return "application/json"
        return "text/event-stream" if self.dialect == "openai" else "application/x-ndjson"

    @property
    def body(self) -> bytes:
        if self.streaming:
            return events(self.dialect)
        return json.dumps(answer(self.dialect), ensure_ascii=False).encode()

    async def head(self, *lines: str) -> None:
        text = "\r\n".join(["HTTP/1.1 200 OK", f"content-type: {self.media_type}", *lines, "", ""])
        await self.exchange.send(text.encode("latin-1"))

    async def ok(self, body: bytes | dict[str, Any] | None = None, **kwargs: Any) -> None:
        media_type = kwargs.pop("media_type", self.media_type)
        await self.exchange.reply(
            self.body if body is None else body, media_type=media_type, **kwargs
        )

    async def fail(
        self, status: int, message: str = "it broke", code: str = "some_code", **headers: str
    ) -> None:
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        await self.exchange.reply(error_body(self.dialect, message, code), status, fields)


Fault = Callable[[Scene], Awaitable[None]]
FAULTS: dict[str, Fault] = {}


def fault(name: str) -> Callable[[Fault], Fault]:
    def add(behaviour: Fault) -> Fault:
        assert name not in FAULTS
        FAULTS[name] = behaviour
        return behaviour

    return add


def _add_failure(name: str, status: int, **kwargs: Any) -> None:
    async def behaviour(scene: Scene) -> None:
        await scene.fail(status, **kwargs)

    FAULTS[name] = behaviour


def _add_answer(name: str, **kwargs: Any) -> None:
    async def behaviour(scene: Scene) -> None:
        await scene.ok(answer(scene.dialect, **kwargs))

    FAULTS[name] = behaviour


def _add_body(name: str, body: Callable[[Scene], bytes]) -> None:
    async def behaviour(scene: Scene) -> None:
        await scene.ok(body(scene))

    FAULTS[name] = behaviour


# 1 (refused) and 4 (DNS) have no server; 5 (TLS) needs only a port that speaks none.


@fault("02_reset_before_bytes")
async def _(scene: Scene) -> None:
    scene.exchange.reset()


@fault("02_closed_before_bytes")
async def _(scene: Scene) -> None:
    scene.exchange.writer.close()


@fault("03_reset_mid_body")
async def _(scene: Scene) -> None:
    await scene.head(f"content-length: {len(scene.body)}")
    await scene.exchange.send(scene.body[:20])
    await asyncio.sleep(DRIP_S)  # let the client read the half before the reset drops it
    scene.exchange.reset()


@fault("06_never_answers")
async def _(scene: Scene) -> None:
    assert await scene.exchange.client_gone()


@fault("07_slow_headers")
async def _(scene: Scene) -> None:
    await scene.exchange.send(b"HTTP/1.1 200 OK\r\nx-slow: ")
    for _ in range(500):
        await scene.exchange.send(b"a")
        await asyncio.sleep(DRIP_S)


@fault("08_slow_body")
async def _(scene: Scene) -> None:
    await scene.head("content-length: 5000")
    for _ in range(500):
        await scene.exchange.send(b" ")
        await asyncio.sleep(DRIP_S)


@fault("09_stall_mid_body")
async def _(scene: Scene) -> None:
    await scene.head(f"content-length: {len(scene.body)}")
    await scene.exchange.send(scene.body[:20])
    assert await scene.exchange.client_gone()


@fault("10_content_length_too_long")
async def _(scene: Scene) -> None:
    await scene.head(f"content-length: {len(scene.body) + 9}")
    await scene.exchange.send(scene.body)
    scene.exchange.writer.close()


@fault("11_content_length_too_short")
async def _(scene: Scene) -> None:
    await scene.head(f"content-length: {len(scene.body) - 9}")
    await scene.exchange.send(scene.body)


@fault("12_bad_chunk_size")
async def _(scene: Scene) -> None:
    await scene.head("transfer-encoding: chunked")
    await scene.exchange.send(b"5\r\n" + scene.body[:5] + b"\r\nzz\r\n" + scene.body[5:])


@fault("13_no_last_chunk")
async def _(scene: Scene) -> None:
    await scene.head("transfer-encoding: chunked")
    await scene.exchange.send(b"%x\r\n%b\r\n" % (len(scene.body), scene.body))
    scene.exchange.writer.close()


_add_body("14_truncated_json", lambda scene: scene.body[:-9])
_add_body("15_trailing_garbage", lambda scene: scene.body + b"\n<!-- served by a proxy -->")
_add_body("18_empty_200", lambda scene: b"")
_add_body("20_truncated_stream", lambda scene: events(scene.dialect, whole=False))
_add_body("24_crlf_stream", lambda scene: events(scene.dialect, line_end="\r\n"))


@fault("16_html")
async def _(scene: Scene) -> None:
    await scene.ok(b"<html><body>Sign in</body></html>", media_type="text/html")


@fault("17_wrong_content_type")
async def _(scene: Scene) -> None:
    await scene.ok(media_type="text/html; charset=latin-1")


@fault("19_no_content")
async def _(scene: Scene) -> None:
    await scene.exchange.reply(b"", 204)


@fault("21_split_in_a_character")
async def _(scene: Scene) -> None:
    cut = scene.body.index("ö".encode()) + 1
    await scene.head("transfer-encoding: chunked")
    for part in (scene.body[:cut], scene.body[cut:]):
        await scene.exchange.send(b"%x\r\n%b\r\n" % (len(part), part))
        await asyncio.sleep(DRIP_S)
    await scene.exchange.send(b"0\r\n\r\n")


@fault("22_keep_alives_only")
async def _(scene: Scene) -> None:
    await scene.ok(b": keep-alive\n\n" * 5 if scene.dialect == "openai" else b"\n" * 5)


@fault("23_error_amid_stream")
async def _(scene: Scene) -> None:
    error = json.dumps(error_body(scene.dialect, "CUDA error")).encode()
    line = b"data: " + error + b"\n\n" if scene.dialect == "openai" else error + b"\n"
    await scene.ok(events(scene.dialect, whole=False) + line)


@fault("23_error_object_in_a_200")
async def _(scene: Scene) -> None:
    await scene.ok(error_body(scene.dialect, "CUDA error"))


_add_failure("25_429_seconds", 429, retry_after="7")


@fault("26_429_date")
async def _(scene: Scene) -> None:
    at = datetime.now(UTC) + timedelta(seconds=40)
    await scene.fail(429, retry_after=format_datetime(at, usegmt=True))


_add_failure("27_429_absurd", 429, retry_after="99999999999999999999")
_add_failure("27_429_negative", 429, retry_after="-5")
_add_failure("27_429_absent", 429)
_add_failure("27_429_milliseconds", 429, retry_after_ms="1500", retry_after="9")
_add_failure("28_quota_by_header", 429, x_should_retry="false")
_add_failure("28_quota_by_code", 429, code="insufficient_quota")

for _status in (500, 502, 503, 504):

    async def _once(scene: Scene, status: int = _status) -> None:
        await (scene.fail(status) if scene.call == 1 else scene.ok())

    FAULTS[f"29_{_status}_once"] = _once
    _add_failure(f"30_{_status}_for_ever", _status)

_add_failure("31_529", 529)
_add_failure("32_401", 401, message="Incorrect API key provided: sk-canary")
_add_failure("32_403", 403, message="sk-canary may not")
_add_failure("33_context_too_long", 400, code="context_length_exceeded")
_add_failure("34_model_missing", 404, message="model 'm' not found", code="model_not_found")

for _status in (301, 307):

    async def _redirect(scene: Scene, status: int = _status) -> None:
        await scene.exchange.reply(b"", status, [("location", scene.elsewhere)])

    FAULTS[f"35_{_status}_elsewhere"] = _redirect


@fault("36_no_choices")
async def _(scene: Scene) -> None:
    body = answer(scene.dialect)
    if scene.dialect == "openai":
        body["choices"] = []
    else:
        del body["message"]
    await scene.ok(body)


_add_answer("37_content_null", text=None)
_TOOL_CALLS = [{"type": "function", "function": {"name": "f", "arguments": "{}"}}]
_add_answer("38_tool_calls_only", text=None, finish="stop", message={"tool_calls": _TOOL_CALLS})
_add_answer("39_refusal", text=None, message={"refusal": "I cannot help with that."})
_add_answer("40_length", finish="length")
_add_answer("41_content_filter", finish="content_filter")


@functools.cache
def gzip_bomb() -> bytes:
    """64 MiB of blanks in 280 KB."""
    return gzip.compress(b" " * (64 << 20), 1)


@fault("42_gzip_bomb")
async def _(scene: Scene) -> None:
    await scene.ok(gzip_bomb(), headers=[("content-encoding", "gzip")])


@fault("42_wrong_encoding")
async def _(scene: Scene) -> None:
    await scene.ok(headers=[("content-encoding", "gzip")])


@fault("42_endless_body")
async def _(scene: Scene) -> None:
    await scene.head("transfer-encoding: chunked")
    for _ in range(1024):  # 64 MiB
        await scene.exchange.send(b"10000\r\n" + b" " * 65_536 + b"\r\n")


@fault("43_duplicate_headers")
async def _(scene: Scene) -> None:
    await scene.ok(headers=[("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x", "y" * 4000)])


@fault("43_huge_header")
async def _(scene: Scene) -> None:
    await scene.ok(headers=[("x-huge", "y" * 1_000_000)])


@fault("43_many_headers")
async def _(scene: Scene) -> None:
    await scene.ok(headers=[(f"x-{n}", "y" * 100) for n in range(5_000)])


@fault("43_two_content_lengths")
async def _(scene: Scene) -> None:
    await scene.ok(headers=[("content-length", "3")])


@fault("44_loading")
async def _(scene: Scene) -> None:
    # What llama.cpp's server answers while it loads.
    message = {"code": 503, "message": "Loading model", "type": "unavailable_error"}
    await scene.exchange.reply({"error": message}, 503)


_add_failure("44_out_of_memory", 500, message="model runner has unexpectedly stopped")
_add_failure(
    "44_queue_full", 503, message="server busy, please try again. maximum pending requests exceeded"
)


class FaultServer(RawServer):
    """Shows one behaviour to every request; `fired` counts how often it was played out.

    A behaviour that the client's going away ends is played out too.
    """

    def __init__(
        self, name: str, dialect: Dialect, *, streaming: bool = False, elsewhere: str = ""
    ) -> None:
        super().__init__(self._show)
        self.fired = 0
        gzip_bomb()  # made before the first request, whose limits are short
        self._played = asyncio.Event()
        self._fault = FAULTS[name]
        self._dialect: Dialect = dialect
        self._streaming = streaming
        self._elsewhere = elsewhere

    @property
    def base_url(self) -> str:
        return self.url + ("/v1" if self._dialect == "openai" else "")

    async def has_fired(self) -> None:
        """Wait until the behaviour was played out once."""
        async with asyncio.timeout(WAIT_S):
            await self._played.wait()

    async def _show(self, exchange: Exchange) -> None:
        call = len(self.requests)
        scene = Scene(exchange, self._dialect, self._streaming, call, self._elsewhere)
        with contextlib.suppress(OSError):  # the client had enough: often that is the point
            await self._fault(scene)
        self.fired += 1
        self._played.set()
