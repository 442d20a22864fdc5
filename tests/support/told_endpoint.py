"""An endpoint of several models that each fail in a way of their own, and that repeats keys."""

import contextlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import msgspec


class Said(msgspec.Struct, frozen=True):
    """What the endpoint answers for one model. `{key}` stands for the key that it was sent."""

    status: int
    body: str
    media_type: str = "application/json"
    headers: dict[str, str] = {}


class ToldEndpoint:
    """Serves `/NAME/v1/chat/completions`; `asked` counts the calls by name."""

    def __init__(self, said: dict[str, Said]) -> None:
        self.asked = dict.fromkeys(said, 0)
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                name = self.path.split("/")[1]
                endpoint.asked[name] += 1
                answer = said[name]
                key = (self.headers["authorization"] or "").removeprefix("Bearer ")
                body = answer.body.replace("{key}", json.dumps(key)[1:-1]).encode()
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.media_type)
                self.send_header("Content-Length", str(len(body)))
                for header, value in answer.headers.items():
                    self.send_header(header, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    @contextlib.contextmanager
    def running(self) -> Iterator["ToldEndpoint"]:
        thread = Thread(target=self._server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()
