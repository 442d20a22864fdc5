"""Our daemons behind the interface that W3C's own trace-context harness tests.

    python tools/w3c_trace_context.py            # three daemons apart; prints the URL to test
    python tools/w3c_trace_context.py --up       # one process

The harness asks a service to call it back and looks at the headers of those calls. Ours calls
models, so each asked-for call is one attempt of one session: the harness' own headers go to the
gateway byte for byte, the model (which is this program) calls the harness back with the trace
headers that it was sent, and gives an answer that is rejected until the last call is made.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.raw_server import Exchange, RawServer  # noqa: E402  the path is made above
from support.stack import running_stack  # noqa: E402

NOT_PASSED_ON = {"host", "content-length", "content-type", "connection", "accept-encoding"}
Pairs = list[tuple[str, str]]


async def post(url: str, body: bytes, headers: Pairs) -> bytes:
    """Send one request with header lines as they are, and give the body of the answer."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    lines = [f"POST {parts.path} HTTP/1.1", f"host: {parts.netloc}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines += ["content-type: application/json", f"content-length: {len(body)}", "", ""]
    writer.write("\r\n".join(lines).encode("latin-1") + body)
    answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]


class Bridge:
    """The service under test, and the model that its sessions ask."""

    def __init__(self) -> None:
        self.gateway = ""
        self._calls: dict[str, list[dict[str, Any]]] = {}

    async def serve(self, exchange: Exchange) -> None:
        """Answer the harness, or the gateway in its role as a model's client."""
        if exchange.request.path.endswith("/chat/completions"):
            await self._model(exchange)
        elif exchange.request.method == "GET":
            await exchange.reply({"data": []})
        else:
            await self._service(exchange)

    async def _service(self, exchange: Exchange) -> None:
        calls = exchange.request.json()
        key = f"bridge-{id(exchange)}"
        self._calls[key] = list(calls)
        body = {
            "schema": {"type": "object", "properties": {"left": {"const": 0}}},
            "prompt": key,
            "max_iterations": len(calls),
        }
        sent = [pair for pair in exchange.request.headers if pair[0] not in NOT_PASSED_ON]
        await post(self.gateway + "/v1/iterate", json.dumps(body).encode(), sent)
        await exchange.reply({"left": len(self._calls.pop(key))})

    async def _model(self, exchange: Exchange) -> None:
        messages = exchange.request.json()["messages"]
        calls = self._calls[messages[0]["content"]]
        call = calls.pop(0)
        kept = {"traceparent", "tracestate"}
        sent = [pair for pair in exchange.request.headers if pair[0] in kept]
        await post(call["url"], json.dumps(call["arguments"]).encode(), sent)
        message = {"role": "assistant", "content": json.dumps({"left": len(calls)})}
        await exchange.reply({"choices": [{"message": message, "finish_reason": "stop"}]})


async def main(*, apart: bool) -> None:
    bridge = Bridge()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with RawServer(bridge.serve) as server:
        config = (
            '[log]\npath = "log"\n[models.bridge]\nprovider = "openai"\nmodel = "bridge"\n'
            f'base_url = "{server.url}/v1"\n'
        )
        with tempfile.TemporaryDirectory() as directory:
            stack = running_stack(Path(directory) / "stack", config, apart=apart)
            processes = await asyncio.to_thread(stack.__enter__)
            try:
                bridge.gateway = processes["gateway"].url
                print(f"{server.url}/test", flush=True)
                await stopped.wait()
            finally:
                await asyncio.to_thread(stack.__exit__, None, None, None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--up", action="store_true", help="one process instead of three")
    asyncio.run(main(apart=not parser.parse_args().up))
