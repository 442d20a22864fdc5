"""A model's endpoint in a thread of its own, for daemons that run as processes."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from support.raw_server import Exchange, RawServer, Request
from support.waiting import WAIT_S

# What an endpoint answers to the body of a call: a status, headers and a body.
Answer = tuple[int, dict[str, str], Any]


def completion(text: str, finish: str = "stop") -> Answer:
    """A good answer in OpenAI's form."""
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    return 200, {}, {"choices": choices, "usage": {"prompt_tokens": 7, "completion_tokens": 5}}


def refusal(message: str, status: int = 400, **members: object) -> Answer:
    """An error in OpenAI's form."""
    return status, {}, {"error": {"message": message, **members}}


class Endpoint:
    """One that answers chat completions by `answer`, and has no list of models."""

    def __init__(self, url: str, requests: list[Request]) -> None:
        self.url = url
        self.base_url = url + "/v1"
        self._requests = requests

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The bodies of the calls so far."""
        return [request.json() for request in self._requests if request.method == "POST"]

    @property
    def requests(self) -> list[Request]:
        """The calls so far, heads included."""
        return [request for request in self._requests if request.method == "POST"]


@contextmanager
def endpoint(answer: Callable[[dict[str, Any]], Answer]) -> Iterator[Endpoint]:
    """Serve until the block ends."""
    started: threading.Event = threading.Event()
    found: list[tuple[RawServer, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def handler(exchange: Exchange) -> None:
        if exchange.request.method == "GET":
            await exchange.reply({"detail": "Not Found"}, 404)
            return
        status, headers, body = answer(exchange.request.json())
        await exchange.reply(body, status, list(headers.items()))

    async def serve() -> None:
        stopped = asyncio.Event()
        async with RawServer(handler) as server:
            found.append((server, asyncio.get_running_loop(), stopped))
            started.set()
            await stopped.wait()

    # `run` also ends what came as the server stopped, so that no connection is left.
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(WAIT_S)
    [(server, loop, stopped)] = found
    try:
        yield Endpoint(server.url, server.requests)
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(WAIT_S)
