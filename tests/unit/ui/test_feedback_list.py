"""The list of what people said of sessions, and the cases made of it."""

import json
import shlex
import subprocess

import msgspec
import pytest

from lakehouse.core.finding import Truncated
from lakehouse.core.row import RowMessage
from lakehouse.sessionlog.index.filters import LogFilter
from lakehouse.sessionlog.index.questions import LabelCount
from lakehouse.sql.quoting import quoted_text
from lakehouse.ui.feedback_cases import case_groups
from support.labelled_rows import event_row, give
from support.rows import NULL, make_attempt, rejected_attempt
from support.ui_pages import pages_over, write_log


def test_the_list_has_counts_and_what_is_left(tmp_path):
    rows = [event_row(number) for number in range(4)]
    outage = event_row(9, verdict="infra_error", artifact=NULL, attempts=())
    log = write_log(tmp_path / "other", [*rows, outage])
    with pages_over(log) as client:
        _check_list(client, log, rows)
        assert client.get("/ui/feedback.json?verdict=infra_error").json()["unlabelled"] == {
            "type": "Unlabelled",
            "progress": {
                "rows": 5,
                "files_missing": 0,
                "bytes_missing": 0,
                "lines_unreadable": 0,
                "files_unreadable": 0,
                "unreadable": [],
                "index_trouble": None,
                "compacted_elsewhere": False,
            },
            "sessions": 1,
            "next": outage.row_id,
        }


def _check_list(client, log, rows):
    for row, label in zip(rows, ("wrong", "right", "right"), strict=False):
        give(log, row, label, comment="<script>", author="\u202eana")
    give(log, rows[0], "corrected", artifact=msgspec.Raw(b'{"airport":"LHR"}'))
    data = client.get("/ui/feedback.json").json()
    counts = {one["label"]: one["sessions"] for one in data["labels"]["counts"]}
    assert counts == {"right": 2, "corrected": 1}
    assert data["unlabelled"] == data["unlabelled"] | {"sessions": 1, "next": rows[3].row_id}
    listed = [one["row_id"] for one in data["labels"]["labels"]]
    assert listed == [rows[0].row_id, rows[2].row_id, rows[1].row_id], "the newest label first"
    page = client.get("/ui/feedback?label=right")
    assert rows[0].row_id not in page.text
    assert "<script>" not in page.text.replace('<script src="/ui/static/', "")
    assert r"\u202eana" in page.text
    assert "No labels yet" in client.get("/ui/feedback?model=nothing").text
    assert client.get("/ui/feedback?cursor=x").status_code == 400


def test_an_old_page_of_the_list_follows_the_one_before(tmp_path):
    rows = [event_row(number % 60) for number in range(120)]
    log = write_log(tmp_path / "log", rows)
    for row in rows:
        give(log, row, "right")
    with pages_over(log) as client:
        seen, url = [], "/ui/feedback.json"
        while url:
            found = client.get(url).json()["labels"]
            seen += [one["row_id"] for one in found["labels"]]
            url = f"/ui/feedback.json?cursor={found['next']}" if found["next"] else ""
    assert seen == [row.row_id for row in reversed(rows)]


def test_cases_are_what_has_a_known_right_answer(tmp_path):
    right, corrected, wrong, bare = (event_row(number) for number in range(4))
    cut = event_row(4, prompt_truncated=Truncated(True, 9_999, "ab" * 32))
    talk = event_row(5, messages=(RowMessage("user", "one"), RowMessage("user", "two")))
    other = event_row(6, kind="other")
    found = event_row(7, attempts=(rejected_attempt(0), make_attempt(1)))
    log = write_log(tmp_path / "log", [right, corrected, wrong, bare, cut, talk, other, found])
    for row in (right, cut, talk, other, found):
        give(log, row, "right")
    give(log, corrected, "corrected", artifact=msgspec.Raw(b'{"airport":"LHR","delay":2.50}'))
    give(log, wrong, "wrong")
    with pages_over(log) as client:
        answer = client.get("/ui/feedback/cases.jsonl?kind=event")
        assert 'filename="cases.jsonl"' in answer.headers["content-disposition"]
        lines = answer.content.splitlines()
        cases = {one["row_id"]: one for one in map(json.loads, lines)}
        assert cases.keys() == {right.row_id, corrected.row_id, found.row_id}
        assert b'"expected":{"airport":"LHR","delay":2.50}' in answer.content
        assert cases[right.row_id]["expected"] == json.loads(bytes(right.artifact))
        assert cases[right.row_id]["prompt"] == right.prompt
        groups = {one["kind"]: one for one in client.get("/ui/feedback.json").json()["cases"]}
        assert {kind: (one["right"], one["corrected"]) for kind, one in groups.items()} == {
            "event": (4, 1),
            "other": (1, 0),
        }
        only = client.get("/ui/feedback.json?label=corrected&kind=event").json()["cases"]
        assert [(one["right"], one["corrected"]) for one in only] == [(0, 1)]
        assert right.row_id not in groups["event"]["replay"], "a filter that a replay has too"
        [named] = client.get("/ui/feedback.json?path=/airport&kind=event").json()["cases"]
        assert found.row_id in named["replay"]
        assert right.row_id not in named["replay"]


@pytest.mark.parametrize("kind", ["it's", "a$(b)'c`", 'say "it\'s"', "!x'", "plain", "-o"])
def test_a_shell_takes_the_words_of_a_command_as_they_are(kind):
    counts = [LabelCount(kind, "right", 1)]
    [group] = case_groups(counts, LogFilter(model=kind), None)
    assert group.run is not None
    assert shlex.split(group.run)[:4] == ["lakehouse", "run", "--kind", kind]
    assert group.replay is not None
    out = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {group.replay}"], capture_output=True, check=True
    )
    words = out.stdout.decode().split("\0")[:-1]
    assert words[:4] == ["lakehouse", "replay", "--kind", kind]
    assert quoted_text(kind) in words[words.index("--where") + 1]
    assert words[-2:] == ["--gate", "checked_right >= baseline - 0.02"]
