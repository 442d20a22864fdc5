"""The rig sees what it must see: each thing that no page may do is done here, and told."""

import http.server
import re
from collections.abc import Iterator
from html import escape
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser

from browser.conftest import Visit
from support.handler_server import serving
from support.hostile_texts import TEXTS
from support.watched_browser import Watch, visiting

POLICY = "default-src 'self'"
FRAMES = 20  # in one page; their addresses are in that of the page
SHELL = "<!doctype html><html lang=en><head><title>t</title></head><body><main><h1>h</h1>"


class Pages(http.server.BaseHTTPRequestHandler):
    """Answers with the page that its question asks for: `?body=…&policy=…`."""

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        found = self.path.startswith(("/page", "/favicon.ico"))
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        if "policy" in asked:
            self.send_header("Content-Security-Policy", asked["policy"][0])
        self.end_headers()
        self.wfile.write(asked.get("body", [""])[0].encode() if found else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving(Pages) as port:
        yield f"http://127.0.0.1:{port}"


def page(server: str, body: str, policy: str | None = None) -> str:
    asked = {"body": SHELL + body} | ({"policy": policy} if policy else {})
    return f"{server}/page?{urlencode(asked)}"


@pytest.mark.parametrize(
    ("body", "policy", "told"),
    [
        ("<script>console.error('no')</script>", None, "^console error: no$"),
        ("<script>missing()</script>", None, "^script error: missing is not defined"),
        ("<script>pwn()</script>", POLICY, "^console error: .*Content Security Policy"),
        ("<b style='color:red'>x</b>", POLICY, "^console error: .*Content Security Policy"),
        ("<script>eval('1')</script>", "script-src 'unsafe-inline'", "script error: .*unsafe-eval"),
        ("<img src='http://evil.example/x' alt=x>", None, "^request to another place: http://evil"),
        ("<img src='/missing' alt=x>", None, "^status 404: "),
        ("<img src='http://127.0.0.1:1/' alt=x>", None, "^request failed: .*ERR_UNSAFE_PORT"),
        ("<img src='/canary' alt=x>", None, "^attack: request to "),
        ("<script>pwn()</script>", None, "^attack: script at "),
        ("<iframe srcdoc='x' title=x></iframe>", None, "^frame: "),
        ("<script>alert(1)</script>", None, "^attack: dialog '1'$"),
    ],
)
def test_what_no_page_may_do_is_told(
    chromium: Browser, server: str, body: str, policy: str | None, told: str
):
    watch = Watch()
    with visiting(chromium, server, watch) as visitor:
        visitor.go(page(server, body, policy))

    assert [one for one in watch.left() if re.search(told, one)], watch.left()


def test_a_quiet_page_is_quiet_and_what_was_expected_must_happen(visit: Visit, server: str):
    watch = Watch()
    watch.expect("^status 404")
    visitor = visit(server)
    assert visitor.go(page(server, "<p>x</p>", POLICY)).status == 200

    assert watch.left() == ["did not happen: ^status 404"]
    visitor.check_accessibility()
    visitor.check_width()


def test_axe_finds_what_is_wrong(visit: Visit, server: str):
    """Under the policy of our own pages."""
    visitor = visit(server)
    visitor.go(page(server, "<form><input type=text></form>", POLICY))

    with pytest.raises(AssertionError, match=r"(?s)1 accessibility violation.*label.*<input"):
        visitor.check_accessibility()


def test_a_page_that_is_too_wide_is_found(visit: Visit, server: str):
    visitor = visit(server, width=360)
    visitor.go(page(server, f"<p>{'W' * 200}</p>"))

    with pytest.raises(AssertionError, match="pixels wide, not 360"):
        visitor.check_width()


def test_the_attacks_are_attacks(chromium: Browser, server: str):
    """Where nothing is escaped, many run: what finds none elsewhere can find them."""
    places = [
        page(server, f'<p title="{text}" id=\'{text}\'>{text}</p><a href="{text}">')
        for text in TEXTS
    ]
    watch = Watch()
    with visiting(chromium, server, watch) as visitor:
        for first in range(0, len(places), FRAMES):
            frames = [
                f'<iframe src="{escape(place)}"></iframe>'
                for place in places[first : first + FRAMES]
            ]
            visitor.go(f"{server}/page?{urlencode({'body': ''.join(frames)})}")
    ran = {one for one in watch.attacks if "attack: script at" in one}

    assert len(ran) > 60
    assert any("attack: request to" in one for one in watch.attacks)
