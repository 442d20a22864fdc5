"""A trace receiver that costs nothing, well or in trouble.

Run as a process of its own: `python benchmarks/mock_receiver.py [take|hang|fail]` prints its port.
`take` answers every POST with 200 and an empty body, `fail` with 503, `hang` not at all. GET gives
the number of POSTs so far.
"""

import asyncio
import sys


class _Receiver(asyncio.Protocol):
    posts = 0
    mode = "take"

    def __init__(self) -> None:
        self._data = bytearray()
        self._needed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        if len(self._data) < self._needed:
            return
        head, end, rest = bytes(self._data).partition(b"\r\n\r\n")
        if not end:
            return
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(rest) < length:
            self._needed = len(head) + 4 + length
            return
        self._data, self._needed = bytearray(), 0
        self._answer(posted=head.startswith(b"POST"))

    def _answer(self, *, posted: bool) -> None:
        if not posted:
            body = str(_Receiver.posts).encode()
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n"
            self._transport.write(head.encode() + body)
            return
        _Receiver.posts += 1
        if self.mode == "take":
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        elif self.mode == "fail":
            self._transport.write(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")


async def main() -> None:
    _Receiver.mode = sys.argv[1] if len(sys.argv) > 1 else "take"
    server = await asyncio.get_running_loop().create_server(_Receiver, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
