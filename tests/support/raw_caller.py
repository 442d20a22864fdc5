"""A caller of the public door that sends whatever bytes it likes."""

import json
import re
import socket
from typing import Self

import msgspec

HOST = b"Host: 127.0.0.1\r\n"
JSON = b"Content-Type: application/json\r\n"
BODY = json.dumps({"schema": {"type": "object"}, "output": '{"a": 1}'}).encode()
POST = b"POST /v1/validate HTTP/1.1\r\n" + HOST + JSON
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Reply(msgspec.Struct):
    status: int
    headers: dict[str, str]
    body: bytes


class Caller:
    """One raw connection; reads are bounded, and end by an answer or the connection's end."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self, method: str = "GET") -> Reply | None:
        """Read one answer; None where the connection ended instead."""
        try:
            line = self._file.readline()
        except ConnectionResetError:
            return None
        if not line:
            return None
        match = STATUS.match(line)
        assert match is not None, line
        headers: dict[str, str] = {}
        while (field := self._file.readline().rstrip(b"\r\n")) != b"":
            name, _, value = field.decode("latin-1").partition(": ")
            assert name not in headers
            headers[name] = value
        status = int(match[1])
        if status == 100:
            return Reply(status, headers, b"")
        assert "x-lakehouse-trace-id" in headers
        assert "traceparent" in headers
        length = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
        return Reply(status, headers, self._file.read(length))

    def close(self) -> None:
        self._file.close()
        self.socket.close()


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


def live(*, line: bytes = b"GET /livez HTTP/1.1", host: bytes = HOST, extra: bytes = b"") -> bytes:
    return line + b"\r\n" + host + extra + b"\r\n"


def status_of(caller: Caller) -> int | None:
    reply = caller.read()
    return None if reply is None else reply.status
