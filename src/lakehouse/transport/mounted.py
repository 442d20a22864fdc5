"""Lets a mounted ASGI application answer a request."""

import asyncio
from collections.abc import Mapping

from lakehouse.transport.asgi import App, Message, Scope
from lakehouse.transport.exchange import Exchange
from lakehouse.transport.head import Fields


async def pass_on(app: App, exchange: Exchange, fields: Fields) -> bool:
    """Let the application answer, with these header fields too; return whether it did.

    It did not if the server stopped before its answer began. An answer that has begun is cut off.
    """

    async def receive() -> Message:
        await exchange.arrival()
        if exchange.gone or exchange.ended:
            return {"type": "http.disconnect"}
        body = exchange.take()
        return {"type": "http.request", "body": body, "more_body": not exchange.whole}

    async def send(message: Mapping[str, object]) -> None:
        if message["type"] == "http.response.start":
            status, headers = message["status"], message.get("headers", ())
            assert isinstance(status, int)
            assert isinstance(headers, list | tuple)
            own = ((bytes(name).lower(), bytes(value)) for name, value in headers)
            await exchange.begin(status, (*own, *fields))
            return
        body = message.get("body", b"")
        assert isinstance(body, bytes | memoryview)
        await exchange.send(body)
        if not message.get("more_body", False):
            await exchange.end()

    try:
        await app(_scope(exchange), receive, send)
    except asyncio.CancelledError:  # by the server, at the end of its patience
        return exchange.begun
    return True


def _scope(exchange: Exchange) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": exchange.version,
        "server": None,
        "client": None,
        "scheme": "http",
        "root_path": "",
        "method": exchange.method,
        "path": exchange.path,
        "raw_path": exchange.raw_path.encode("latin-1"),
        "query_string": exchange.query.encode("latin-1"),
        "headers": [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, values in exchange.headers.items()
            for value in values
        ],
        "state": exchange.state,
    }
