"""The list of missing values: with what was nearest, and as a file that no spreadsheet runs."""

import csv
import io

import msgspec
import pytest

from support.rows import make_row, rejected_attempt
from support.ui_pages import pages_over, write_log
from support.ui_stack import stack_of


def _missing(got, path="/city", nearest=msgspec.UNSET):
    attempt = rejected_attempt(0, "ungrounded")
    finding = msgspec.structs.replace(attempt.findings[0], path=path, got=got, nearest=nearest)
    return make_row(kind="visit", attempts=(msgspec.structs.replace(attempt, findings=(finding,)),))


ROWS = [
    *(_missing(msgspec.Raw(b'"Olso"'), nearest=msgspec.Raw(b'["Oslo"]')) for _ in range(3)),
    _missing(msgspec.Raw(b'"=HYPERLINK(\\"http://x\\")"')),
    _missing(msgspec.Raw(b"-7")),
    _missing(msgspec.Raw(b'"<b>\\u202e"')),
    _missing(msgspec.UNSET),
    make_row(attempts=(rejected_attempt(0, "schema"),)),
]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return write_log(tmp_path_factory.mktemp("log"), ROWS)


@pytest.fixture
def client(log):
    with pages_over(log) as client:
        yield client


def test_values_are_listed_with_the_nearest_the_most_frequent_first(client):
    page = client.get("/ui/values.json").json()
    first, *others = page["values"]
    assert first["group"] == {"path": "/city", "value": '"Olso"'}
    assert (first["findings"], first["sessions"], first["nearest"]) == (3, 3, ["Oslo"])
    assert len(first["row_ids"]) == 3
    assert len(others) == 4  # the finding of another code is not among them


def test_a_page_shows_values_as_they_are_and_nothing_is_markup(client):
    text = client.get("/ui/values").text
    assert "&lt;b&gt;\\u202e" in text
    assert "over 256 bytes: not in its row" in text
    assert "add a row to the table" in text
    link = "/ui/sessions?code=ungrounded&amp;path=%2Fcity&amp;value=%22Olso%22"
    assert f'<a href="{link}">3</a>' in text


def test_the_file_is_safe_in_a_spreadsheet(client):
    answer = client.get("/ui/values.csv?path=/city")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="values.csv"'
    head, *rows = csv.DictReader(io.StringIO(answer.text))
    assert (head["path"], head["value"], head["nearest"]) == ("/city", "Olso", '["Oslo"]')
    assert head["sessions"] == "3"
    assert {one["value"] for one in rows} == {'\'=HYPERLINK("http://x")', "-7", "<b>\u202e", ""}
    assert client.get("/ui/values.csv?path=/other").text.count("\n") == 1


def test_a_stack_tells_what_a_value_is_compared_with(log, tmp_path):
    stack = stack_of(tmp_path)
    with pages_over(
        log, change=lambda given: msgspec.structs.replace(given, served=lambda: stack)
    ) as client:
        assert ">places.city</td>" in client.get("/ui/values").text
        page = client.get("/ui/values.json?kind=visit").json()
        assert {tuple(one["compared_with"]) for one in page["values"]} == {("places.city",)}


def test_without_values_the_page_says_what_to_do_next(client, tmp_path):
    assert "Clear the filter" in client.get("/ui/values?kind=none").text
    with pages_over(write_log(tmp_path / "log", [make_row()])) as other:
        assert "compares a value with a column" in other.get("/ui/values").text
