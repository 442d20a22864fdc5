"""Feedback in the browser: the list of labels, the form for one, and the cases made of them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from starlette.testclient import TestClient

from lakehouse.core.kind import Kind
from lakehouse.core.replay_row import Feedback
from lakehouse.core.row import Row
from lakehouse.core.row_codec import decode_feedback
from lakehouse.sessionlog.layout import FEEDBACK
from lakehouse.sessionlog.shared_file import whole_lines
from lakehouse.ui.sources import PageSources
from support.joint import kind_of
from support.labelled_rows import event_row, give
from support.rows import NULL, make_attempt, rejected_attempt
from support.sessions import catalog
from support.ui_pages import pages_over, stack_view, write_log

EVENT = {
    "type": "object",
    "properties": {
        "airport": {"enum": ["OSL", "LHR"]},
        "delay": {"type": "number"},
        "note": {"type": "string"},
    },
    "required": ["airport"],
    "additionalProperties": False,
}


@pytest.fixture
def rows() -> list[Row]:
    return [event_row(number) for number in range(4)]


@pytest.fixture
def log(tmp_path: Path, rows: list[Row]) -> Path:
    return write_log(tmp_path / "log", rows)


def with_kinds(**kinds: Kind):
    def change(sources: PageSources) -> PageSources:
        stack = stack_view(catalog(**kinds))
        return msgspec.structs.replace(sources, served=lambda: stack)

    return change


@pytest.fixture
def client(log: Path) -> Iterator[TestClient]:
    with pages_over(log, change=with_kinds(event=kind_of(EVENT))) as client:
        yield client


def token(answer) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', answer.text)
    assert found is not None
    return found[1]


def send(client: TestClient, row: Row, query: str = "", **fields: str):
    """Send the form as a browser does: what the page's fields hold, with some changed."""
    url = f"/ui/feedback/{row.row_id}{query}"
    page = client.get(url)
    held = client.get(f"/ui/feedback/{row.row_id}.json").json()["entered"]
    sent = {
        "form_token": token(page),
        "label": held["label"],
        "artifact": held["text"],
        "comment": held["comment"],
        "action": "save",
    }
    return client.post(url, data={**sent, **fields}, follow_redirects=False)


def next_link(page: str) -> str:
    found = re.search(r'class="act" href="([^"]+)"', page)
    return found[1] if found else ""


def labels(log: Path) -> list[Feedback]:
    return [decode_feedback(line) for line in whole_lines(log / FEEDBACK)]


def test_a_label_is_saved_and_shown_at_once_everywhere(client, log, rows):
    row = rows[1]
    assert client.get("/ui/sessions.json?label=none").json()["sessions"]["matching"] == 4
    done = send(client, row, "?kind=event", label="wrong", comment="not\r\nlate", author="ana")
    assert done.status_code == 303
    goal = done.headers["location"]
    assert goal == f"/ui/feedback/{row.row_id}?kind=event&saved=yes&author=ana"
    [one] = labels(log)
    assert (one.row_id, one.session_id, one.label) == (row.row_id, row.session_id, "wrong")
    assert (one.comment, one.author, bytes(one.artifact)) == ("not\nlate", "ana", b"null")
    page = client.get(goal).text
    assert "Saved: marked wrong." in page
    # The next older one without a label, within the filter, by the same author.
    assert f"/ui/feedback/{rows[0].row_id}?kind=event&amp;author=ana" in page
    assert f"/ui/sessions/{row.row_id}?kind=event" in page
    assert client.get("/ui/sessions.json?label=none").json()["sessions"]["matching"] == 3
    listed = client.get("/ui/feedback.json").json()["labels"]["labels"]
    assert [(line["row_id"], line["comment"]) for line in listed] == [(row.row_id, "not\nlate")]


def test_saved_labels_are_seen_though_pages_share_answers(log, rows):
    with pages_over(log, change=with_kinds(event=kind_of(EVENT)), shared_s=600) as client:
        url = "/ui/sessions.json?label=wrong"
        assert client.get(url).json()["sessions"]["matching"] == 0
        give(log, rows[0], "wrong")
        assert client.get(url).json()["sessions"]["matching"] == 0, "the answer is shared"
        assert send(client, rows[1], label="wrong").status_code == 303
        assert client.get(url).json()["sessions"]["matching"] == 2


def test_one_session_after_another_until_none_is_left(client, rows):
    seen = []
    url = next_link(client.get("/ui/feedback").text)
    for _ in rows:
        data = client.get(url.replace("?", ".json?") if "?" in url else url + ".json").json()
        seen.append(data["row_id"])
        row = next(row for row in rows if row.row_id == data["row_id"])
        page = client.get(send(client, row, label="right").headers["location"]).text
        url = next_link(page)
    assert seen == [row.row_id for row in reversed(rows)]
    assert not url
    assert "No session without a label is left in this filter." in page


def test_skipping_leads_past_a_session_and_begins_again_at_the_end(client, rows):
    for row, expected in ((rows[2], rows[1]), (rows[0], rows[3])):
        data = client.get(f"/ui/feedback/{row.row_id}.json").json()
        assert data["unlabelled"]["next"] == expected.row_id
        assert data["unlabelled"]["sessions"] == 4


def test_a_corrected_artifact_keeps_the_bytes_of_its_numbers(client, log, rows):
    page = client.get(f"/ui/feedback/{rows[0].row_id}")
    assert "&#34;delay&#34;: 1.10\n}</textarea>" in page.text
    text = '{\r\n  "airport": "LHR",\r\n  "delay": 1.10\r\n}'
    assert send(client, rows[0], label="corrected", artifact=text).status_code == 303
    assert bytes(labels(log)[0].artifact) == b'{"airport":"LHR","delay":1.10}'
    page = client.get(f"/ui/feedback/{rows[0].row_id}").text
    assert "LHR" in page
    assert "The session's own answer, before it was corrected" in page.replace("&#39;", "'")


def test_what_hides_in_an_artifact_is_an_escape_in_the_field_and_the_same_value(tmp_path):
    artifact = msgspec.Raw('{"airport":"OSL","note":"a\u202eb\u200bc\U000e0041\x7f"}'.encode())
    row = event_row(0, artifact=artifact)
    log = write_log(tmp_path / "log", [row])
    with pages_over(log, change=with_kinds(event=kind_of(EVENT))) as client:
        text = client.get(f"/ui/feedback/{row.row_id}.json").json()["entered"]["text"]
        assert r'"a\u202eb\u200bc\udb40\udc41\u007f"' in text
        assert json.loads(text) == json.loads(bytes(artifact))
        assert send(client, row, label="right").status_code == 303, "it is no change"


WRONG = '{"airport": "OSLO", "delay": "</textarea><b>late", "more": 1}'


def test_findings_are_at_their_place_and_the_text_is_not_lost(client, log, rows):
    answer = send(client, rows[0], label="corrected", artifact="\n" + WRONG, comment="<i>\n")
    assert answer.status_code == 400
    assert labels(log) == []
    page = answer.text
    # A browser drops the first line break after the tag, so the text's own comes second.
    assert ">\n\n{&#34;airport&#34;: &#34;OSLO&#34;, &#34;delay&#34;: &#34;&lt;/textarea" in page
    assert ">\n&lt;i&gt;\n</textarea>" in page
    assert re.search(r'value="corrected">Save the correction</button>', page)
    for path in ("/airport", "/delay", "the whole artifact"):
        assert f"<code>{path}</code>" in page
    assert "[&#34;OSL&#34;,&#34;LHR&#34;]" in page, "what is expected"
    assert "<mark>&#34;airport&#34;: &#34;OSLO&#34;</mark>," in page, "at its place"


def test_a_check_says_the_same_and_saves_nothing(client, log, rows):
    url = f"/ui/feedback/{rows[0].row_id}"
    fields = {"form_token": token(client.get(url)), "artifact": WRONG}
    saved = client.post(url, data={**fields, "label": "corrected"}).text
    checked = client.post(url, data={**fields, "action": "check"})
    typed = client.post(f"{url}/check", data=fields)
    assert checked.status_code == typed.status_code == 200
    part = re.search(r'<div class="fault">.*</pre>', saved, re.DOTALL)
    assert part is not None
    assert part[0] in checked.text
    assert part[0] in typed.text
    assert "<html" not in typed.text
    good = client.post(f"{url}/check", data={**fields, "artifact": '{"airport":"LHR"}'})
    assert "fits the schema" in good.text
    assert labels(log) == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "No label is chosen; choose right, wrong, corrected."),
        ({"label": "rigth"}, "did you mean &#39;right&#39;?"),
        ({"label": "corrected", "artifact": ""}, "`artifact` is empty."),
        ({"label": "corrected", "artifact": '{"airport": }'}, "`artifact` is not JSON"),
        ({"label": "corrected", "artifact": '{"a":1,"a":2}'}, "`artifact` is not JSON"),
        ({"label": "right", "artifact": '{"airport": "LHR"}'}, "changed, but the label is right"),
        ({"label": "wrong", "artifact": "{"}, "changed, but the label is wrong"),
    ],
)
def test_what_cannot_be_saved_is_said_beside_the_form(client, log, rows, fields, told):
    answer = send(client, rows[0], **fields)
    assert answer.status_code == 400
    assert told in answer.text
    assert 'class="label-form"' in answer.text
    assert labels(log) == []


def test_a_form_sent_twice_is_one_label(client, log, rows):
    for _ in range(2):
        assert send(client, rows[0], label="right", author="ana").status_code == 303
    assert len(labels(log)) == 1
    assert send(client, rows[0], label="right", author="bob").status_code == 303
    assert send(client, rows[0], label="right", author="ana").status_code == 303
    assert [one.author for one in labels(log)] == ["ana", "bob", "ana"]


def test_a_session_without_an_artifact_cannot_be_right(tmp_path):
    half = msgspec.Raw(b'{"airport":"OSLO","delay":2.50}')
    rejected = [rejected_attempt(0, artifact=half), make_attempt(1, artifact=NULL, output="No.")]
    bare = event_row(0, artifact=NULL, verdict="max_iter_exhausted", attempts=tuple(rejected))
    prose = event_row(1, artifact=NULL, verdict="max_iter_exhausted", attempts=(rejected[1],))
    log = write_log(tmp_path / "log", [bare, prose])
    with pages_over(log, change=with_kinds(event=kind_of(EVENT))) as client:
        page = client.get(f"/ui/feedback/{bare.row_id}").text
        assert re.search(r'value="right" disabled', page)
        assert "2.50" in page, "the last artifact that was offered is what is corrected"
        answer = send(client, bare, label="right")
        assert answer.status_code == 400
        assert "the session has no artifact" in answer.text
        assert client.get(f"/ui/feedback/{prose.row_id}.json").json()["entered"]["text"] == "No."
        assert send(client, prose, label="wrong").status_code == 303


def test_which_row_is_meant_must_be_clear(tmp_path):
    first, second = event_row(0), event_row(1)
    second = msgspec.structs.replace(second, session_id=first.session_id)
    first = msgspec.structs.replace(first, session_id="s-1")
    second = msgspec.structs.replace(second, session_id="s-1")
    replay = event_row(2, daemon="replay", session_id="s-2")
    alone = event_row(3, session_id="s-3")
    log = write_log(tmp_path / "log", [first, second, replay, alone])
    with pages_over(log, change=with_kinds(event=kind_of(EVENT))) as client:
        twice = client.get("/ui/feedback/s-1")
        assert twice.status_code == 409
        assert first.row_id in twice.text
        assert second.row_id in twice.text
        again = client.get(f"/ui/feedback/{replay.row_id}")
        assert again.status_code == 400
        assert "is a replay" in again.text
        missing = client.get("/ui/feedback/nobody")
        assert missing.status_code == 404
        assert client.get("/ui/feedback/s-3.json").json()["row_id"] == alone.row_id
        assert client.get(f"/ui/feedback/{first.row_id}").status_code == 200


def test_a_kind_that_is_gone_takes_no_correction(log, rows):
    with pages_over(log, change=with_kinds(other=kind_of(EVENT))) as client:
        answer = send(client, rows[0], label="corrected", artifact='{"airport":"LHR"}')
        assert answer.status_code == 400
        assert "is not configured now" in answer.text
        assert labels(log) == []
        assert send(client, rows[0], label="right").status_code == 303


def test_without_a_stack_there_is_the_list_and_no_form(log, rows):
    give(log, rows[0], "wrong", comment="no")
    with pages_over(log) as client:
        page = client.get("/ui/feedback")
        assert page.status_code == 200
        assert f"/ui/sessions/{rows[0].row_id}" in page.text
        assert "given at the gateway" in page.text
        form = client.get(f"/ui/feedback/{rows[1].row_id}")
        assert form.status_code == 200
        assert "nothing can check a corrected artifact" in form.text
        assert "<textarea" not in form.text
        fields = {"form_token": client.cookies["lakehouse_form"], "label": "right"}
        for url in (f"/ui/feedback/{rows[1].row_id}", f"/ui/feedback/{rows[1].row_id}/check"):
            answer = client.post(url, data=fields)
            assert answer.status_code == 400
            assert "nothing can check" in answer.text
    assert len(labels(log)) == 1


def test_only_a_form_of_this_browser_can_write(client, log, rows):
    url = f"/ui/feedback/{rows[0].row_id}"
    known = token(client.get(url))
    fields = {"label": "right", "artifact": "", "form_token": known}
    other = {"origin": "https://evil.example"}
    assert client.post(url, data=fields, headers=other).status_code == 400
    assert client.post(url, data={**fields, "form_token": "x" * 32}).status_code == 400
    assert client.get(url, params=fields).status_code == 400
    assert labels(log) == []


def test_with_keys_the_author_is_the_name_of_the_key(log, rows):
    def authorize(_headers):
        return "ci"

    change = with_kinds(event=kind_of(EVENT))
    with pages_over(log, authorize=authorize, change=change) as client:
        assert 'name="author"' not in client.get(f"/ui/feedback/{rows[0].row_id}").text
        done = send(client, rows[0], label="right", author="somebody else")
        assert done.status_code == 303
    assert labels(log)[0].author == "ci"
