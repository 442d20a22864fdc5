"""An object store on loopback (moto's S3) behind a proxy that can refuse and break off requests."""

import contextlib
import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from moto.server import ThreadedMotoServer

BUCKET = "sessions"


class FaultyProxy:
    """Passes requests on to the store; answers or breaks off as the list of faults says.

    `before`: the request is not passed on. `after`: it is, and its answer is lost.
    """

    def __init__(self, port: int) -> None:
        self.faults: list[str] = []
        self.fired: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                fault = proxy.fault_for(self.command)
                if fault == "503 before":
                    self.answer(503, [], b"<Error><Code>SlowDown</Code></Error>")
                elif fault == "cut before":
                    self.close_connection = True
                else:
                    status, headers, answer = self.pass_on(body)
                    if fault == "cut after":
                        self.close_connection = True
                    elif fault == "503 after":
                        self.answer(503, [], b"<Error><Code>InternalError</Code></Error>")
                    else:
                        self.answer(status, headers, answer)

            def pass_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                with contextlib.closing(connection):
                    headers = dict(self.headers.items())
                    connection.request(self.command, self.path, body, headers)
                    reply = connection.getresponse()
                    return reply.status, reply.getheaders(), reply.read()

            def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers:
                    skipped = {"transfer-encoding", "connection", "server", "date"}
                    if name.lower() not in skipped | ({"content-length"} if body else set()):
                        self.send_header(name, value)
                if body:
                    self.send_header("content-length", str(len(body)))
                elif not any(name.lower() == "content-length" for name, _ in headers):
                    self.send_header("content-length", "0")
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):  # a client that had waited long enough
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self._lock = threading.Lock()

    def fault_for(self, method: str) -> str | None:
        """Give the next fault to a request that changes something; reads are left alone."""
        with self._lock:
            if method not in {"PUT", "POST"} or not self.faults:
                return None
            fault = self.faults.pop(0)
            if fault != "none":
                self.fired.append(fault)
            return fault

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def object_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """Serve S3 with an empty bucket, and have the Delta library find it through the proxy."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    with contextlib.ExitStack() as ends:
        ends.callback(server.stop)
        _, port = server.get_host_and_port()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with contextlib.closing(connection):
            connection.request("PUT", f"/{BUCKET}")
            assert connection.getresponse().status == 200
        proxy = ends.enter_context(contextlib.closing(FaultyProxy(port)))
        for name, value in {
            "AWS_ENDPOINT_URL": proxy.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        yield proxy
