"""What pages say of a log that goes, is replaced or cannot be read while they are open."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from lakehouse.sessionlog.index.builder import build
from lakehouse.sessionlog.index.packs import INDEX
from support.filled_log import fill
from support.indexed_log import waiting_log
from support.rows import make_row
from support.ui_pages import pages_over
from support.waiting import wait_until

PAGES = ("/ui", "/ui/sessions", "/ui/sessions.csv", "/ui/replays", "/ui/query?sql=SELECT%201")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    fill(tmp_path / "log", make_row())
    return tmp_path / "log"


@pytest.fixture
def client(log: Path) -> Iterator[TestClient]:
    with pages_over(log) as one:
        assert _rows(one) == 1
        yield one


def _rows(client: TestClient) -> int:
    answer = client.get("/ui/sessions.json")
    assert answer.status_code == 200, answer.text
    rows: int = answer.json()["sessions"]["progress"]["rows"]
    return rows


def _told(client: TestClient, message: str, pages: tuple[str, ...] = PAGES) -> None:
    for path in pages:
        answer = client.get(path)
        assert (answer.status_code, message in answer.text) == (503, True), (path, answer.text)


def test_a_log_that_was_removed_is_no_empty_log(log: Path, client: TestClient):
    shutil.rmtree(log)
    _told(client, "is not there any more")
    fill(log, make_row(), make_row())
    assert _rows(client) == 2


def test_a_file_in_place_of_a_log(log: Path, client: TestClient):
    log.rename(log.with_name("old"))
    log.write_text("no log")
    _told(client, "is not a directory")


def test_a_log_in_the_place_of_another_is_read(log: Path, client: TestClient):
    """The process that read the other one may not read this one: it is replaced."""
    log.rename(log.with_name("old"))
    fill(log, make_row(), make_row(), make_row())
    assert _rows(client) == 3


def test_a_log_that_begins_while_pages_are_open(tmp_path: Path):
    with pages_over(tmp_path / "log") as client:
        assert _rows(client) == 0
        fill(tmp_path / "log", make_row())
        assert _rows(client) == 1


@pytest.mark.parametrize("part", ["active", "sealed"])
def test_a_part_of_the_log_that_cannot_be_read_is_named(log: Path, client: TestClient, part: str):
    """Its rows are not left out without a word."""
    (log / part).rename(log.with_name("old"))
    (log / part).write_text("no directory")
    _told(client, f"`{part}` of the session log cannot be read: Not a directory", PAGES[:3])
    (log / part).unlink()
    (log / part).symlink_to(log.with_name("old"))
    _told(client, f"`{part}` of the session log cannot be read", PAGES[:3])


def test_an_index_whose_place_is_taken_costs_no_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """What is in memory is shown, with what is missing; the operator is told why."""
    log = waiting_log(tmp_path / "log")
    build(log, log / INDEX)
    with pages_over(log) as client:
        assert _rows(client) == 11
        shutil.rmtree(log / INDEX)
        (log / INDEX).write_text("taken")
        answer = client.get("/ui/sessions.json")
        assert answer.status_code == 200, answer.text
        progress = answer.json()["sessions"]["progress"]
        assert (progress["rows"], progress["files_missing"]) == (1, 2)
        assert progress["index_trouble"]["code"] == "place_taken"
        page = client.get("/ui/sessions").text
        assert "The index of the log cannot be built: Something that is no directory" in page
        assert "Move the file `index` out of the log" in page.replace("&#39;", "'")
        assert "is being built" not in page
        assert str(log) not in page
        refused = client.get("/ui/sessions.csv")
        assert (refused.status_code, "cannot be built" in refused.text) == (503, True)
        wait_until(lambda: "cannot be built" in caplog.text, "the operator's word")
        (log / INDEX).unlink()
        wait_until(lambda: _rows(client) == 11, "the index", every_s=0.2)
        progress = client.get("/ui/sessions.json").json()["sessions"]["progress"]
        assert progress["index_trouble"] is None
