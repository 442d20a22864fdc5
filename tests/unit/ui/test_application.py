"""The pages' application: addresses, access, errors, and what keeps a page safe in a browser."""

import re

import pytest

from lakehouse.core.errors import Refusal
from support.rows import make_row
from support.ui_pages import pages_over, write_log


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return write_log(tmp_path_factory.mktemp("log"), [make_row() for _ in range(3)])


@pytest.fixture
def client(log):
    with pages_over(log) as client:
        yield client


def _authorize(headers):
    if list(headers["authorization"]) != ["Bearer right"]:
        raise Refusal("unauthorized", "A valid API key is needed.")
    return "ci"


@pytest.fixture
def guarded(log):
    with pages_over(log, authorize=_authorize) as client:
        yield client


def test_a_page_and_its_json_say_the_same(client):
    page, data = client.get("/ui/sessions"), client.get("/ui/sessions.json")

    assert page.status_code == data.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    found = data.json()["sessions"]["sessions"]
    assert len(found) == 3
    for one in found:
        assert f"/ui/sessions/{one['row_id']}" in page.text


@pytest.mark.parametrize("path", ["/ui", "/ui/sessions", "/ui/nothing", "/ui/static/ui.css"])
def test_every_answer_forbids_scripts_of_others_frames_and_guessing(client, path):
    headers = client.get(path).headers

    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert re.fullmatch("[0-9a-f]{32}", headers["x-lakehouse-trace-id"])


def test_pages_have_no_inline_script_style_or_handler(client):
    for path in ("/ui", "/ui/sessions", "/ui/nothing", "/ui/login"):
        text = client.get(path).text
        assert not re.search(r"<style|style=|<script(?! src=\"/ui/static/)|\son[a-z]+=", text), path


def test_an_unknown_page_and_an_unknown_parameter_say_what_is_wrong(client):
    missing = client.get("/ui/sesions")
    assert missing.status_code == 404
    assert "There is no page" in missing.text

    refused = client.get("/ui/sessions?vedict=accepted")
    assert refused.status_code == 400
    assert "did you mean &#39;verdict&#39;?" in refused.text

    data = client.get("/ui/sessions.json?vedict=accepted")
    assert data.status_code == 400
    assert data.headers["content-type"] == "application/problem+json"
    assert data.json()["code"] == "invalid_request"


def test_every_page_has_a_title_of_its_own(client):
    row_id = client.get("/ui/sessions.json").json()["sessions"]["sessions"][0]["row_id"]
    paths = ["", "/sessions", "/findings", "/values", "/latency", "/kinds", "/replays", "/feedback"]
    paths += ["/query", "/login", "/nothing", "/kind?kind=airport_event", f"/sessions/{row_id}"]
    titles = [
        re.findall("<title>(.+) · Lakehouse</title>", client.get(f"/ui{path}").text)[0]
        for path in paths
    ]
    assert len(set(titles)) == len(paths)
    assert titles[-2:] == ["Kind airport_event", f"Session {row_id[:8]}…{row_id[-4:]}, accepted"]


def test_a_form_sends_a_filter_on_as_it_is(client):
    """Also what hides in it, which the page shows in its list."""
    hidden = "a\u200bb\u202e"
    for path, names in (("/sessions", ("kind", "metadata.x", "text")), ("/query", ("kind",))):
        text = client.get(f"/ui{path}", params=dict.fromkeys(names, hidden)).text
        form = text[text.index("<form", text.index("<main")) :]
        for name in names:
            assert re.search(f'name="{name}" value="{hidden}"', form), (path, name)


def test_another_method_is_refused(client):
    assert client.post("/ui/sessions").status_code == 405


def test_a_form_sent_with_empty_fields_becomes_a_short_address(client):
    answer = client.get("/ui/sessions?kind=&code=type&model=", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/ui/sessions?code=type"


@pytest.mark.parametrize(
    ("pasted", "goal"),
    [
        ("0198c0ffee00aabbccddeeff00112233", "/ui/sessions/0198c0ffee00aabbccddeeff00112233"),
        (
            "level=info session_id=0198C0FFEE00aabbccddeeff00112233,",
            "/ui/sessions/0198c0ffee00aabbccddeeff00112233",
        ),
        ("0198c0ff-ee00-aabb-ccdd-eeff00112233", "/ui/sessions/0198c0ffee00aabbccddeeff00112233"),
        (
            "chatcmpl-0198c0ffee00aabbccddeeff00112233",
            "/ui/sessions/0198c0ffee00aabbccddeeff00112233",
        ),
        (
            "00-0198c0ffee00aabbccddeeff00112233-1112131415161718-01",
            "/ui/sessions/0198c0ffee00aabbccddeeff00112233",
        ),
        ("Oslo & Rome", "/ui/sessions?text=Oslo%20%26%20Rome"),
        ("  ", "/ui/sessions"),
    ],
)
def test_a_pasted_id_finds_its_session_and_a_text_those_that_have_it(client, pasted, goal):
    answer = client.get("/ui/find", params={"q": pasted}, follow_redirects=False)
    assert answer.headers["location"] == goal


def test_a_bug_in_a_page_becomes_a_page_without_its_cause(client, monkeypatch, caplog):
    monkeypatch.setattr("lakehouse.ui.overview_page._size", lambda _: 1 / 0)
    answer = client.get("/ui")
    assert answer.status_code == 502
    assert "ZeroDivision" not in answer.text
    assert "The page failed inside Lakehouse." in answer.text
    assert "ZeroDivisionError" in caplog.text


class TestAccess:
    def test_without_a_key_a_browser_is_asked_for_it_and_a_program_refused(self, guarded):
        page = guarded.get("/ui/sessions?kind=a", follow_redirects=False)
        assert page.status_code == 303
        assert page.headers["location"] == "/ui/login?next=%2Fui%2Fsessions%3Fkind%3Da"
        assert guarded.get("/ui/sessions.json").status_code == 401
        assert guarded.get("/ui/live").status_code == 401

    def test_a_program_sends_its_key_as_everywhere(self, guarded):
        answer = guarded.get("/ui/sessions.json", headers={"authorization": "Bearer right"})
        assert answer.status_code == 200

    def test_a_login_opens_the_page_that_was_wanted_and_the_cookie_is_for_it_alone(self, guarded):
        token = _token(guarded.get("/ui/login?next=/ui/sessions"))
        wrong = guarded.post("/ui/login", data={"key": "wrong", "form_token": token})
        assert wrong.status_code == 401
        assert "This key is not valid here." in wrong.text

        fields = {"key": "right", "form_token": token, "next": "/ui/sessions"}
        done = guarded.post("/ui/login", data=fields, follow_redirects=False)
        assert done.status_code == 303
        assert done.headers["location"] == "/ui/sessions"
        cookie = done.headers["set-cookie"]
        for part in ("HttpOnly", "SameSite=strict", "Path=/ui", "Max-Age=43200"):
            assert part in cookie
        assert "Secure" not in cookie
        page = guarded.get("/ui/sessions")
        assert page.status_code == 200
        assert "Signed in with the key ci" in page.text

        left = guarded.post("/ui/logout", data={"form_token": token}, follow_redirects=False)
        assert left.headers["location"] == "/ui/login"
        assert guarded.get("/ui", follow_redirects=False).status_code == 303

    @pytest.mark.parametrize(
        "headers", [{"x-forwarded-proto": "https"}, {"x-forwarded-proto": "https, http"}]
    )
    def test_behind_tls_the_cookie_is_for_tls_alone(self, guarded, headers):
        token = _token(guarded.get("/ui/login"))
        fields = {"key": "right", "form_token": token}
        done = guarded.post("/ui/login", data=fields, headers=headers, follow_redirects=False)
        assert "Secure" in done.headers["set-cookie"]

    @pytest.mark.parametrize(
        "goal", ["//evil.example", "https://evil.example", "/v1/models", "/uix", "/ui\\@evil", ""]
    )
    def test_a_login_leads_nowhere_else(self, guarded, goal):
        token = _token(guarded.get("/ui/login"))
        fields = {"key": "right", "form_token": token, "next": goal}
        done = guarded.post("/ui/login", data=fields, follow_redirects=False)
        assert done.headers["location"] == "/ui"

    def test_a_form_without_this_browsers_token_is_refused(self, guarded):
        guarded.get("/ui/login")
        for token in ("", "x" * 32, "ä"):
            answer = guarded.post("/ui/login", data={"key": "right", "form_token": token})
            assert answer.status_code == 400
            assert "did not come from a page of this browser" in answer.text

    def test_a_link_from_elsewhere_opens_once_the_browser_sends_its_cookie(self, guarded):
        token = _token(guarded.get("/ui/login"))
        guarded.post("/ui/login", data={"key": "right", "form_token": token})
        key = guarded.cookies.get("lakehouse_key")
        guarded.cookies.delete("lakehouse_key")  # as SameSite=Strict does for a link from elsewhere
        link = {
            "sec-fetch-site": "cross-site",
            "sec-fetch-mode": "navigate",
            "sec-fetch-dest": "document",
        }
        opening = guarded.get("/ui/sessions?kind=a", headers=link, follow_redirects=False)
        assert opening.status_code == 200
        assert 'content="0; url=/ui/sessions?kind=a"' in opening.text
        assert key == "right"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
    ],
)
def test_other_hosts_and_other_pages_get_nothing(client, headers):
    answer = client.get("/ui/sessions", headers=headers)
    assert answer.status_code == 400
    assert "airport_event" not in answer.text


def test_a_link_from_elsewhere_opens_a_page(client):
    link = {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "sec-fetch-dest": "document",
    }
    assert client.get("/ui", headers=link).status_code == 200
    assert client.post("/ui/logout", headers=link).status_code == 400


def test_an_empty_log_says_what_to_do_next(tmp_path):
    with pages_over(write_log(tmp_path / "log", [])) as client:
        assert "No sessions yet" in client.get("/ui").text
        assert "No sessions yet" in client.get("/ui/sessions").text
        assert "No session matches" in client.get("/ui/sessions?kind=x").text


def _token(answer):
    found = re.search(r'name="form_token" value="([^"]+)"', answer.text)
    assert found is not None
    return found[1]
