"""The SQL for findings of a filter takes the sessions that the index takes."""

import msgspec
import pytest

from lakehouse.sessionlog.index.filters import LogFilter
from lakehouse.sessionlog.index.questions import AskSessions
from lakehouse.sessionlog.reading.views import open_views
from lakehouse.ui.filter_sql import filter_sql
from support.indexed_log import desk_of
from support.rows import make_row, rejected_attempt
from support.ui_pages import write_log

VALUES: tuple[bytes, ...] = (
    b'"QQQ"',
    b"1.10",
    b"1e2",
    b"12345678901234567890123",
    b'"\\u202e\\" \\u00e4"',
    b'"\xc3\xa4"',
)
VALUES += (b"null", b"true", b'["a","b"]', b'{"a":1.0}', b'"it\'s"')


def _attempt(iteration, code, path, got):
    attempt = rejected_attempt(iteration, code)
    finding = msgspec.structs.replace(attempt.findings[0], path=path, got=msgspec.Raw(got))
    return msgspec.structs.replace(attempt, findings=(finding,))


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    rows = [make_row(attempts=(_attempt(0, "schema", "/a", got),)) for got in VALUES]
    apart = (_attempt(0, "rule", "/b/3", b'"x"'), _attempt(1, "schema", "/c", b'"y"'))
    return write_log(tmp_path_factory.mktemp("log"), [*rows, make_row(attempts=apart)])


def _found(log, where):
    with open_views(log) as connection:
        return [
            row_id
            for (row_id,) in connection.execute(
                f"SELECT row_id FROM ({filter_sql(where)})"
            ).fetchall()
        ]


def _listed(log, where):
    page = desk_of(log).answer(AskSessions(where=where, limit=100))
    return [one.row_id for one in page.sessions]


@pytest.mark.parametrize("value", [value.decode() for value in VALUES])
def test_a_value_of_a_finding(log, value):
    where = LogFilter(value=value)
    assert len(_found(log, where)) == 1
    assert _found(log, where) == _listed(log, where)


@pytest.mark.parametrize(
    ("where", "count"),
    [
        (LogFilter(code="rule", path="/b/*", value='"x"'), 1),
        (LogFilter(code="rule", path="/b/3"), 1),
        (LogFilter(code="rule", path="/c"), 0),
        (LogFilter(code="schema", value='"x"'), 0),
        (LogFilter(path="/c", value='"x"'), 0),
    ],
)
def test_code_path_and_value_are_those_of_one_finding(log, where, count):
    assert len(_found(log, where)) == count
    assert _found(log, where) == _listed(log, where)
