"""Commands that speak to a gateway, when something else answers: one clear error, exit 3."""

import contextlib
import json
import os
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lakehouse.gateway.auth import new_key
from support.forked_commands import run_command
from support.stack import SCRIPTED, free_port, running_stack, untraced

CERTIFICATE = Path(__file__).parents[1] / "support" / "untrusted_localhost.pem"
Answer = Callable[[bytes], bytes]  # the request's head → what is sent before the connection closes


class Somebody:
    """A server on a raw socket. `asked` counts the connections on which a request came whole."""

    def __init__(self, answer: Answer, *, tls: bool = False, silent: bool = False) -> None:
        self.asked = 0
        self._answer = answer
        self._silent = silent
        self._context: ssl.SSLContext | None = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(CERTIFICATE)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._held: list[socket.socket] = []

    @contextlib.contextmanager
    def running(self) -> Iterator["Somebody"]:
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._socket.shutdown(socket.SHUT_RDWR)
            thread.join(60)
            self._socket.close()
            for held in self._held:
                held.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                self._one(connection)

    def _one(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        if self._context is not None:
            try:
                connection = self._context.wrap_socket(connection, server_side=True)
            except OSError:
                self.asked += 1  # who speaks plain HTTP, or does not trust us, gets no further
                connection.close()
                raise
        if self._silent:
            self._held.append(connection)  # closed at the end
            self._head(connection)
            return
        with connection:
            connection.sendall(self._answer(self._head(connection)))

    def _head(self, connection: socket.socket) -> bytes:
        head = connection.recv(65_536)
        self.asked += 1
        return head


def http(status: str, body: str = "", media_type: str = "text/html", more: str = "") -> Answer:
    data = body.encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {len(data)}\r\n"
    return lambda _: f"{head}{more}connection: close\r\n\r\n".encode() + data


def lively(then: Answer) -> Answer:
    """Says that it lives, and is no gateway all the same."""
    alive = http("200 OK", '{"alive": true}', "application/json")
    return lambda head: alive(head) if head.startswith(b"GET /livez") else then(head)


PROBLEM = json.dumps(
    {
        "type": "urn:lakehouse:problem:not_found",
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing at '/v1/iterate'.",
        "code": "not_found",
        "session_id": "0" * 32,
        "retryable": False,
        "hint": "",
    }
)
SOMEBODY: dict[str, tuple[Answer, str]] = {
    "web page": (http("200 OK", "<html>Hello</html>"), "is not a Lakehouse gateway"),
    "page behind a sign of life": (lively(http("200 OK", "<html>")), "is not a Lakehouse gateway"),
    "login page": (http("401 Unauthorized", "<html>who?"), "is not a Lakehouse gateway"),
    "proxy error": (http("502 Bad Gateway", "<h1>bad</h1>"), "is not a Lakehouse gateway"),
    "redirect": (
        http(
            "302 Found", more="location: https://u:hunter2pass@elsewhere.example/x?key=abcdef1\r\n"
        ),
        "redirects to",
    ),
    "other JSON": (http("200 OK", '{"models": []}', "application/json"), "not a Lakehouse gateway"),
    "JSON list": (http("200 OK", "[1]", "application/json"), "not a Lakehouse gateway"),
    "deep JSON": (http("200 OK", "[" * 100_000, "application/json"), "not a Lakehouse gateway"),
    "half a reply": (
        lively(http("200 OK", '{"session_id": "x"}', "application/json")),
        "not a Lakehouse gateway",
    ),
    "empty": (http("200 OK"), "nothing"),
    "no content": (http("204 No Content"), "nothing"),
    "not HTTP": (lambda _: b"SSH-2.0-OpenSSH_9.9\r\n", "does not speak HTTP"),
    "closes": (lambda _: b"", "closed the connection"),
    "cut answer": (
        lambda _: b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
        "is not a Lakehouse gateway",
    ),
    "other daemon": (
        lively(http("404 Not Found", PROBLEM, "application/problem+json")),
        "There is nothing at",
    ),
    "broken problem": (
        http("404 Not Found", '{"title": "x"}', "application/problem+json"),
        "not a Lakehouse gateway",
    ),
    "bytes": (http("200 OK", "\x00\x01", "application/octet-stream"), "octet-stream"),
    "escapes": (http("200 OK", "\x1b[2J", "text/\x9bhtml"), "not a Lakehouse gateway"),
}


def lakehouse(directory: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (directory / "in.csv").write_text("text\nhello\n")
    return run_command(
        words,
        cwd=directory,
        env={**untraced(os.environ), **environment},
        timeout=60,
    )


def commands(url: str) -> dict[str, tuple[str, ...]]:
    return {
        "iterate": ("iterate", "--url", url, "--kind", "k", "--prompt", "x"),
        "run": (
            *("run", "--url", url, "--kind", "k", "--input", "in.csv"),
            *("--column", "text", "--output", "out.jsonl"),
        ),
        "parity": ("parity", "--url", url),
    }


def assert_could_not_run(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stderr.startswith("error: ")
    assert "\nhint: " in done.stderr
    assert done.stderr.replace("\n", "").isprintable()


@pytest.mark.parametrize("name", SOMEBODY)
def test_iterate_says_what_answered(tmp_path: Path, name: str) -> None:
    """Whatever it is, it is not "not accepted", and no traceback."""
    answer, told = SOMEBODY[name]
    with Somebody(answer).running() as somebody:
        url = f"http://127.0.0.1:{somebody.port}"
        done = lakehouse(tmp_path, *commands(url)["iterate"])
        assert somebody.asked
    assert_could_not_run(done)
    assert told in done.stderr
    assert url in done.stderr
    assert "hunter2pass" not in done.stderr
    assert "abcdef1" not in done.stderr


@pytest.mark.parametrize(
    ("command", "name"),
    [(one, name) for one in ("run", "parity") for name in ("web page", "redirect", "not HTTP")]
    + [("run", "empty"), ("parity", "closes")],
)
def test_so_do_the_other_commands(tmp_path: Path, command: str, name: str) -> None:
    """They share the way of asking, or the care."""
    with Somebody(SOMEBODY[name][0]).running() as somebody:
        done = lakehouse(tmp_path, *commands(f"http://127.0.0.1:{somebody.port}")[command])
        assert somebody.asked
    assert_could_not_run(done)
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("command", ["iterate", "run", "parity"])
def test_nobody_is_named_as_nobody(tmp_path: Path, command: str) -> None:
    """A closed port."""
    done = lakehouse(tmp_path, *commands(f"http://127.0.0.1:{free_port()}")[command])
    assert_could_not_run(done)
    assert "refused" in done.stderr.lower()


@pytest.mark.parametrize("command", ["iterate", "run", "parity"])
def test_a_server_that_never_answers_is_given_up(tmp_path: Path, command: str) -> None:
    """Within seconds: a gateway says at once that it lives."""
    with Somebody(lambda _: b"", silent=True).running() as somebody:
        done = lakehouse(tmp_path, *commands(f"http://127.0.0.1:{somebody.port}")[command])
        assert somebody.asked
    assert_could_not_run(done)


@contextlib.contextmanager
def dripping() -> Iterator[tuple[int, list[int]]]:
    """A server whose answer comes byte by byte and never ends; counts the bytes of each."""
    sent: list[int] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)
            self.request.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
            place = len(sent)
            sent.append(0)
            with contextlib.suppress(OSError):
                while not stopped.wait(0.2):
                    self.request.sendall(b" ")
                    sent[place] += 1

    stopped = threading.Event()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], sent
        finally:
            stopped.set()
            server.shutdown()
            thread.join(60)


@pytest.mark.parametrize("command", ["iterate", "run", "parity"])
def test_an_answer_that_never_ends_is_given_up(tmp_path: Path, command: str) -> None:
    """However often a piece of it comes: the whole of it has its time."""
    with dripping() as (port, sent):
        done = lakehouse(tmp_path, *commands(f"http://127.0.0.1:{port}")[command])
        assert sent[0] > 10
    assert_could_not_run(done)


@pytest.mark.parametrize(
    ("scheme", "tls", "told"),
    [("https", False, "does not speak TLS"), ("http", True, ""), ("https", True, "not trusted")],
    ids=["TLS to a plain port", "plain to a TLS port", "TLS that nobody trusts"],
)
def test_tls_and_plain_are_told_apart(tmp_path: Path, scheme: str, *, tls: bool, told: str) -> None:
    """The hint names the scheme, or the authority."""
    with Somebody(http("200 OK"), tls=tls).running() as somebody:
        done = lakehouse(tmp_path, *commands(f"{scheme}://localhost:{somebody.port}")["iterate"])
        assert somebody.asked
    assert_could_not_run(done)
    assert told in done.stderr
    assert ("SSL_CERT_FILE" if tls and scheme == "https" else "http") in done.stderr


@pytest.mark.parametrize(
    ("command", "url"),
    [
        ("iterate", "ftp://x"),
        ("iterate", "127.0.0.1:4110"),
        ("iterate", "http://"),
        ("iterate", "http://u:p4ss@h"),
        ("run", "http://h:port"),
        ("run", "http://u:p4ss@h"),
        ("parity", "http://u:p4ss@h"),
        ("parity", "http://h:port"),
    ],
)
def test_an_address_that_is_none_is_a_mistake_of_usage(
    tmp_path: Path, command: str, url: str
) -> None:
    """Exit 2, and a password in it is not repeated."""
    done = lakehouse(tmp_path, *commands(url)[command])
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "p4ss" not in done.stderr


def test_a_gateway_that_wants_a_key_says_so(tmp_path: Path) -> None:
    """No key, and a wrong one: exit 3, and the option that takes a key is named."""
    (tmp_path / "script.json").write_text('["{}"]')
    key = new_key("me")
    text = SCRIPTED + '[gateway]\napi_keys_env = "KEYS"\n'
    with running_stack(tmp_path, text, apart=False, environment={"KEYS": key.entry}) as stack:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        for name, command in commands(stack["gateway"].url).items():
            done = lakehouse(elsewhere, *command)
            assert_could_not_run(done)
            assert "--api-key-env" in done.stderr, name
            wrong = lakehouse(elsewhere, *command, "--api-key-env", "MINE", MINE="lh_wrong")
            assert_could_not_run(wrong)
        (elsewhere / "any.json").write_text("{}")
        right = lakehouse(
            elsewhere,
            *("iterate", "--url", stack["gateway"].url, "--schema", "any.json", "--prompt", "x"),
            *("--api-key-env", "MINE"),
            MINE=key.secret,
        )
        assert right.returncode == 0, right.stderr
