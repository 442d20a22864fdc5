"""Every page over a log of attacks: none runs, none becomes an element, nothing stays hidden.

The same pages over harmless texts show what pages consist of. A test of the rig shows that the
attacks are attacks where nothing is escaped.
"""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import quote

import pytest

from browser.conftest import Visit
from support.hostile_log import HostileLog
from support.hostile_texts import SESSION_IDS, TEXTS, twin
from support.page_shape import elements, fetched, hidden_characters, made_by_texts
from support.stack import call
from support.visited_stacks import running_on_attacks
from support.watched_browser import Visitor, Watch

LISTS = [
    "/ui",
    "/ui/sessions",
    "/ui/sessions?daemon=replay",
    "/ui/findings",
    "/ui/findings?by=kind,model",
    "/ui/values",
    "/ui/latency",
    "/ui/latency?by=model",
    "/ui/kinds",
    "/ui/replays",
    "/ui/feedback",
    "/ui/query",
]
SQL = """SELECT kind, model, prompt, system, metadata, artifact, messages, attempts, error
FROM sessions ORDER BY timestamp"""
# What a spreadsheet takes for the begin of a formula.
FORMULA = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")

Stacks = dict[bool, tuple[str, HostileLog]]


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stacks]:
    """The stacks over attacks (False) and over their harmless twins (True)."""
    with ExitStack() as running:
        yield {
            harmless: running.enter_context(
                running_on_attacks(tmp_path_factory.mktemp("log") / "stack", harmless=harmless)
            )
            for harmless in (False, True)
        }


@pytest.fixture
def both(visit: Visit, stacks: Stacks) -> tuple[Visitor, Visitor]:
    hostile, harmless = (visit(stacks[which][0], width=820) for which in (False, True))
    harmless.go("/ui/login")
    return hostile, harmless


def faults(both: tuple[Visitor, Visitor], path: str, twin_path: str) -> list[str]:
    """Open a page, and say what it has that the same page over harmless texts has not."""
    hostile, harmless = both
    status = hostile.go(path).status
    twin_status, twin_elements = fetched(harmless.page, twin_path)
    if status != twin_status:
        return [f"status {status}, not {twin_status}"]
    found = made_by_texts(elements(hostile.page), twin_elements)
    return found + [f"hidden: {one}" for one in hidden_characters(hostile.page)]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", LISTS)
def test_lists_show_attacks_as_texts(both: tuple[Visitor, Visitor], watch: Watch, path: str):
    """All pages of a list, as far as they go; cursors are opaque, so each log has its own."""
    hostile, harmless = both
    here, there = path, path
    while here:
        assert faults(both, here, there) == [], here
        following = hostile.page.locator("a[rel=next]")
        here = following.get_attribute("href") or "" if following.count() else ""
        there = fetched_link(harmless, there) if here else ""
        assert bool(here) == bool(there)
    assert watch.attacks == []


def fetched_link(visitor: Visitor, path: str) -> str:
    """Give the address of the next page of a list."""
    read = """async path => {
        const page = new DOMParser().parseFromString(await (await fetch(path)).text(), "text/html");
        return page.querySelector("a[rel=next]")?.getAttribute("href") ?? "";
    }"""
    return str(visitor.page.evaluate(read, path))


@pytest.mark.timeout(1800)
def test_sessions_show_attacks_as_texts(
    both: tuple[Visitor, Visitor], stacks: Stacks, watch: Watch
):
    """Every text in every place of three rows, which were judged, failed and replayed."""
    wrong = {
        text: found
        for number, text in enumerate(TEXTS)
        if (found := faults(both, *[f"/ui/sessions/attack-{number}"] * 2))
    }

    assert wrong == {}
    assert watch.attacks == []
    both[0].go("/ui/sessions/attack-0")
    assert both[0].page.get_by_text(TEXTS[0]).count() > 20


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", ["feedback", "kind"])
def test_pages_about_one_row_or_kind_show_attacks_as_texts(
    both: tuple[Visitor, Visitor], stacks: Stacks, watch: Watch, page: str
):
    """The form that corrects an artifact, with label, comment and author; a kind by its name."""
    wrong = {}
    for number, text in enumerate(TEXTS):
        here, there = (
            f"/ui/feedback/{stacks[which][1].rows[3 * number].row_id}"
            if page == "feedback"
            else f"/ui/kind?kind={quote(twin(text) if which else text, safe='')}"
            for which in (False, True)
        )
        if found := faults(both, here, there):
            wrong[text] = found

    assert wrong == {}
    assert watch.attacks == []


@pytest.mark.timeout(900)
def test_the_result_of_a_query_shows_attacks_as_texts(both: tuple[Visitor, Visitor], watch: Watch):
    """Run by a person: SQL of a link does not run by itself."""
    for visitor in both:
        visitor.go("/ui/query")
        visitor.page.get_by_label("SQL: one SELECT").fill(SQL)
        with visitor.page.expect_navigation():
            visitor.page.get_by_role("button", name="Run").click()
        assert visitor.page.locator("table.result tbody tr").count() > 50
    hostile, harmless = (visitor.page for visitor in both)

    assert made_by_texts(elements(hostile), elements(harmless)) == []
    assert hidden_characters(hostile) == []
    assert watch.attacks == []


@pytest.mark.parametrize("path", ["/ui/sessions.csv", "/ui/values.csv"])
def test_no_cell_of_a_file_is_a_formula(stacks: Stacks, path: str):
    """Read as a spreadsheet reads it: lines end where they end, and no cell begins a formula."""
    port = int(stacks[False][0].rpartition(":")[2])
    answer = call(port, "GET", path)
    assert answer.status == 200
    assert answer.headers["content-disposition"].startswith("attachment; ")
    names, *lines = csv.reader(io.StringIO(answer.body.decode("utf-8"), newline=""), strict=True)

    assert len(lines) > 300
    assert {len(line) for line in lines} == {len(names)}
    cells = [cell for line in lines for cell in line]
    assert any(cell.startswith("'=") for cell in cells)
    assert [cell for cell in cells if FORMULA.match(cell) and not _is_number(cell)] == []


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_odd_session_ids_have_pages(both: tuple[Visitor, Visitor], stacks: Stacks):
    """They are found by their row's id, whatever a path makes of the session's."""
    hostile, _ = both
    rows = stacks[False][1].rows[-len(SESSION_IDS) :]
    for row, session_id in zip(rows, SESSION_IDS, strict=True):
        assert hostile.go(f"/ui/sessions/{row.row_id}").status == 200
        assert hostile.page.get_by_text(session_id, exact=True).count(), session_id


@pytest.mark.timeout(900)
def test_what_a_link_brings_is_text_too(both: tuple[Visitor, Visitor], watch: Watch):
    """A filter's values and names, which stand in the form, in the links and in what is said."""
    wrong = {
        text: found
        for text in TEXTS
        if (found := faults(both, *(filtered(one) for one in (text, twin(text)))))
    }

    assert wrong == {}
    assert watch.attacks == []


def filtered(text: str) -> str:
    value = quote(text[:400], safe="")  # an address takes 16 KB
    return f"/ui/sessions?kind={value}&metadata.{value}={value}&model={value}"


@pytest.mark.timeout(900)
def test_what_is_refused_is_said_as_text(both: tuple[Visitor, Visitor], watch: Watch):
    """Unknown pages, members and values that cannot be."""
    watch.expect("^status 4", "^console error: Failed to load resource: .* 4")
    wrong = {}
    for text in TEXTS:
        name, other = quote(text, safe=""), quote(twin(text), safe="")
        for path in ("/ui/sessions?x{}=1", "/ui/sessions?since={}"):
            if found := faults(both, path.format(name), path.format(other)):
                wrong[path, text] = found

    assert wrong == {}
    assert watch.attacks == []
