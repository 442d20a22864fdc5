"""An OpenAI-compatible model that costs nothing: right at once, or right at the second try.

Run as a process of its own: `python benchmarks/mock_model.py` prints its port. A prompt that
begins with `retry` gets a wrong answer until the conversation holds findings.
"""

import asyncio
import json
from typing import Any

import uvloop

GOOD = json.dumps(
    {"event": "delay", "airport": "ZRH", "city": "Zurich", "delay_minutes": 40, "quote": "fog"}
)
WRONG = json.dumps({"event": "delay", "airport": "ZRH", "delay_minutes": "forty"})


def _reply(text: str) -> bytes:
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "mock",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 120, "completion_tokens": 40, "total_tokens": 160},
        }
    ).encode()
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


_GOOD, _WRONG = _reply(GOOD), _reply(WRONG)


class _Model(asyncio.Protocol):
    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while True:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return
            lower = head.lower()
            at = lower.find(b"content-length:")
            length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(rest) < length:
                return
            body, self._data = rest[:length], rest[length:]
            wrong = b'"content":"retry' in body and b"Findings: " not in body
            self._transport.write(_WRONG if wrong else _GOOD)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(_Model, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
