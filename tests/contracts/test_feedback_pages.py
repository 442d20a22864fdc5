"""Feedback in a browser, at a running stack: what is labelled there is a gate for a replay."""

import json
import re
import shlex
from collections.abc import Iterator

import pytest

from lakehouse.comparison.judgement import PAIRS_MIN
from support.commands import lakehouse
from support.feedback_stack import SCRIPT, Stack, feedback_stack


@pytest.fixture(scope="module", params=["in_process", "apart"])
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp(request.param)
    with feedback_stack(directory, apart=request.param == "apart") as stack:
        yield stack


def test_the_form_asks_the_schema_and_the_python_checks(stack: Stack) -> None:
    row_id = stack.session("Oslo: 1.10 hours late.")
    url = f"/ui/feedback/{row_id}"
    page = stack.get(url).body.decode()
    assert '"delay_h": 1.10' in page.replace("&#34;", '"')
    for artifact, path, told in (
        ('{"airport": "oslo", "delay_h": 1}', "/airport", "^[A-Z]{3}$"),
        ('{"airport": "OSL"}', "the whole artifact", "delay_h"),
        ('{"airport": "OSL", "delay_h": 13}', "the whole artifact", "13 hours are not allowed"),
    ):
        checked = stack.send(f"{url}/check", artifact=artifact)
        saved = stack.send(url, label="corrected", artifact=artifact, action="save")
        assert (checked.status, saved.status) == (200, 400)
        for answer in (checked, saved):
            text = answer.body.decode()
            assert told in text, text
            assert f"<code>{path}</code>" in text
    assert stack.labels(row_id) == []


def test_a_person_vouches_for_values_that_are_in_no_table(stack: Stack) -> None:
    row_id = stack.session("Bergen is late.")
    artifact = '{"airport": "BGO", "delay_h": 1.10}'
    url = f"/ui/feedback/{row_id}?kind=event"
    done = stack.send(url, label="corrected", artifact=artifact, action="save")
    assert done.status == 303
    assert done.headers["location"] == f"{url}&saved=yes"
    assert stack.labels(row_id) == ["corrected"]
    assert b"marked corrected" in stack.get(done.headers["location"]).body
    story = stack.get(f"/ui/sessions/{row_id}").body.decode()
    assert "BGO" in story, "at once on the session's page"
    assert row_id in stack.get("/ui/sessions?label=corrected").body.decode()
    assert row_id not in stack.get("/ui/sessions?label=none").body.decode()


def test_labels_are_a_gate_with_the_command_of_the_page(stack: Stack) -> None:
    """It passes as long as the answers are as they were, and stops a change that is worse."""
    for number in range(PAIRS_MIN):
        row_id = stack.session(f"Flight {number} is late.")
        stack.label(row_id, "right")
    wrong = stack.session("wrong")
    stack.label(wrong, "wrong")
    _, *replay = _command(stack, "/ui/feedback.json?label=right", "replay")
    done = lakehouse(stack.directory, *replay)
    assert re.search(rf"run \w+: {PAIRS_MIN} sessions", done.stderr)
    assert "gate: pass" in done.stdout

    worse = {"matches": {".": ['{"airport": "LHR", "delay_h": 1.10}']}}
    (stack.directory / "script.json").write_text(json.dumps(worse))
    _, *named = _command(stack, "/ui/feedback.json?label=right&text=Flight", "replay")
    assert row_id in shlex.join(named)
    try:
        for command in (replay, named):
            done = lakehouse(stack.directory, *command, code=1)
            assert "gate: regression" in done.stdout
    finally:
        (stack.directory / "script.json").write_text(json.dumps(SCRIPT))


def test_the_file_of_cases_is_an_input_of_run(stack: Stack) -> None:
    for number in range(3):
        row_id = stack.session(f"Case {number} is late.")
        stack.label(row_id, "right")
    data = stack.get("/ui/feedback/cases.jsonl?text=Case&kind=event").body
    (stack.directory / "cases.jsonl").write_bytes(data)
    _, *run = _command(stack, "/ui/feedback.json?text=Case", "run")
    lakehouse(stack.directory, *run)
    answers = (stack.directory / "answers.jsonl").read_text().splitlines()
    assert len(answers) == 3
    for line in answers:
        answer = json.loads(line)
        assert answer["kept"]["expected"] == answer["artifact"]
        assert '"expected":{"airport":"OSL","delay_h":1.10}' in line
        assert stack.labels(answer["kept"]["row_id"]) == ["right"]


def _command(stack: Stack, path: str, name: str) -> list[str]:
    [cases] = json.loads(stack.get(path).body)["cases"]
    words = shlex.split(cases[name])
    assert words[:2] == ["lakehouse", name]
    return words
