"""What people do with what they see: they label it, take it along, and step through a filter.

As in `test_uses`: within three clicks of the start page, and held against the log.
"""

import csv
import io
import json
from urllib.parse import parse_qsl, urlsplit

import pyarrow.parquet as pq

from browser.conftest import Visit
from support import city_stack
from support.person import Person
from support.used_log import OWN, UsedLog

WRONG = '{"code": 5, "quote": "delayed"}'
RIGHT = '{"code": "OSL", "quote": "delayed"}'


class TestFeedback:
    """One click is a label; what is corrected is checked; labels make cases."""

    def test_a_label(self, person: Person, used: UsedLog):
        person.goes_to("Feedback")
        person.click("a.act")
        person.click(person.page.get_by_role("button", name="Right", exact=True))
        person.reads("Saved: marked right.")
        row_id = urlsplit(person.page.url).path.rpartition("/")[2]
        assert used.rows(f"SELECT label FROM feedback WHERE row_id = '{row_id}'") == [("right",)]

    def test_a_correction(self, person: Person, used: UsedLog):
        person.goes_to("Feedback")
        person.click("a.act")
        person.arrives("**/ui/feedback/*")
        row_id = urlsplit(person.page.url).path.rpartition("/")[2]
        person.enter("#artifact", WRONG)
        save = person.page.get_by_role("button", name="Save the correction")
        if person.way == "no-script":  # it is checked when it is saved; else while it is typed
            person.visitor.watch.expect("^status 400: ", "^console error: .* 400")
            person.click(save)
        person.reads("The artifact does not fit")
        assert not used.rows(f"SELECT label FROM feedback WHERE row_id = '{row_id}'")
        if person.way == "no-script":
            person.begin()
            person.goes_to("Feedback")
            person.click("a.act")
        person.enter("#artifact", RIGHT)
        if person.way != "no-script":
            person.reads("The artifact fits")
        person.click(save)
        person.reads("Saved: marked corrected.")
        [(label, artifact)] = used.rows(
            f"SELECT label, artifact FROM feedback WHERE row_id = '{row_id}'"
        )
        assert label == "corrected"
        assert json.loads(artifact) == json.loads(RIGHT)

    def test_cases(self, person: Person, used: UsedLog):
        person.goes_to("Feedback")
        file = person.take(person.page.get_by_role("link", name="cases.jsonl"))
        cases = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        known = used.rows("SELECT row_id, label FROM feedback")
        assert {(one["row_id"], one["label"]) for one in cases} == set(known)
        [one] = [one for one in cases if one["prompt"] == "first shot: delayed, and labelled"]
        assert one["expected"] == json.loads(city_stack.GOOD)


class TestTakingAlong:
    """What is filtered, as a file, as its SQL, or as the answer to a question of one's own."""

    def test_the_sessions_of_a_filter(self, person: Person, used: UsedLog):
        known = sorted(used.rows(f"SELECT row_id {OWN} AND verdict = 'accepted'"))
        for form in ("CSV", "JSON lines", "Parquet", "the SQL for them"):
            person.begin()
            person.click("dl.figures a[href*='verdict=accepted']")
            file = person.take(person.page.get_by_role("main").get_by_role("link", name=form))
            if form == "Parquet":
                found = pq.read_table(file).column("row_id").to_pylist()
            elif form == "CSV":
                text = file.read_text("utf-8")
                found = [one["row_id"] for one in csv.DictReader(io.StringIO(text))]
            elif form == "JSON lines":
                lines = file.read_text("utf-8").splitlines()
                found = [json.loads(line)["row_id"] for line in lines]
            else:
                sql = f"SELECT row_id FROM ({file.read_text('utf-8')})"
                found = [row_id for (row_id,) in used.rows(sql)]
            assert sorted((row_id,) for row_id in found) == known, form

    def test_a_query(self, person: Person, used: UsedLog):
        sql = f"SELECT verdict, count(*) AS n {OWN} GROUP BY verdict ORDER BY verdict"
        person.goes_to("Query")
        person.reads("duration_ms")  # a column of the view that is open
        person.enter("#sql", sql)
        person.click(person.page.get_by_role("button", name="Run"))
        person.page.get_by_role("region", name="Rows").wait_for()
        known = [(verdict, str(count)) for verdict, count in used.rows(sql)]
        rows = [tuple(person.cells("Rows", number)) for number in range(len(known))]
        assert rows == known
        bars = person.page.locator("figure.chart .bar").all_inner_texts()
        assert [text.strip() for text in bars] == [count for _, count in known]
        taken = person.take_csv(person.page.get_by_role("main").get_by_role("link", name="CSV"))
        assert [(one["verdict"], one["n"]) for one in taken] == known

    def test_a_link_to_a_query(self, person: Person, used: UsedLog):
        person.goes_to("Query")
        person.click(person.page.get_by_role("button", name="Run"))
        person.click(person.page.get_by_role("link", name="Link to this query"))
        person.page.get_by_role("region", name="Rows").wait_for()
        sessions = used.one(f"SELECT count(*) {OWN}")
        assert person.cells("Rows")[1] == str(sessions)
        link = person.page.url
        person.visitor.go(link.removeprefix(used.address))
        person.reads("has not run")


SECTIONS = ("Sessions", "Findings", "Values", "Latency", "Kinds", "Replays", "Feedback", "Query")
FILTER = {"text": "delayed", "since": "24h"}


def test_a_filter_goes_along_to_every_section_and_file_and_back(visit: Visit, used: UsedLog):
    visitor = visit(used.address)
    page = visitor.page
    visitor.go("/ui?text=delayed")
    page.get_by_role("link", name="24 hours").click()
    addresses = []
    for entry in (*SECTIONS, "Overview"):
        page.get_by_role("navigation", name="Pages").get_by_text(entry, exact=True).click()
        page.wait_for_url(f"**/ui{'' if entry == 'Overview' else '/' + entry.lower()}?**")
        addresses.append(page.url)
        assert filter_of(page.url) == FILTER
        files = page.locator(
            "a[href*='.csv'], a[href*='json'], a[href*='.parquet'], a[href*='.sql']"
        )
        assert files.count() >= 1
        for link in files.all():
            assert filter_of(link.get_attribute("href") or "") == FILTER
    for address in reversed(addresses[:-1]):
        page.go_back()
        page.wait_for_url(address)
        chips = page.get_by_role("link", name="Remove text delayed").count()
        assert chips == ("/replays" not in address and "/query" not in address)


def test_keys_step_through_a_filter(visit: Visit, used: UsedLog):
    """`/`, `j`, `k` and Enter; the first Tab skips what every page begins with."""
    visitor = visit(used.address)
    page = visitor.page
    visitor.go("/ui")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("/")
    page.keyboard.type("shot: delayed")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ui/sessions?text=shot%3A%20delayed")
    rows = [
        row_id
        for (row_id,) in used.rows(
            f"SELECT row_id {OWN} AND prompt LIKE '%shot: delayed%' ORDER BY timestamp DESC"
        )
    ]
    for key in "jjk":
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    for key, row_id in zip(("j", "j", "k", ""), (*rows[:3], rows[1]), strict=True):
        page.wait_for_url(f"**/ui/sessions/{row_id}?text=shot%3A%20delayed")
        if key:
            page.keyboard.press(key)


def filter_of(url: str) -> dict[str, str]:
    members = dict(parse_qsl(urlsplit(url).query))
    return {name: members[name] for name in FILTER if name in members}
