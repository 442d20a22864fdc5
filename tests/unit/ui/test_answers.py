"""What pages answer as HTTP says: signing in, HEAD, faults with their header fields."""

import re

import msgspec
import pytest

from lakehouse.gateway.auth import KeyRing, new_key
from lakehouse.ui.live import LiveFeed
from lakehouse.ui.queries import Queries
from lakehouse.ui.sign_in import safe_next
from support.rows import make_row
from support.sessions import catalog
from support.ui_pages import pages_over, stack_view, write_log

KEY = new_key("ana")
BROWSER = {"accept": "text/html,*/*;q=0.8", "sec-fetch-mode": "navigate"}
PAGE = "text/html; charset=utf-8"
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return write_log(tmp_path_factory.mktemp("log"), [make_row(session_id="case.v2.json")])


@pytest.fixture
def client(log):
    with pages_over(log) as client:
        yield client


@pytest.fixture
def keyed(log):
    ring = KeyRing.parse(KEY.entry, variable="KEYS")
    with pages_over(log, authorize=ring.authorize) as client:
        yield client


@pytest.fixture
def with_stack(log):
    def change(sources):
        return msgspec.structs.replace(sources, served=lambda: stack_view(catalog()))

    with pages_over(log, change=change) as client:
        yield client


@pytest.mark.parametrize("key", ["schlüssel", "ключ", "🔑", "a\nb", "a" * 100_000, ""])
def test_a_key_that_no_header_can_carry_is_a_wrong_key(keyed, key):
    token = re.findall(r'name="form_token" value="([^"]+)"', keyed.get("/ui/login").text)[0]
    answer = keyed.post("/ui/login", data={"key": key, "form_token": token})
    assert answer.status_code == 401
    assert "This key is not valid here." in answer.text
    assert "lakehouse_key" not in keyed.cookies

    answer = keyed.post("/ui/login", data={"key": f" {KEY.secret}\n", "form_token": token})
    assert answer.status_code == 200
    assert "Signed in with the key ana" in answer.text


@pytest.mark.parametrize(
    "goal",
    [
        "/ui/../x",
        "/ui/..",
        "/ui/./x",
        "/ui/%2e%2e/x",
        "/ui/.%2E/x",
        "/ui/%2e",
        "/ui/..%2fx",
        "/ui/sessions/../../x?a=1",
        "/ui/%2e%2e?a=1",
        "/ui/..#a",
    ],
)
def test_no_sign_in_leads_out_by_dots(goal):
    assert safe_next(goal) == "/ui"


@pytest.mark.parametrize(
    "goal", ["/ui", "/ui?text=../..", "/ui/sessions?path=/a/../b#row-1", "/ui/sessions/a..b"]
)
def test_a_sign_in_leads_to_every_page(goal):
    assert safe_next(goal) == goal


def test_head_of_the_live_panel_takes_no_stream(with_stack, monkeypatch):
    monkeypatch.setattr(LiveFeed, "events", lambda *_: pytest.fail("the stream was begun"))
    answer = with_stack.head("/ui/live")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.content == b""


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("sessions.csv", "sessions.csv"),
        ("sessions.parquet", "sessions.parquet"),
        ("query.parquet?sql=SELECT%201", "query.parquet"),
        ("values.csv", "values.csv"),
    ],
)
def test_head_of_a_file_tells_its_name_and_makes_none(client, monkeypatch, path, name):
    whole = client.get(f"/ui/{path}")
    monkeypatch.setattr(Queries, "_run", lambda *_: pytest.fail("a file was made"))
    monkeypatch.setattr(
        "lakehouse.ui.reading.LogReadings.ask", lambda *_: pytest.fail("the log was read")
    )
    answer = client.head(f"/ui/{path}")
    assert answer.status_code == whole.status_code == 200
    for field in ("content-type", "content-disposition"):
        assert answer.headers[field] == whole.headers[field]
    assert name in answer.headers["content-disposition"]
    assert whole.content
    assert answer.content == b""


@pytest.mark.parametrize("path", ["/ui/sessions/", "/ui/query/?sql=SELECT%201", "/ui/kinds//"])
def test_a_slash_too_many_is_a_page_that_says_so(client, path):
    """A redirect would name a scheme, which is wrong behind a proxy that ends TLS."""
    answer = client.get(path, follow_redirects=False)
    assert answer.status_code == 404
    assert "location" not in answer.headers
    assert "There is no page at" in answer.text


def test_another_method_is_told_which_are_allowed(client):
    answer = client.post("/ui/sessions")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/ui/sessions.json", "/ui/live", "/ui/sessions.csv"])
def test_a_program_without_a_key_is_told_how_to_send_one(keyed, path):
    answer = keyed.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "unauthorized"


def test_who_asks_too_much_is_told_when_to_come_again(client, monkeypatch):
    monkeypatch.setattr("lakehouse.ui.queries._AT_ONCE_MAX", 0)
    answer = client.get("/ui/query.csv?sql=SELECT%201")
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["code"] == "rate_limited"


def test_there_is_nothing_live_without_a_stack(client):
    answer = client.get("/ui/live")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["detail"] == "These pages show a log without its stack."


class TestWhoAsks:
    """A person reads a page, also where a file is missing; a program reads JSON."""

    @pytest.mark.parametrize("path", ["replays/%2e%2e", "sessions/a.b", "nothing.txt", "a.json"])
    def test_a_browser_gets_a_page(self, client, path):
        answer = client.get(f"/ui/{path}", headers=BROWSER)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == PAGE

    @pytest.mark.parametrize("path", ["sessions/x.json", "sessions.csv?vedict=a", "live"])
    def test_a_program_gets_a_problem(self, client, path):
        script = BROWSER | {"sec-fetch-mode": "cors"}
        for headers in ({}, {"accept": "*/*"}, {"accept": "application/json"}, script):
            answer = client.get(f"/ui/{path}", headers=headers)
            assert answer.status_code in {400, 404}
            assert answer.headers["content-type"] == PROBLEM

    def test_an_id_may_have_dots(self, client):
        page, data = "/ui/sessions/case.v2.json", "/ui/sessions/case.v2.json.json"
        assert client.get(data).json()["stories"][0]["session_id"] == "case.v2.json"
        answer = client.get(page, headers=BROWSER)  # the JSON of `case.v2`, which there is not
        assert answer.status_code == 404
        assert answer.headers["content-type"] == PAGE

    def test_a_browser_signs_in_on_its_way_to_any_id_and_file(self, keyed):
        for path in ("sessions/case.v2", "sessions.csv"):
            answer = keyed.get(f"/ui/{path}", headers=BROWSER, follow_redirects=False)
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/ui/login?next=%2Fui%2Fsessions")

    def test_a_link_from_elsewhere_takes_no_file(self, keyed):
        """The browser keeps the cookie back; a page that asks again would run the link's SQL."""
        link = BROWSER | {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}
        answer = keyed.get("/ui/query.csv?sql=SELECT%201", headers=link, follow_redirects=False)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == PAGE
