"""A yardstick, never shipped: the bare job of a session, with the parts that Lakehouse has.

Usage: python benchmarks/prototype.py LOG MODEL_PORT

uvloop, httptools on both sides, msgspec, a compiled schema, one log file, and a thread that syncs
a batch of rows before their replies are sent. A wrong answer is told to the model once. No started
line, no limits, no metrics, no keys, and no answer to a wrong request: it costs what the parts
cost. It prints its address.
"""

import asyncio
import os
import sys
import time
from queue import SimpleQueue
from threading import Thread
from typing import Any
from zlib import crc32

import httptools
import jsonschema_rs
import msgspec
import uvloop

from project import SCHEMA

REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
CALL = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
)
NAMED = {"name": "artifact", "strict": False, "schema": SCHEMA}
FORM = msgspec.Raw(msgspec.json.encode({"type": "json_schema", "json_schema": NAMED}))
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)


class Request(msgspec.Struct):
    kind: str
    prompt: str


class Message(msgspec.Struct):
    role: str
    content: str


class Choice(msgspec.Struct):
    message: Message
    finish_reason: str


class Completion(msgspec.Struct):
    choices: list[Choice]
    usage: dict[str, int]


REQUEST, COMPLETION = msgspec.json.Decoder(Request), msgspec.json.Decoder(Completion)
encode = msgspec.json.Encoder().encode
Rows = list[tuple[bytes, "asyncio.Future[None]"]]


class Log:
    """One file. Rows that come in one turn of the loop, or during a sync, share the next sync."""

    def __init__(self, path: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._rows: Rows = []
        self._batches: SimpleQueue[Rows] = SimpleQueue()
        self._busy = False
        Thread(target=self._sync, daemon=True).start()

    def append(self, line: bytes) -> "asyncio.Future[None]":
        durable = self._loop.create_future()
        self._rows.append((line, durable))
        if not self._busy:
            self._busy = True
            self._loop.call_soon(self._hand_over)
        return durable

    def _hand_over(self) -> None:
        self._batches.put(self._rows)
        self._rows = []

    def _sync(self) -> None:
        while rows := self._batches.get():
            os.write(self._file, b"".join([line for line, _ in rows]))
            os.fdatasync(self._file)
            self._loop.call_soon_threadsafe(self._synced, rows)

    def _synced(self, rows: Rows) -> None:
        for _, durable in rows:
            durable.set_result(None)
        self._busy = bool(self._rows)
        if self._busy:
            self._hand_over()


class Peer(asyncio.Protocol):
    """One kept connection; a subclass takes each whole body."""

    parser: type[Any]

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self.body = b""
        self._parser = self.parser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.body += body


class Call(Peer):
    """A connection to the model."""

    parser = httptools.HttpResponseParser

    def ask(self, body: bytes) -> "asyncio.Future[bytes]":
        self.body = b""
        self._answer = self.loop.create_future()
        self.transport.write(CALL % (len(body), body))
        return self._answer

    def on_message_complete(self) -> None:
        self._answer.set_result(self.body)


class Caller(Peer):
    """A connection from a client: one session after the other."""

    parser = httptools.HttpRequestParser

    def __init__(self, log: Log, model_port: int, idle: list[Call]) -> None:
        self._log, self._model_port, self._idle = log, model_port, idle

    def on_message_complete(self) -> None:
        body, self.body = self.body, b""
        self._session = self.loop.create_task(self._run(body))

    async def _run(self, body: bytes) -> None:
        try:
            reply = await self._reply(REQUEST.decode(body))
        except BaseException:
            self.transport.abort()
            raise
        self.transport.write(REPLY % (len(reply), reply))

    async def _reply(self, request: Request) -> bytes:
        begun_s = time.perf_counter()
        messages = [Message("user", request.prompt)]
        attempts = []
        while True:
            asked = {"model": "mock", "messages": messages, "response_format": FORM}
            completion = COMPLETION.decode(await self._ask(encode(asked)))
            choice = completion.choices[0]
            artifact = msgspec.json.decode(choice.message.content)
            right = VALIDATOR.is_valid(artifact)
            findings = [] if right else [wrong.message for wrong in VALIDATOR.iter_errors(artifact)]
            attempts.append({
                "output": choice.message.content, "artifact": artifact, "findings": findings,
                "finish_reason": choice.finish_reason, "usage": completion.usage,
            })  # fmt: skip
            if right or len(attempts) == 2:
                break
            messages += [choice.message, Message("user", f"Findings: {findings}")]
        reply = {
            "session_id": os.urandom(16).hex(), "verdict": "accepted" if right else "rejected",
            "artifact": artifact, "attempts": attempts,
            "duration_ms": int((time.perf_counter() - begun_s) * 1000),
        }  # fmt: skip
        line = encode({**reply, "timestamp": time.time(), "request": request})
        await self._log.append(b'%b,"crc":"%08x"}\n' % (line[:-1], crc32(line)))
        return encode(reply)

    async def _ask(self, body: bytes) -> bytes:
        if self._idle:
            call = self._idle.pop()
        else:
            _, call = await self.loop.create_connection(Call, "127.0.0.1", self._model_port)
        answer = await call.ask(body)
        self._idle.append(call)
        return answer


async def main(path: str, model_port: int) -> None:
    log, idle = Log(path), list[Call]()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Caller(log, model_port, idle), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]} the prototype", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
