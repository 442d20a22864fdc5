"""What people come to see, found as they do it: each within three clicks of the start page.

Each use with a mouse, by keys alone, and without JavaScript. What is read is held against the log,
as SQL reads it.
"""

import json
import re
import threading

from support import city_stack
from support.person import Person
from support.used_log import OWN, UsedLog


class TestOneSession:
    """What was asked and answered, attempt by attempt, and how to ask again."""

    def test_its_story(self, person: Person, used: UsedLog):
        person.enter("#find", "retry:")
        person.click("form.find button")
        person.click("[data-row]")
        person.reads("Answer 1: rejected")
        person.reads("The model was told")
        person.reads("What changed since answer 1")
        told = used.one(
            f"SELECT told FROM attempts JOIN (SELECT row_id {OWN} AND prompt LIKE 'retry%' "
            "ORDER BY timestamp DESC LIMIT 1) USING (row_id) WHERE iteration = 1"
        )
        page = person.page
        assert page.get_by_role("article").get_by_text(told).count()
        wrong = page.locator("li.wrong").first.inner_text()
        assert '"XXX"' in wrong
        assert "ungrounded" in wrong
        assert '["LHR","OSL"]' in wrong
        assert "XXX" in page.locator("del").first.inner_text()
        assert "LHR" in page.locator("ins").first.inner_text()

    def test_its_row_its_trace_and_how_to_ask_again(self, person: Person, used: UsedLog):
        session_id = used.one(f"SELECT session_id {OWN} ORDER BY timestamp DESC LIMIT 1")
        row_id = used.one(f"SELECT row_id {OWN} AND session_id = '{session_id}'")
        person.enter("#find", f'level=info session_id="{session_id}" done')
        person.click("form.find button")
        person.arrives(f"**/ui/sessions/{session_id}")
        person.click(person.page.locator("summary", has_text="Raw row"))
        person.click(person.page.locator("summary", has_text="Commands"))
        raw = person.page.get_by_role("group", name="Raw row").inner_text()
        assert json.loads(raw)["row_id"] == row_id
        story = person.page.get_by_role("article").first  # the replay of it comes after
        commands = story.locator("section.again pre").all_inner_texts()
        assert [text.split()[0] for text in commands] == ["lakehouse", "curl", "import"]
        assert row_id in commands[0]
        for text in commands[1:]:
            assert used.address in text
            assert "first shot: delayed" in text
        link = story.locator("dl.facts a[rel=noreferrer]").get_attribute("href")
        assert link == f"{used.langfuse}/trace/{session_id}"


class TestSteps:
    """From one session to the next, and never out of the filter."""

    def test_through_what_was_rejected(self, person: Person, used: UsedLog):
        rejected = [
            row_id
            for (row_id,) in used.rows(
                f"SELECT row_id {OWN} AND verdict = 'max_iter_exhausted' ORDER BY timestamp DESC"
            )
        ]
        assert len(rejected) == 2
        person.click("dl.figures a[href*='max_iter_exhausted']")
        person.click("[data-row]")
        person.arrives(f"**/ui/sessions/{rejected[0]}?verdict=max_iter_exhausted")
        person.click("a[rel=next]")
        person.arrives(f"**/ui/sessions/{rejected[1]}?verdict=max_iter_exhausted")
        person.reads("prose, and no JSON at all")
        assert not person.page.locator("a[rel=next]").count()
        assert person.page.locator("a[rel=prev]").count()
        person.page.go_back()
        person.arrives(f"**/ui/sessions/{rejected[0]}?verdict=max_iter_exhausted")

    def test_to_the_slow_ones(self, person: Person, used: UsedLog):
        slowest = used.one(f"SELECT row_id {OWN} ORDER BY duration_ms DESC LIMIT 1")
        person.goes_to("Latency")
        person.click("dl.figures a[href*='duration_ms_min']")
        person.click("[data-row]")
        person.arrives(f"**/ui/sessions/{slowest}?duration_ms_min=*")
        person.reads("slow: delayed")


class TestSearch:
    """By text, by metadata, by anything that a session was."""

    def test_by_a_text(self, person: Person, used: UsedLog):
        person.enter("#find", "misread")
        person.click("form.find button")
        person.arrives("**/ui/sessions?text=misread")
        found = used.one(f"SELECT count(*) {OWN} AND prompt LIKE '%misread%'")
        person.reads(f"{found} sessions.")

    def test_by_metadata(self, person: Person):
        person.click(person.page.locator("summary", has_text="Filter"))
        person.enter(person.page.get_by_label("Metadata, NAME=VALUE"), "team=blue")
        person.click("form.fields button")
        person.arrives("**/ui?metadata.team=blue")
        person.click("dl.figures a[href*='verdict=accepted']")
        person.arrives("**/ui/sessions?metadata.team=blue&verdict=accepted")
        person.reads("1 session.")
        person.reads("of team blue")


def test_rates_over_time_have_intervals_by_model_and_kind(person: Person, used: UsedLog):
    person.click(person.page.locator("summary", has_text="Filter"))
    person.enter(person.page.get_by_label("Model", exact=True), "small")
    person.enter(person.page.get_by_label("Kind", exact=True), "event")
    person.click("form.fields button")
    person.arrives("**/ui?kind=event&model=small")
    person.click("figure.chart summary")
    # The chart is by minute, and the sessions may have ended in two of them.
    accepted, judged = used.rows(
        "SELECT count(*) FILTER (verdict = 'accepted'), "
        f"count(*) FILTER (verdict <> 'infra_error') AS judged {OWN} "
        "GROUP BY date_trunc('minute', timestamp) HAVING judged > 0 "
        "ORDER BY date_trunc('minute', timestamp)"
    )[0]
    table = person.page.locator("figure.chart").first.get_by_role("region")
    table.wait_for()
    shown = table.locator("tbody tr").first.locator("td").all_inner_texts()
    assert shown[1] == "accepted"
    assert shown[2] == f"{100 * accepted / judged:.1f} %"
    low, high = (float(one) for one in re.findall(r"[\d.]+", shown[3]))
    assert low < 100 * accepted / judged < high
    assert str(judged) in shown[4]


def test_a_replay_lists_its_flips_side_by_side_with_an_interval(person: Person, used: UsedLog):
    person.goes_to("Replays")
    person.click("[data-row]")
    person.page.locator("#flips").wait_for()  # it may be computed first
    [(gained, lost)] = used.rows(
        "SELECT count(*) FILTER (candidate.verdict = 'accepted'), "
        "count(*) FILTER (baseline.verdict = 'accepted') "
        "FROM replays WHERE candidate.verdict <> baseline.verdict"
    )
    assert gained == 2
    assert lost == 2
    chips = person.page.get_by_role("navigation", name="Kinds of flips").inner_text()
    assert f"newly accepted {gained}" in chips
    assert f"no longer accepted {lost}" in chips
    flip = person.page.locator("article.flip.gained").first
    before, after = flip.locator(".sides > div").all()
    assert "no_json" in before.inner_text()
    assert '"OSL"' in after.inner_text()
    assert "95 %" in person.page.locator("p.headline").inner_text()


class TestWhatGoesWrong:
    """Findings with their counts, and the list that a data owner needs."""

    def test_findings(self, person: Person, used: UsedLog):
        person.goes_to("Findings")
        person.page.get_by_role("region", name="Findings").wait_for()
        known = {
            (code, path or "the whole answer"): (str(findings), str(sessions))
            for code, path, findings, sessions in used.rows(
                "SELECT code, findings.path, count(*), count(DISTINCT row_id) FROM findings "
                f"WHERE row_id IN (SELECT row_id {OWN}) GROUP BY ALL"
            )
        }
        rows = [person.cells("Findings", number) for number in range(len(known))]
        assert {(one[0], one[1]): (one[2], one[3]) for one in rows} == known

    def test_values_that_are_not_in_the_tables(self, person: Person, used: UsedLog):
        person.goes_to("Values")
        [row] = person.take_csv("main a:text-is('CSV')")
        count = used.one(
            "SELECT count(*) FROM findings WHERE code = 'ungrounded' AND path = '/code' "
            f"AND row_id IN (SELECT row_id {OWN})"
        )
        assert (row["path"], row["value"], row["findings"]) == ("/code", "XXX", str(count))
        assert row["nearest"] == '["LHR","OSL"]'
        assert person.cells("Values")[1] == '"XXX"'


def test_time_and_tokens_by_kind_model_and_key(person: Person, used: UsedLog):
    person.goes_to("Latency")
    for name in ("model", "API key"):
        person.click(person.page.get_by_role("link", name=f"{name} +"))
        person.page.get_by_role("link", name=f"{name} ×").wait_for()
    known = {
        (kind, model, key or "none"): str(sessions)
        for kind, model, key, sessions in used.rows(
            f"SELECT kind, model_alias, metadata ->> 'api_key', count(*) {OWN} GROUP BY ALL"
        )
    }
    assert len(known) == 2
    region = "Time and tokens of each group"
    rows = [person.cells(region, number) for number in range(len(known))]
    assert {(one[0], one[1], one[2]): one[3] for one in rows} == known
    [slow] = [one for one in rows if "ana" in one]
    assert slow[6].endswith(" s")
    assert "".join(slow[10].split()) == "1234"
    assert slow[14] == "56"


def test_what_the_last_change_of_a_kind_did(person: Person, used: UsedLog):
    person.goes_to("Kinds")
    person.click(person.page.get_by_role("link", name="event"))
    person.reads("What the last change did")
    known = [
        (digest[:19] + "…", str(sessions), f"{100 * accepted / judged:.1f} %")
        for digest, sessions, accepted, judged in used.rows(
            "SELECT kind_digest, count(*), count(*) FILTER (verdict = 'accepted'), "
            f"count(*) FILTER (verdict <> 'infra_error') {OWN} "
            "GROUP BY 1 ORDER BY max(timestamp) DESC"
        )
    ]
    assert len(known) == 2
    rows = [person.cells("Digests", number) for number in range(2)]
    assert [(one[0].split()[0], one[3], one[4].split("\n")[0]) for one in rows] == known
    person.reads("A code has three letters")


class TestIsItWell:
    """Models, log, and what runs now."""

    def test_models_and_log(self, person: Person):
        assert person.clicks == 0
        models = person.page.locator("ul.models li").all_inner_texts()
        assert {tuple(text.split()[:2]) for text in models} == {
            ("ready", "small"),
            ("unreachable", "dead"),
            ("ready", "other"),
        }
        person.reads("No session is running.")
        person.reads("The log:")

    def test_what_runs_is_seen_until_it_has_ended(self, person: Person, used: UsedLog):
        """Without JavaScript it is what it was when the page was loaded."""
        asked = threading.Thread(
            target=city_stack.iterate,
            args=(used.port,),
            kwargs={"kind": "event", "prompt": "slow: delayed, and live", "max_iterations": 1},
        )
        person.reads("Running now: 0")
        asked.start()
        if person.way == "no-script":
            while person.page.get_by_text("Running now: 1").count() == 0:
                assert asked.is_alive()
                person.begin()
            asked.join(60)
            person.begin()
        else:
            person.reads("Running now: 1")
        person.reads("Running now: 0")
        asked.join(60)
