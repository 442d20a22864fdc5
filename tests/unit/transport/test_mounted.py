"""A mounted application when the server stops."""

import asyncio

from lakehouse.transport.asgi import Message, Receive, Scope, Send
from lakehouse.transport.server import Application, Calls
from support.asgi_exchange import AsgiExchange


def test_a_mounted_application_that_the_end_interrupts_says_that_it_stops() -> None:
    """What has begun is cut off: nobody may take a part for the whole."""
    sent: list[Message] = []

    async def case(*, begins: bool) -> None:
        reached = asyncio.Event()

        async def endless(scope: Scope, receive: Receive, send: Send) -> None:
            if begins:
                await send({"type": "http.response.start", "status": 200, "headers": []})
            reached.set()
            await asyncio.Event().wait()

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": "/m",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }
        app = Application((), calls=Calls(), mounted={"/m": endless})
        serving = asyncio.create_task(app(AsgiExchange(scope, receive, send)))
        await reached.wait()
        serving.cancel()
        await serving

    asyncio.run(case(begins=True))
    assert [message["type"] for message in sent] == ["http.response.start"]
    sent.clear()
    asyncio.run(case(begins=False))
    assert sent[0]["status"] == 503
    assert b'"shutdown"' in sent[1]["body"]
