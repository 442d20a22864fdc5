"""Labels by people in Chromium: with and without JavaScript, at a desk and on a phone."""

import json
from collections.abc import Callable, Iterator

import pytest

from support.feedback_stack import Stack, feedback_stack
from support.watched_browser import Visitor

Visit = Callable[..., Visitor]
WRONG = '{\n  "airport": "oslo",\n  "delay_h": 1.10\n}'
RIGHT = '{\n  "airport": "BGO",\n  "delay_h": 1.10\n}'


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with feedback_stack(tmp_path_factory.mktemp("stack"), apart=False) as stack:
        yield stack


def test_a_correction_is_checked_while_it_is_typed(stack: Stack, visit: Visit) -> None:
    row_id = stack.session("Bergen: a flight is 1.10 hours late, because of fog over the west.")
    for width in (1280, 390):
        for scheme in ("light", "dark"):
            visitor = visit(stack.url, width=width, scheme=scheme)
            visitor.go(f"/ui/feedback/{row_id}")
            page = visitor.page
            page.get_by_label("Artifact, as JSON").fill(WRONG)
            page.get_by_text("The artifact does not fit").wait_for()
            visitor.shoot("feedback-findings")
            visitor.check_accessibility()
            visitor.check_width()
            page.get_by_label("Artifact, as JSON").fill(RIGHT)
            page.get_by_text("The artifact fits").wait_for()
    assert stack.labels(row_id) == [], "a check writes nothing"


def test_one_after_another_by_keyboard(stack: Stack, visit: Visit) -> None:
    rows = [stack.session(f"By keyboard, number {number}.") for number in range(2)]
    visitor = visit(stack.url, width=1280)
    visitor.go("/ui/feedback?text=keyboard")
    page = visitor.page
    for row_id in reversed(rows):
        page.keyboard.press("n")
        page.wait_for_url(f"**/ui/feedback/{row_id}?*")
        page.get_by_role("button", name="Right", exact=True).focus()
        page.keyboard.press("Enter")
        page.get_by_text("Saved: marked right.").wait_for()
    visitor.shoot("feedback-saved")
    visitor.check_accessibility()
    page.get_by_text("No session without a label is left").wait_for()
    assert [stack.labels(row_id) for row_id in rows] == [["right"], ["right"]]


def test_without_javascript_a_button_checks_and_the_text_stays(stack: Stack, visit: Visit) -> None:
    row_id = stack.session("No script.")
    visitor = visit(stack.url, width=390, javascript=False)
    visitor.watch.expect("^status 400", "^console error: Failed to load resource.*400")
    visitor.go(f"/ui/feedback/{row_id}")
    page = visitor.page
    text = page.get_by_label("Artifact, as JSON")
    text.fill(WRONG)
    page.get_by_role("button", name="Check the artifact").click()
    page.get_by_text("The artifact does not fit").wait_for()
    assert text.input_value() == WRONG
    page.get_by_label("Comment").fill("\nby hand")
    page.get_by_role("button", name="Save the correction").click()
    page.get_by_text("The artifact does not fit").wait_for()
    assert text.input_value() == WRONG
    assert page.get_by_label("Comment").input_value() == "\nby hand"
    assert stack.labels(row_id) == []
    text.fill(RIGHT)
    page.get_by_role("button", name="Save the correction").click()
    page.get_by_text("Saved: marked corrected.").wait_for()
    assert stack.labels(row_id) == ["corrected"]


def test_a_double_click_is_one_label(stack: Stack, visit: Visit) -> None:
    row_id = stack.session("Twice.")
    visitor = visit(stack.url)
    visitor.go(f"/ui/feedback/{row_id}")
    page = visitor.page
    page.get_by_role("button", name="Wrong", exact=True).dblclick()
    page.get_by_text("Saved: marked wrong.").wait_for()
    assert stack.labels(row_id) == ["wrong"]


def test_the_list_and_its_cases(stack: Stack, visit: Visit) -> None:
    for number, label in enumerate(("right", "wrong", "right")):
        row_id = stack.session(f"Listed {number}: the flight to London is late once more.")
        stack.label(row_id, label, comment="A longer comment of a person who looked at it. " * 3)
    for width in (1280, 390):
        for scheme in ("light", "dark"):
            visitor = visit(stack.url, width=width, scheme=scheme)
            visitor.go("/ui/feedback?text=Listed")
            visitor.shoot("feedback-list")
            visitor.check_accessibility()
            visitor.check_width()
    page = visitor.page
    with page.expect_download() as begun:
        page.get_by_role("link", name="cases.jsonl").click()
    lines = begun.value.path().read_text().splitlines()
    assert {json.loads(line)["label"] for line in lines} == {"right"}
    assert len(lines) == 2
