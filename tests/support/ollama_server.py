"""A server that behaves as Ollama's documentation says: pulled models, loads, aborted loads.

A load begins with the first call that needs the model and goes on only while a client that waits
for it is connected: when the last one leaves, its work is thrown away. It is a double: nothing
here was compared with a real Ollama.
"""

import asyncio
from typing import Any

from support.fault_bodies import answer
from support.raw_server import Exchange, RawServer


class OllamaServer(RawServer):
    """`pulled` models, each of which takes `load_s` to load."""

    def __init__(self, *, pulled: tuple[str, ...] = ("m:latest",), load_s: float = 0.2) -> None:
        super().__init__(self._route)
        self.loaded: set[str] = set()
        self.loads_begun = 0
        self.loads_aborted = 0
        self.load_begun = asyncio.Event()
        self._pulled = pulled
        self._load_s = load_s

    async def _route(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.path == "/api/tags":
            models: list[dict[str, Any]] = [{"name": name, "size": 1} for name in self._pulled]
            await exchange.reply({"models": models})
            return
        assert request.path in {"/api/generate", "/api/chat"}
        name = request.json()["model"]
        name = name if ":" in name else f"{name}:latest"
        if name not in self._pulled:
            await exchange.reply({"error": f"model '{name}' not found"}, 404)
            return
        if name not in self.loaded and not await self._load(exchange, name):
            return
        if request.path == "/api/chat":
            await exchange.reply(answer("ollama"))
        else:
            await exchange.reply({"model": name, "response": "", "done": True})

    async def _load(self, exchange: Exchange, name: str) -> bool:
        self.loads_begun += 1
        self.load_begun.set()
        gone = asyncio.create_task(exchange.client_gone())
        try:
            await asyncio.wait({gone}, timeout=self._load_s)
            if gone.done():
                self.loads_aborted += 1
                return False
        finally:
            gone.cancel()
            await asyncio.wait({gone})
        self.loaded.add(name)
        return True
