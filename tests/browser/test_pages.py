"""Every page at three widths, light and dark: axe finds nothing, nothing is wider than the window.

The pictures are kept, for people to look at.
"""

import pytest

from browser.conftest import Visit
from support.watched_browser import WIDTHS, Scheme, Visitor

PAGES = {
    "overview": "/ui",
    "sessions": "/ui/sessions",
    "sessions-filtered": "/ui/sessions?verdict=accepted&text=delayed",
    "sessions-none": "/ui/sessions?kind=unheard-of",
    "findings": "/ui/findings",
    "findings-by-value": "/ui/findings?by=code,path,value,model",
    "values": "/ui/values",
    "latency": "/ui/latency",
    "kinds": "/ui/kinds",
    "kind": "/ui/kind?kind=event",
    "replays": "/ui/replays",
    "feedback": "/ui/feedback",
    "query": "/ui/query",
    "login": "/ui/login",
}
LISTS = ("findings", "values", "latency", "kinds", "kind")
SQL = "SELECT timestamp::DATE AS day, count(*) AS sessions FROM sessions GROUP BY day"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_fit_for_all(visit: Visit, cities: str, name: str, width: int, scheme: Scheme):
    visitor = visit(cities, width=width, scheme=scheme)
    assert visitor.go(PAGES[name]).status == 200
    check(visitor, name)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("verdict", ["accepted", "max_iter_exhausted", "infra_error"])
def test_the_story_of_a_session_is_fit_for_all(visit: Visit, cities: str, verdict: str, width: int):
    """Reached as a person reaches it: from the start page by the figure, and the list."""
    visitor = visit(cities, width=width)
    visitor.go("/ui")
    visitor.page.locator(f"dl.figures a[href*='verdict={verdict}']").click()
    visitor.page.locator("[data-row]").first.click()
    visitor.page.wait_for_url(f"**/ui/sessions/*?verdict={verdict}")
    check(visitor, f"session-{verdict}")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_answer_of_a_query_is_fit_for_all(visit: Visit, cities: str, width: int):
    visitor = visit(cities, width=width)
    visitor.go("/ui/query")
    visitor.page.locator("textarea").fill(SQL)
    visitor.page.get_by_role("button", name="Run").click()
    visitor.page.wait_for_url("**/ui/query?*sql=*")
    check(visitor, "query-answer")


def check(visitor: Visitor, name: str) -> None:
    visitor.shoot(name)
    visitor.check_width()
    visitor.check_accessibility()
    assert visitor.page.locator("h1").count() == 1


@pytest.mark.parametrize("name", ["overview", "sessions", "findings-by-value", *LISTS])
def test_a_list_is_read_on_a_phone_without_moving_it_aside(visit: Visit, cities: str, name: str):
    """Each row is a card there: no column is out of sight, and a time stands in one line."""
    visitor = visit(cities, width=360)
    visitor.go(PAGES[name])
    rows = visitor.page.locator("table.cards tbody tr")
    assert rows.count(), "the list is empty"
    hidden = visitor.page.evaluate(
        "[...document.querySelectorAll('.wide:has(> .cards), .cards tbody > tr > *')]"
        ".filter((one) => one.scrollWidth > one.clientWidth + 1)"
        ".map((one) => `${one.innerText}: ${one.scrollWidth} of ${one.clientWidth}`)"
    )
    assert hidden == []
    for time in visitor.page.locator("td:first-child time").all():
        box = time.bounding_box()
        assert box is not None
        assert box["height"] < 30  # one line
