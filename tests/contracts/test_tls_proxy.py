"""Behind nginx with TLS, by the configuration that the documentation gives."""

import contextlib
import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from support import heartbeats
from support.nginx import nginx, program
from support.openai_door import COMPACT, Door, door_stack, text_of
from support.raw_stream import RawStream
from support.stack import Answer, call, free_port
from support.waiting import wait_until

CONFIG = Path(__file__).parents[2] / "deploy" / "nginx" / "lakehouse.conf"
HEARTBEAT_MS = 200
DRAIN_MS = 4_000  # the session that is left in the middle is ended


class Front(NamedTuple):
    """nginx before a stack: its two ports, and how to trust its certificate."""

    door: Door
    https: int
    plain: int
    tls: ssl.SSLContext
    access_log: Path

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPSConnection(
            "localhost", self.https, timeout=60, context=self.tls
        )
        with contextlib.closing(connection):
            data = None if body is None else json.dumps(body)
            sent = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, fields, response.read())


def certificate(directory: Path) -> tuple[Path, Path]:
    """Make one for `localhost`, signed by itself."""
    chain, key = directory / "fullchain.pem", directory / "privkey.pem"
    subprocess.run(
        [
            *(program("openssl", "openssl"), "req", "-x509", "-days", "1", "-nodes"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(key), "-out", str(chain)),
        ],
        check=True,
        capture_output=True,
    )
    return chain, key


def write_config(directory: Path, changes: Mapping[str, str]) -> None:
    text = CONFIG.read_text("utf-8")
    for old, new in changes.items():
        assert old in text, f"{CONFIG} has no {old!r}"
        text = text.replace(old, new)
    (directory / "lakehouse.conf").write_text(text)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    directory = tmp_path_factory.mktemp("front")
    wrapped = (sys.executable, str(heartbeats.__file__), str(HEARTBEAT_MS))
    stack = door_stack(
        directory / "stack", apart=False, stream_wait_ms=0, drain_ms=DRAIN_MS, wrapped=wrapped
    )
    https, plain = free_port(), free_port()
    chain, key = certificate(directory)
    with stack as door:
        changes = {
            "listen 443 ssl http2;": f"listen 127.0.0.1:{https} ssl http2;",
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "server_name lakehouse.example;": "server_name localhost;",
            "/etc/letsencrypt/live/lakehouse.example/fullchain.pem": str(chain),
            "/etc/letsencrypt/live/lakehouse.example/privkey.pem": str(key),
            "/var/log/nginx/lakehouse.log": f"{directory}/access.log",
            "/var/www/letsencrypt": str(directory),
            "http://127.0.0.1:4110": f"http://127.0.0.1:{door.port}",
        }
        write_config(directory, changes)
        with nginx(directory, f"include {directory}/lakehouse.conf;", lambda: _listens(plain)):
            tls = ssl.create_default_context(cafile=chain)
            yield Front(door, https, plain, tls, directory / "access.log")


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        return call(port, "GET", "/").status == 308
    return False


def test_a_stream_arrives_piece_by_piece(front: Front) -> None:
    """The first piece, long before the session ends; then one whole stream."""
    request = front.door.raw("chat", "event", "very long: delayed")
    with RawStream(front.https, request, tls=front.tls) as stream:
        stream.until(b": waiting\n")
        head = stream.received.split(b"\r\n\r\n")[0].decode("latin-1").lower()
        identity = head.split("x-request-id: ")[1].split("\r\n")[0]
        assert front.door.rows(identity) == []
        assert "text/event-stream" in head
    told = RawStream(
        front.https, front.door.raw("chat", "event", "first shot: delayed"), tls=front.tls
    ).rest()
    assert (told.status, told.whole) == (200, True)
    assert text_of("chat", told.body, streamed=True) == COMPACT


def test_the_ways_in(front: Front) -> None:
    """Plain HTTP is sent to TLS; probes need no key; the figures are not for everybody."""
    moved = call(front.plain, "GET", "/ui?x=1", headers={"Host": "localhost"})
    assert (moved.status, moved.headers["location"]) == (308, "https://localhost/ui?x=1")
    assert front.ask("GET", "/readyz").status == 200
    assert front.ask("GET", "/v1/models").status == 401
    hidden = front.ask("GET", "/metrics", headers=_key(front))
    assert (hidden.status, hidden.headers["server"].split("/")[0]) == (404, "nginx")


def test_the_pages_know_that_the_browser_speaks_tls(front: Front) -> None:
    """Cookies are `Secure`, and a page of this origin may call."""
    page = front.ask("GET", "/ui/login")
    assert page.status == 200
    assert "secure" in page.headers["set-cookie"].lower()
    own = {**_key(front), "Origin": f"https://localhost:{front.https}"}
    asked = {"kind": "event", "prompt": "first shot: delayed"}
    answer = front.ask("POST", "/v1/iterate", asked, own)
    assert answer.json()["verdict"] == "accepted"
    wait_until(
        lambda: answer.headers["x-lakehouse-trace-id"] in front.access_log.read_text(),
        "the line of nginx's log, with the session's id",
    )


def test_a_body_that_is_too_large_is_told_by_us(front: Front) -> None:
    """In the shape of our errors, not as a page of nginx's."""
    answer = front.ask("POST", "/v1/iterate", {"prompt": "x" * (1 << 20)}, _key(front))
    assert answer.status == 413
    assert answer.json()["code"] == "too_large"


def _key(front: Front) -> dict[str, str]:
    return {"Authorization": f"Bearer {front.door.keys[0]}"}
