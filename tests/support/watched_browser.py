"""A person's browser, watched: whatever a page does that no page may do is kept and told.

Chromium of the system, by Playwright. Every name but loopback's own leads to loopback here, so no
request can leave the machine, and a name can be rebound as an attacker would do it.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Playwright,
    Request,
    Response,
)

ROOT: Final = Path(__file__).parents[2]
ICON: Final = "/static/icon.svg"
CHROMIUM: Final = os.environ.get("LAKEHOUSE_CHROMIUM", "/usr/bin/chromium")
ARTEFACTS: Final = Path(os.environ.get("LAKEHOUSE_SCREENSHOTS", ROOT / "browser-artefacts"))
WIDTHS: Final = (360, 820, 1440)  # a phone, a tablet, a desk; CSS pixels
Scheme = Literal["light", "dark"]
CANARY: Final = "/canary"
WAIT_MS: Final = 60_000  # for one event; far more than it takes, as the machine may be busy
_RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_ATTACK: Final = "attack: "


def launch(playwright: Playwright) -> Browser:
    """Start the system's Chromium. Root has no sandbox of its own, and continuous integration is
    root."""
    return playwright.chromium.launch(
        executable_path=CHROMIUM,
        args=["--no-sandbox", "--host-resolver-rules=MAP * 127.0.0.1, EXCLUDE 127.0.0.1"],
    )


class Watch:
    """What happened in the pages of one test that may not happen, in order.

    `expect` names what the test itself brings about, such as the console's line about a 404.
    """

    def __init__(self) -> None:
        self.troubles: list[str] = []
        self._expected: list[re.Pattern[str]] = []

    def expect(self, *patterns: str) -> None:
        """Take troubles that a pattern finds as wanted; one that does not happen is a trouble."""
        self._expected += map(re.compile, patterns)

    @property
    def attacks(self) -> list[str]:
        """The attacks that ran."""
        return [one for one in self.troubles if one.startswith(_ATTACK)]

    def left(self) -> list[str]:
        """The troubles that were not expected, and what was expected and did not happen."""
        unexpected = [
            one for one in self.troubles if not any(known.search(one) for known in self._expected)
        ]
        missing = [
            f"did not happen: {known.pattern}"
            for known in self._expected
            if not any(known.search(one) for one in self.troubles)
        ]
        return unexpected + missing

    def note(self, what: str) -> None:
        self.troubles.append(what)


class Visitor:
    """One browser context: a width, a colour scheme, with or without JavaScript; its own cookies.

    `address` is the only place that its pages may ask for anything.
    """

    def __init__(
        self,
        browser: Browser,
        address: str,
        watch: Watch,
        *,
        width: int,
        scheme: Scheme,
        javascript: bool,
    ) -> None:
        self.address = address
        self.width = width
        self.scheme = scheme
        self.javascript = javascript
        self.watch = watch
        self.context = browser.new_context(
            base_url=address,
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=javascript,
            reduced_motion="reduce",
            timezone_id="Europe/Oslo",
        )
        self.context.set_default_timeout(WAIT_MS)
        _watch(self.context, address, watch)
        self.page = self.context.new_page()

    def go(self, path: str) -> Response:
        """Open a page; it has loaded, with everything it asked for, when this returns."""
        answer = self.page.goto(path)
        assert answer is not None, f"no answer to {path}"
        return answer

    def shoot(self, name: str) -> Path:
        """Keep a picture of the whole page, as `NAME-WIDTH-SCHEME.png`."""
        file = ARTEFACTS / f"{name}-{self.width}-{self.scheme}.png"
        self.page.screenshot(path=file, full_page=True)
        return file

    def check_accessibility(self) -> None:
        """Fail with a list of what axe finds: WCAG 2.2 A and AA, and best practices.

        Not in a browser without JavaScript, where axe itself would wait for ever.
        """
        assert self.javascript, "axe needs JavaScript"
        options = {
            "runOnly": {"type": "tag", "values": _RULES},
            "resultTypes": ["violations"],
        }
        found = Axe().run(self.page, options=options)
        assert found.response["passes"], "axe checked nothing"
        assert found.violations_count == 0, f"{self.page.url}\n{found.generate_report()}"

    def check_width(self) -> None:
        """Fail if the page is wider than the window: a phone would scroll sideways."""
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= self.width, f"{self.page.url} is {wide} pixels wide, not {self.width}"


@contextmanager
def visiting(
    browser: Browser,
    address: str,
    watch: Watch,
    *,
    width: int = 1440,
    scheme: Scheme = "light",
    javascript: bool = True,
) -> Iterator[Visitor]:
    """Open a context; it is closed on the way out, so that all its events have been told."""
    visitor = Visitor(browser, address, watch, width=width, scheme=scheme, javascript=javascript)
    try:
        yield visitor
    finally:
        visitor.context.close()


def _watch(context: BrowserContext, address: str, watch: Watch) -> None:
    own = urlsplit(address).netloc

    def console(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            watch.note(f"console {message.type}: {message.text}")

    def dialog(opened: Dialog) -> None:
        watch.note(f"{_ATTACK}dialog {opened.message!r}")
        opened.dismiss()

    def request(sent: Request) -> None:
        address = urlsplit(sent.url)
        if address.path.startswith(CANARY):
            watch.note(f"{_ATTACK}request to {sent.url}")
        if address.netloc != own:
            watch.note(f"request to another place: {sent.url[:200]}")

    def failed(sent: Request) -> None:
        # A page that is left ends its stream of events, and its icon if that is still on its way;
        # a link to a file that is kept goes to no page.
        is_expected = (
            sent.resource_type == "eventsource"
            or sent.is_navigation_request()
            or urlsplit(sent.url).path.endswith(ICON)
        )
        if not (is_expected and sent.failure == "net::ERR_ABORTED"):
            watch.note(f"request failed: {sent.url[:200]}: {sent.failure}")

    def response(answer: Response) -> None:
        if answer.status >= 400:
            watch.note(f"status {answer.status}: {answer.url[:200]}")

    def page(opened: Page) -> None:
        opened.on("frameattached", lambda frame: watch.note(f"frame: {frame.url[:200]}"))

    context.on("console", console)
    context.on("dialog", dialog)
    context.on("request", request)
    context.on("requestfailed", failed)
    context.on("response", response)
    context.on("page", page)
    context.on("weberror", lambda error: watch.note(f"script error: {error.error.message}"))
    context.expose_binding(
        "pwn", lambda source: watch.note(f"{_ATTACK}script at {source['frame'].url}")
    )
