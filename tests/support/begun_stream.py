"""A stream of OpenAI's API whose model answers only once the head of the stream is there."""

import http.client
import json
import threading
from typing import Any, NamedTuple


class Streamed(NamedTuple):
    """A stream's head and body; `whole`: the body had its end."""

    verdict: str | None
    body: bytes
    whole: bool


def begun_stream(
    port: int, path: str, body: dict[str, Any], begun: threading.Event, timeout_s: float = 30
) -> Streamed:
    """Ask for a stream; `begun`, which the model waits for, is set once its status is there."""
    begun.clear()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", path, json.dumps({**body, "stream": True}), headers)
        response = connection.getresponse()
        assert response.status == 200
        begun.set()
        verdict = response.getheader("x-lakehouse-verdict")
        try:
            return Streamed(verdict, response.read(), whole=True)
        except http.client.IncompleteRead as torn:
            return Streamed(verdict, torn.partial, whole=False)
    finally:
        begun.set()
        connection.close()
