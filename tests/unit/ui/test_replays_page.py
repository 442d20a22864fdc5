"""The pages about replays, over real replays: what a reader sees, with the report's own numbers."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from lakehouse.core.errors import Refusal
from lakehouse.core.row import Row, RowMessage
from lakehouse.replay.run import RunPlan, at_work
from lakehouse.ui.replay_reading import ReplayReadings
from lakehouse.ui.replays import row_seen
from support.replays import begin_replay, log_sessions, run_replay, write_project
from support.rows import make_attempt, make_row
from support.ui_pages import pages_over
from support.waiting import wait_until

SESSIONS = 60
HOSTILE = "</pre><script>alert(1)</script>\u202e"
NEW = {
    "matches": {r"[38]\.": ["no"], r"2\.": ["no", '{"city":"Bergen"}']},
    "steps": ['{"city":"Bergen","more":"</code><script>alert(2)</script>"}'],
}


def replayed(directory: Path, **fields: Any) -> tuple[Path, RunPlan]:
    config = write_project(directory, new=NEW)
    log_sessions(config, SESSIONS, **fields)
    plan = begin_replay(config)
    run_replay(config, plan)
    return directory / "log", plan


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[tuple[TestClient, str]]:
    """The pages over a log with one replay, whose report has been computed, and its URL."""
    root, plan = replayed(tmp_path_factory.mktemp("replays"))
    url = f"/ui/replays/{plan.run_id}"
    with pages_over(root) as client:
        ready(client, url + ".json")
        yield client, url


def ready(client: TestClient, url: str) -> Any:
    """Ask for a replay until its report is computed; the model then."""
    answers: list[Any] = []

    def computed() -> bool:
        answer = client.get(url)
        assert answer.status_code == 200, answer.text
        answers.append(answer.json())
        assert answers[-1]["report_state"] in {"computing", "ready"}
        return bool(answers[-1]["report_state"] == "ready")

    wait_until(computed, "a report of a replay")
    return answers[-1]


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_where_nothing_was_replayed_the_page_says_what_to_run(tmp_path: Path):
    log_sessions(write_project(tmp_path), 1)
    with pages_over(tmp_path / "log") as client:
        page = client.get("/ui/replays").text
        model = client.get("/ui/replays.json").json()
    assert "lakehouse replay --model MODEL" in page
    assert "lakehouse replay --rejudge" in page
    assert (model["replays"], model["total"]) == ([], 0)


def test_the_list_has_rates_and_their_interval(browser):
    client, url = browser
    [one] = client.get("/ui/replays.json").json()["replays"]
    report = client.get(url + ".json").json()["report"]
    page = client.get("/ui/replays").text

    accepted = one["accepted"]
    assert accepted == report["metrics"][0]
    change = accepted["change"]
    low, high = (f"{100 * change[bound]:+.1f}" for bound in ("low", "high"))
    told = f"{100 * change['value']:+.1f} points ({low} to {high})"
    assert told.replace("-", "\N{MINUS SIGN}") in page
    assert f'href="{url}"' in page


def test_a_replay_has_the_rates_the_interval_and_the_flips(browser):
    client, url = browser
    model = client.get(url + ".json").json()
    page = client.get(url).text

    accepted = model["report"]["metrics"][0]
    words = text_of(page)
    for side in ("baseline", "candidate"):
        assert f"{100 * accepted[side]['value']:.1f} %" in words
    assert f"95 % interval {100 * accepted['change']['low']:+.1f} points" in words
    counted = {one["change"]: one["flips"] for one in model["change_counts"]}
    assert min(counted.values()) > 0
    assert model["flips_matching"] == sum(counted.values())
    assert words.count("accepted later") > 0
    for flip in model["flips"]:
        for side in ("baseline", "candidate"):
            assert f'href="/ui/sessions/{flip[side]["row_id"]}"' in page
        assert flip["baseline"]["row_id"] == flip["flip"]["row_id"]
        assert flip["candidate"]["row_id"] == flip["replay_row_id"]


def test_flips_of_one_kind_are_paged_and_each_is_shown_once(browser):
    client, url = browser
    counts = client.get(url + ".json").json()["change_counts"]
    for count in counts:
        seen: list[str] = []
        cursor: int | None = 0
        while cursor is not None:
            asked = f"{url}.json?change={count['change']}&cursor={cursor}"
            model = client.get(asked).json()
            assert {one["flip"]["change"] for one in model["flips"]} == {count["change"]}
            seen += [one["flip"]["row_id"] for one in model["flips"]]
            assert len(seen) <= count["flips"]
            cursor = model["next"]
        assert len(seen) == len(set(seen)) == count["flips"]


def test_a_lost_answer_shows_what_was_found_and_a_changed_one_shows_where(browser):
    client, url = browser
    [lost, *_] = client.get(f"{url}.json?change=lost").json()["flips"]
    assert (lost["baseline"]["ended"], lost["candidate"]["ended"]) == ("first shot", "exhausted")
    assert lost["baseline"]["artifact"] == '{\n  "city": "Oslo"\n}'
    assert lost["candidate"]["artifact"] is None
    assert lost["difference"] is None
    findings = [one["findings"] for one in lost["candidate"]["attempts"]]
    assert [one["code"] for attempt in findings for one in attempt] == ["no_json"] * 3

    [later, *_] = client.get(f"{url}.json?change=first_shot_lost").json()["flips"]
    pieces = [(piece["change"], piece["text"]) for piece in later["difference"]["pieces"]]
    assert pieces[1:3] == [("removed", "Oslo"), ("added", "Bergen")]
    assert {change for change, _ in pieces[:1] + pieces[3:]} == {"same"}
    page = client.get(f"{url}?change=first_shot_lost").text
    assert "<del>Oslo</del><ins>Bergen</ins>" in page


def test_a_gate_in_the_address_judges_the_replay(browser):
    client, url = browser
    gate = "accepted >= 0.99; first_shot >= baseline - 0.5"
    model = ready(client, f"{url}.json?gate={gate}")
    page = client.get(url, params={"gate": gate}).text

    judged = model["report"]["judgement"]
    assert judged["outcome"] == "regression"
    assert [one["outcome"] for one in judged["decisions"]] == ["regression", "pass"]
    assert "The candidate misses a limit by more than chance explains." in page
    assert "accepted &gt;= 0.99" in page


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("change=losst", "did you mean 'lost'"),
        ("cursor=-1", "whole number"),
        ("gate=acepted >= 0.5", "acepted"),
        ("gate=" + "a;" * 11, "10 are allowed"),
    ],
)
def test_what_cannot_be_asked_names_the_member_and_what_is_allowed(browser, query, says):
    client, url = browser

    def answered() -> bool:
        return bool(client.get(f"{url}.json?{query}").status_code != 200)

    wait_until(answered, "a refusal")
    answer = client.get(f"{url}.json?{query}")
    assert answer.status_code == 400
    assert says in answer.json()["detail"]


def test_a_replay_that_is_not_there_is_not_found(browser):
    client, _ = browser
    answer = client.get("/ui/replays/ffff.json")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert client.get("/ui/replays?cursor=x").status_code == 400


def test_a_replay_under_way_shows_how_far_it_is(tmp_path: Path):
    config = write_project(tmp_path)
    log_sessions(config, 10)
    plan = begin_replay(config)

    def refuse(row: Row) -> None:
        if row.prompt == "Notice 3.":
            raise Refusal("unknown_kind", "gone")

    run_replay(config, plan, before=refuse)
    root, url = tmp_path / "log", f"/ui/replays/{plan.run_id}"
    with at_work(root, plan.run_id), pages_over(root) as client:
        running = client.get(url).text
    with pages_over(root) as client:
        model = ready(client, url + ".json")
        stopped = client.get(url).text
    assert "9 of 10 sessions have an answer" in text_of(running)
    assert '<progress max="10" value="9">' in running
    assert model["replay"]["state"] == "partial"
    assert f"lakehouse replay --resume {plan.run_id}" in stopped
    assert "1 of 10 sessions were not replayed." in stopped


def test_without_the_extra_replays_are_listed_and_the_extra_is_named(tmp_path: Path, monkeypatch):
    root, plan = replayed(tmp_path)
    monkeypatch.setattr(ReplayReadings, "report_needs", property(lambda _: "scipy"))
    with pages_over(root) as client:
        listed = client.get("/ui/replays").text
        page = client.get(f"/ui/replays/{plan.run_id}").text
    for shown in (listed, page):
        assert "need" in shown
        assert "scipy" in shown
        assert "lakehouse-stack[replay]" in shown
        assert f"{100 * 48 / 60:.1f} %" in shown


def test_texts_of_sessions_are_shown_and_never_act(tmp_path: Path):
    root, plan = replayed(tmp_path, prompt=HOSTILE + " 7.")
    url = f"/ui/replays/{plan.run_id}"
    with pages_over(root) as client:
        model = ready(client, url + ".json")
        page = client.get(url).text
    assert model["flips"]
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "&lt;script&gt;alert(2)" in page


def test_a_flip_of_huge_rows_holds_only_what_it_shows():
    """What the pages share for a time is no larger than what is shown."""
    huge = "x" * 5_000_000
    artifact = msgspec.json.encode({"city": huge})
    held = [
        make_row(
            prompt=huge, artifact=msgspec.Raw(artifact), attempts=(make_attempt(output=huge),)
        ),
        make_row(
            attempts=(make_attempt(output=huge),), messages=(RowMessage(role="user", content=huge),)
        ),
    ]
    for row in held:
        seen = row_seen(row)
        assert len(msgspec.json.encode(seen)) < 50_000
        assert seen.prompt_cut
        assert seen.side.row_id == row.row_id
