"""The page of one session, as a browser gets it: its story, its neighbours, its other rows."""

import json
import re

import msgspec
import pytest

from lakehouse.core.finding import Finding
from lakehouse.core.ids import new_id
from lakehouse.core.row_codec import encode_line
from lakehouse.ui.session_page import STORIES_MAX
from support.rows import make_attempt, make_feedback, make_row
from support.ui_pages import pages_over, write_log

EVIL = "</pre><script>alert(1)</script>\u202e\x1b[31m'\"&"
VISIBLE = "&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;\\u202e\\x1b[31m&#39;&#34;&amp;"
FIRST = make_attempt(
    outcome="rejected",
    output=EVIL,
    thinking=EVIL,
    artifact=msgspec.Raw(b'{"airport":"QQQ","price":1.10}'),
    findings=(
        Finding(code="ungrounded", path="/airport", message=EVIL, got=msgspec.Raw(b'"QQQ"')),
        Finding(code="schema", path="/stops/0", message="is missing"),
    ),
)
STORY = make_row(
    timestamp="2026-01-02T03:00:02.000000Z",
    attempts=(FIRST, make_attempt(1, told=EVIL)),
    iterations=2,
    accepted_iteration=1,
    prompt=EVIL,
    system=EVIL,
    metadata={EVIL: EVIL},
    conversation_id=EVIL,
    session_id="the.session",
    trace_id=new_id(),
)
OLDER = make_row(timestamp="2026-01-02T03:00:01.000000Z", kind="other")
OLDEST = make_row(timestamp="2026-01-02T03:00:00.000000Z")
NEWER = make_row(timestamp="2026-01-02T03:00:03.000000Z")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    root = write_log(tmp_path_factory.mktemp("log") / "log", [OLDEST, OLDER, STORY, NEWER])
    label = make_feedback(row_id=STORY.row_id, comment=EVIL)
    other = make_feedback(row_id=OLDER.row_id, comment=STORY.row_id)
    lines = [encode_line(one) for one in (label, other)]
    (root / "feedback.jsonl").write_bytes(b"".join(b"\n%b\n" % line for line in lines))
    with pages_over(root) as client:
        yield client


def test_the_story_is_shown_and_nothing_in_it_is_markup(pages):
    """Each text from outside, escaped, and what steers a display as its number."""
    text = pages.get(f"/ui/sessions/{STORY.row_id}").raise_for_status().text
    assert text.count("<h1") == 1
    assert "<script>alert" not in text
    assert not re.search("[\u202e\x1b]", text)
    assert text.count(VISIBLE) > 8
    assert "Answer 2 of at most 3 was accepted" in text
    assert "/stops/0 is not in the answer" in text
    assert re.search(r"<del>QQQ</del>\s*<ins>OSL</ins>", text)
    assert "1.10" in text
    assert "A person corrected the answer." in text
    assert "style=" not in text


@pytest.mark.parametrize("name", ["row_id", "session_id", "trace_id"])
def test_any_id_finds_it(pages, name):
    """As it may be in a line of a log; the JSON has the same story, and the row's own bytes."""
    found = pages.get(f"/ui/sessions/{getattr(STORY, name)}.json").raise_for_status()
    [story] = found.json()["stories"]
    assert story["row_id"] == STORY.row_id
    assert encode_line(STORY) in found.content
    assert [one["code"] for one in story["attempts"][0]["findings"]] == ["ungrounded", "schema"]
    assert story["label"]["comment"] == EVIL
    assert story["calls"]["curl"]["text"].startswith("curl ")


def test_the_next_session_is_that_of_the_filter(pages):
    """Newer and older are links that keep the filter; what it leaves out is passed over."""
    text = pages.get(f"/ui/sessions/{STORY.row_id}?kind=airport_event").text
    [newer] = re.findall(r'<a rel="prev"[^>]* href="([^"]*)"', text)
    [older] = re.findall(r'<a rel="next"[^>]* href="([^"]*)"', text)
    assert newer == f"/ui/sessions/{NEWER.row_id}?kind=airport_event"
    assert older == f"/ui/sessions/{OLDEST.row_id}?kind=airport_event"
    assert f"/ui/sessions/{OLDER.row_id}" in pages.get(f"/ui/sessions/{STORY.row_id}").text


@pytest.mark.parametrize("identity", ["f" * 32, "no%20id", "x" * 65])
def test_an_unknown_id_is_said(pages, identity):
    """As a page with the status 404."""
    answer = pages.get(f"/ui/sessions/{identity}")
    assert answer.status_code == 404
    assert "There is no session, row or trace" in answer.text


def test_several_rows_of_one_session_are_told_one_by_one(tmp_path):
    """The session's own first, replays after it; of many rows the rest are links."""
    rows = [make_row(session_id="again", daemon="replay") for _ in range(4)]
    rows.insert(2, make_row(session_id="again"))
    with pages_over(write_log(tmp_path / "log", rows)) as client:
        page = client.get("/ui/sessions/again.json").json()
        text = client.get("/ui/sessions/again").text
        alone = client.get(f"/ui/sessions/{rows[0].row_id}.json").json()
    assert [story["is_replay"] for story in page["stories"]] == [False] + [True] * (STORIES_MAX - 1)
    told = [story["row_id"] for story in page["stories"]]
    linked = [one["row_id"] for one in page["others"]]
    assert sorted(told + linked) == sorted(row.row_id for row in rows)
    assert text.count("<h1") == 1
    assert text.count('<article class="story"') == STORIES_MAX
    assert all(f"/ui/sessions/{row_id}" in text for row_id in linked)
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert [story["row_id"] for story in alone["stories"]] == [rows[0].row_id]


def test_a_huge_row_is_a_small_page(tmp_path):
    """Ten answers of 700 KB, each wrong in a thousand places: the page is bounded, and says so."""
    big = {f"k{n}": "v" * 60 for n in range(9_000)}
    artifact = msgspec.Raw(json.dumps(big, separators=(",", ":")).encode())
    findings = tuple(
        Finding(code="schema", path=f"/k{n}", message="is wrong") for n in range(1_000)
    )
    attempts = tuple(
        make_attempt(
            n, outcome="rejected", findings=findings, artifact=artifact, output="x" * 9_000
        )
        for n in range(10)
    )
    row = make_row(attempts=attempts, artifact=msgspec.Raw(b"null"), verdict="max_iter_exhausted")
    with pages_over(write_log(tmp_path / "log", [row])) as client:
        answer = client.get(f"/ui/sessions/{row.row_id}").raise_for_status()
    assert len(answer.content) < 8_000_000
    assert "200 of 1,000 findings" in answer.text
