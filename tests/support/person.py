"""Somebody at the start page, whose clicks are counted: with a mouse, by keys alone, no script."""

import csv
import io
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Locator, Page

from support.watched_browser import Visitor

CLICKS_MAX: Final = 3
TABS_MAX: Final = 400
Way = Literal["mouse", "keys", "no-script"]

_IS_SEEN: Final = """one => {
    const style = getComputedStyle(one);
    return one.matches(":focus-visible") && style.outlineStyle !== "none"
        && parseFloat(style.outlineWidth) > 0;
}"""


class Person:
    """Uses pages from the start page on; a fourth click is a fault of the pages."""

    def __init__(self, visitor: Visitor, way: Way) -> None:
        self.visitor = visitor
        self.way = way
        self.clicks = 0
        self.begin()

    @property
    def page(self) -> Page:
        return self.visitor.page

    def begin(self, query: str = "") -> None:
        """Open the start page, for a use of its own."""
        self.visitor.go(f"/ui{query}")
        self.clicks = 0

    def click(self, target: str | Locator) -> None:
        """Follow a link, press a button or open what is folded: one click, or Enter."""
        self.clicks += 1
        assert self.clicks <= CLICKS_MAX, f"click {self.clicks} on {target}"
        found = self._one(target)
        if self.way == "keys":
            self._reach(found)
            self.page.keyboard.press("Enter")
        else:
            found.click()

    def goes_to(self, entry: str) -> None:
        """Follow an entry of the navigation."""
        pages = self.page.get_by_role("navigation", name="Pages")
        self.click(pages.get_by_text(entry, exact=True))

    def enter(self, target: str | Locator, text: str) -> None:
        """Write a text into a field, in place of what is there."""
        found = self._one(target)
        if self.way == "keys":
            self._reach(found)
            self.page.keyboard.press("Control+a")
            self.page.keyboard.type(text)
        else:
            found.fill(text)

    def take(self, target: str | Locator) -> Path:
        """Follow a link to a file; returns the file."""
        with self.page.expect_download() as begun:
            self.click(target)
        return Path(begun.value.path())

    def take_csv(self, target: str | Locator) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.take(target).read_text("utf-8"))))

    def cells(self, region: str, row: int = 0) -> list[str]:
        """Return the texts of one row of a table."""
        rows = self.page.get_by_role("region", name=region, exact=True).locator("tbody tr")
        return [text.strip() for text in rows.nth(row).locator("th, td").all_inner_texts()]

    def reads(self, text: str) -> None:
        """Wait until a text is seen."""
        self.page.get_by_text(text).first.wait_for()

    def arrives(self, pattern: str) -> None:
        """Wait until the page at an address has loaded."""
        self.page.wait_for_url(pattern)

    def _one(self, target: str | Locator) -> Locator:
        return (self.page.locator(target) if isinstance(target, str) else target).first

    def _reach(self, target: Locator) -> None:
        """Press Tab until the target has the focus, and see that it shows it."""
        target.wait_for()
        for _ in range(TABS_MAX):
            if target.evaluate("one => one === document.activeElement"):
                assert target.evaluate(_IS_SEEN), f"the focus is not seen: {target}"
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not lead to {target}")
