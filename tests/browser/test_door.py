"""What keeps the pages to the people they are for: in a real browser, with attackers' pages.

The attacker's page comes from another name of this machine, as a rebound name does, or from another
port.
"""

import http.server
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from browser.conftest import Visit
from lakehouse.gateway.auth import new_key
from support.handler_server import serving
from support.stack import call
from support.visited_stacks import running_cities
from support.watched_browser import Watch, visiting

KEY = new_key("ana")


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A stack that has API keys."""
    directory = tmp_path_factory.mktemp("keyed") / "stack"
    extra = '[gateway]\napi_keys_env = "KEYS"\n'
    with running_cities(directory, extra, environment={"KEYS": KEY.entry}) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def evil(cities: str) -> Iterator[str]:
    """A page of somebody else, that frames the stack's pages and posts to them."""

    class Evil(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(
                f"""<!doctype html><title>evil</title><iframe src="{cities}/ui"></iframe>
                <form id=form method=post action="{cities}/ui/logout"><input name=form_token></form>
                <a href="{cities}/ui/sessions">sessions</a>""".encode()
            )

        def log_message(self, *_: object) -> None:
            pass

    with serving(Evil) as port:
        yield f"http://evil.example:{port}"


def test_signing_in_and_out(visit: Visit, keyed: str, watch: Watch):
    """The key is in a cookie that no script reads and no other site's page sends."""
    watch.expect("^status 401: .*/ui/login", "^console error: Failed to load resource: .* 401")
    visitor = visit(keyed)
    page = visitor.page
    visitor.go("/ui/sessions?verdict=accepted")
    assert page.url.endswith("/ui/login?next=%2Fui%2Fsessions%3Fverdict%3Daccepted")
    visitor.check_accessibility()
    visitor.shoot("login")

    page.get_by_label("API key").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    assert "not valid" in page.get_by_role("alert").inner_text()
    visitor.check_accessibility()

    page.get_by_label("API key").fill(KEY.secret)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/ui/sessions?verdict=accepted")
    cookies = {one["name"]: one for one in visitor.context.cookies()}
    assert set(cookies) == {"lakehouse_key", "lakehouse_form"}
    for one in cookies.values():
        assert one["httpOnly"] is True
        assert one["sameSite"] == "Strict"
        assert one["path"] == "/ui"
    assert page.evaluate("document.cookie") == ""

    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/ui/login")
    assert "lakehouse_key" not in {one["name"] for one in visitor.context.cookies()}
    visitor.go("/ui")
    assert "/ui/login" in page.url


@pytest.mark.parametrize(
    "goal",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/ui/../v1/models",
        "/ui/%252e%252e/v1/models",
    ],
)
def test_signing_in_leads_to_pages_of_ours_only(visit: Visit, keyed: str, goal: str):
    visitor = visit(keyed)
    visitor.go(f"/ui/login?next={goal}")
    sign_in(visitor.page)
    visitor.page.wait_for_url(f"{keyed}/ui")


def test_a_link_from_elsewhere_opens_for_who_is_signed_in(chromium: Browser, keyed: str, evil: str):
    """The browser keeps the key back at first, and no link runs SQL or takes a file."""
    with visiting(chromium, keyed, Watch()) as visitor:
        page = visitor.page
        visitor.go("/ui/login")
        sign_in(page)
        page.wait_for_url(f"{keyed}/ui")

        with page.expect_request(lambda sent: sent.url.endswith("/ui/sessions?kind=a")) as asked:
            follow(page, evil, f"{keyed}/ui/sessions?kind=a")
        assert "lakehouse_key" not in asked.value.all_headers().get("cookie", "")
        page.get_by_role("heading", name="Sessions", exact=True).wait_for()
        assert page.url == f"{keyed}/ui/sessions?kind=a"

        follow(page, evil, f"{keyed}/ui/query?sql=SELECT%2042%20AS%20n")
        page.get_by_text("has not run").wait_for()
        assert not page.get_by_role("region", name="Rows").count()

        follow(page, evil, f"{keyed}/ui/query.csv?sql=SELECT%2042%20AS%20n")
        page.get_by_text("A valid API key is needed.").wait_for()


def test_a_form_needs_the_token_of_its_browser(visit: Visit, keyed: str, watch: Watch):
    watch.expect("^status 400: .*/ui/logout", "^console error: Failed to load resource: .* 400")
    other, visitor = visit(keyed), visit(keyed)
    other.go("/ui/login")
    foreign = other.page.locator("input[name=form_token]").input_value()
    page = visitor.page
    visitor.go("/ui/login")
    sign_in(page)
    page.wait_for_url(f"{keyed}/ui")
    for token in ("", foreign):
        page.locator("form.leave input").evaluate("(one, token) => { one.value = token }", token)
        page.get_by_role("button", name="Sign out").click()
        page.get_by_text("did not come from a page of this browser").wait_for()
        assert visitor.go("/ui").status == 200
        assert page.url == f"{keyed}/ui", "still signed in"


def test_a_key_of_other_characters_is_a_wrong_key(visit: Visit, keyed: str, watch: Watch):
    watch.expect("^status 401: .*/ui/login", "^console error: Failed to load resource: .* 401")
    visitor = visit(keyed)
    visitor.go("/ui/login")
    sign_in(visitor.page, "ключ 🔑")
    assert "not valid" in visitor.page.get_by_role("alert").inner_text()


def sign_in(page: Page, key: str = KEY.secret) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def follow(page: Page, elsewhere: str, url: str) -> None:
    """Follow a link to `url` on somebody else's page."""
    page.goto(elsewhere)
    page.get_by_role("link").evaluate("(one, url) => { one.href = url }", url)
    page.get_by_role("link").click()


def test_a_rebound_name_gets_nothing(visit: Visit, cities: str, watch: Watch):
    """Its page would be of the attacker's origin, and could read what it gets."""
    port = cities.rpartition(":")[2]
    watch.expect("^status 400", "^console error: Failed to load resource: .* 400")
    visitor = visit(f"http://evil.example:{port}")
    for path in ("/ui", "/ui/sessions", "/ui/sessions.json", "/ui/live"):
        assert visitor.go(path).status == 400
        assert "delayed" not in visitor.page.content()


def test_another_page_can_neither_frame_nor_post(chromium: Browser, cities: str, evil: str):
    """Its visitor can follow a link, as to any page; nothing else of it reaches ours."""
    watch = Watch()
    with visiting(chromium, evil, watch) as visitor:
        page = visitor.page
        visitor.go("/")
        assert f"status 400: {cities}/ui" in watch.troubles
        assert "Sessions" not in page.frames[1].content()

        with page.expect_navigation(url="**/ui/logout") as posted:
            page.evaluate("document.getElementById('form').submit()")
        assert posted.value.status == 400

        visitor.go("/")
        with page.expect_navigation(url="**/ui/sessions") as followed:
            page.get_by_role("link").click()
        assert followed.value.status == 200
        assert page.get_by_role("heading", name="Sessions").count()


def test_a_frame_of_a_page_stays_empty(chromium: Browser, cities: str):
    """By the header alone: the page that frames it is of our own origin here."""
    watch = Watch()
    with visiting(chromium, cities, watch) as visitor:
        visitor.go("/ui/login")
        with visitor.page.expect_console_message(lambda told: "frame-ancestors" in told.text):
            visitor.page.evaluate(
                """() => {
                    const frame = document.createElement("iframe");
                    frame.src = "/ui/sessions";
                    document.body.append(frame);
                }"""
            )
        assert "Sessions" not in visitor.page.frames[1].content()


def test_the_policy_names_nothing_but_our_own_files(cities: str):
    """Nothing inline, nothing evaluated, nothing of others, no frame around it."""
    port = int(cities.rpartition(":")[2])
    for path in ("/ui", "/ui/sessions", "/ui/nothing", "/ui/static/ui.js", "/ui/login"):
        headers = call(port, "GET", path).headers
        rules = dict(
            one.strip().split(" ", 1) for one in headers["content-security-policy"].split(";")
        )
        assert rules["default-src"] == "'self'"
        assert rules["frame-ancestors"] == rules["object-src"] == rules["base-uri"] == "'none'"
        assert not {"script-src", "style-src", "img-src", "connect-src"} & set(rules)
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
