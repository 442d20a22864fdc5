"""The page for SQL: results, charts, files, errors with their place, and what it does not do."""

import asyncio
import contextlib
import csv
import http.client
import io
import json
import re
import socket
import subprocess
import sys
import threading
import time
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest

from lakehouse.core.errors import InfraError, Refusal
from lakehouse.sessionlog.reading.query import QueryFailed
from lakehouse.ui.queries import Queries
from lakehouse.ui.query_page import EXAMPLES
from support.query_log import fingerprint
from support.rows import make_row, rejected_attempt
from support.ui_pages import pages_over, write_log
from support.waiting import wait_until

LINK = {
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
}
COUNT = "SELECT verdict, count(*) AS n FROM sessions GROUP BY 1 ORDER BY 1"


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    rows = [
        make_row(kind="=1+1", prompt="<script>alert(1)</script>"),
        make_row(timestamp="2026-01-03T00:00:00Z"),
        make_row(attempts=(rejected_attempt(),), verdict="max_iter_exhausted"),
    ]
    return write_log(tmp_path_factory.mktemp("log"), rows)


@pytest.fixture(scope="module")
def client(log):
    with pages_over(log) as client:
        yield client


def ask(client, sql, form="", **more):
    return client.get(f"/ui/query{form}", params={"sql": sql}, **more)


def test_without_sql_it_shows_the_views_and_examples(client):
    page = client.get("/ui/query")
    assert page.status_code == 200
    data = client.get("/ui/query.json").json()
    assert data["result"] is None
    columns = {view["name"]: [one["name"] for one in view["columns"]] for view in data["views"]}
    found = ask(
        client,
        "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() "
        "WHERE table_name IN ('sessions', 'attempts', 'findings', 'replays', 'feedback') "
        "GROUP BY 1",
        ".json",
    ).json()["result"]["rows"]
    assert len(found) == 5
    for name, expected in found:
        assert columns[name] == expected
    assert ask(client, "FROM log_bad_lines", ".json").json()["result"]["columns"] == [
        one for view in data["views"] if view["name"] == "log_bad_lines" for one in view["columns"]
    ]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.title)
def test_each_example_runs(client, example):
    answer = ask(client, example.sql)
    assert answer.status_code == 200
    assert 'aria-label="Result"' in answer.text


def test_a_result_is_a_table_its_json_and_a_chart(client):
    page = ask(client, COUNT)
    assert "2 rows." in page.text
    assert '<dl class="bars">' in page.text
    result = ask(client, COUNT, ".json").json()["result"]
    assert result["rows"] == [["accepted", 2], ["max_iter_exhausted", 1]]
    assert [one["type"] for one in result["columns"]] == ["VARCHAR", "BIGINT"]


@pytest.mark.parametrize(
    ("sql", "drawn"),
    [
        ("SELECT timestamp::DATE AS day, count(*) AS n FROM sessions GROUP BY 1", "n by day"),
        ("SELECT strftime(timestamp, '%Y-%m-%d') d, count(*) n FROM sessions GROUP BY 1", "n by d"),
        ("SELECT '2026-13-45' AS d, 1 AS n", 'class="bars"'),
        ("SELECT 1 AS a, 2 AS b", None),
        ("SELECT 'x' AS a, -2 AS b", None),
        ("SELECT 'x' AS a, 'y' AS b", None),
        ("SELECT 'x' AS a, 'NaN'::DOUBLE AS b", None),
        ("SELECT 'x' AS a, NULL::INT AS b", 'class="bars"'),
        ("SELECT 'x' AS a, 1 AS b WHERE false", None),
    ],
)
def test_a_chart_is_drawn_of_times_or_texts_with_numbers(client, sql, drawn):
    page = ask(client, sql)
    assert page.status_code == 200
    assert (drawn is not None) == ('<figure class="chart">' in page.text)
    assert drawn is None or drawn in page.text


def test_what_a_model_wrote_is_text(client):
    page = ask(client, "SELECT prompt, '<b>' AS \"<i>\" FROM sessions WHERE kind = '=1+1'")
    assert "&lt;script&gt;alert(1)" in page.text
    assert "<script>alert" not in page.text
    assert "<i>" not in page.text


def test_files_hold_all_rows_and_no_formula(client):
    sql = "SELECT kind, iterations FROM sessions ORDER BY kind"
    lines = list(csv.reader(io.StringIO(ask(client, sql, ".csv").text)))
    assert lines == [["kind", "iterations"], ["'=1+1", "1"], *[["airport_event", "1"]] * 2]
    answer = ask(client, sql, ".jsonl")
    assert json.loads(answer.text.splitlines()[0]) == {
        "kind": "=1+1",
        "iterations": 1,
    }
    assert answer.headers["content-disposition"] == 'attachment; filename="query.jsonl"'
    table = pq.read_table(io.BytesIO(ask(client, sql, ".parquet").content))
    assert table.to_pydict() == {"kind": ["=1+1", *["airport_event"] * 2], "iterations": [1] * 3}


def test_the_first_rows_are_shown_and_more_is_said(client):
    page = ask(client, "SELECT * FROM range(2001)")
    assert "The first 2\u202f000 rows; there are more." in page.text
    result = ask(client, "SELECT repeat('x', 1000000) FROM range(9)", ".json").json()["result"]
    assert len(result["rows"]) == 4
    assert result["more"] is True
    result = ask(client, "SELECT * FROM range(2000)", ".json").json()["result"]
    assert len(result["rows"]) == 2000
    assert result["more"] is False
    too_many = ask(client, "SELECT * FROM range(100001)", ".csv")
    assert too_many.status_code == 503
    assert "more than 100000 rows" in too_many.json()["detail"]


@pytest.mark.parametrize(
    ("sql", "place", "said"),
    [
        ("SELECT 1,\r\n  verdct FROM sessions", {"line": 2, "column": 3, "chars": 6}, '"verdict"'),
        ("SELECT s.verdct FROM sessions s", {"line": 1, "column": 8, "chars": 8}, "'verdict'"),
        ("SELECT * FROM sesions", {"line": 1, "column": 15, "chars": 7}, '"sessions"'),
        ("SELEC 1", {"line": 1, "column": 1, "chars": 5}, "syntax error"),
        (
            "SELECT 'ä你' AS x, " + "verdict, " * 40 + "verdct FROM sessions",
            {"line": 1, "column": 379, "chars": 6},
            '"verdict"',
        ),
        ("SELECT 1; SELECT 2", None, "2 statements"),
        ("SELECT CAST(verdict AS INT) FROM sessions", None, "Conversion Error"),
    ],
)
def test_an_error_says_where_and_what_is_near(client, sql, place, said):
    answer = ask(client, sql, ".json")
    assert answer.status_code == 400
    fault = answer.json()["fault"]
    assert fault["place"] == place
    assert said in fault["fault"]["detail"]
    page = ask(client, sql)
    assert page.status_code == 400
    if place is not None:
        wrong = sql.replace("\r", "").split("\n")[place["line"] - 1]
        begin = place["column"] - 1
        assert f"<mark>{wrong[begin : begin + place['chars']]}</mark>" in page.text


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_a_link_from_elsewhere_shows_its_sql_and_does_not_run_it(client, monkeypatch, site):
    def never(*_, **__):
        raise AssertionError("it ran")

    monkeypatch.setattr("lakehouse.ui.queries.query", never)
    page = ask(client, COUNT, headers={**LINK, "sec-fetch-site": site})
    assert page.status_code == 200
    assert "GROUP BY 1 ORDER BY 1</textarea>" in page.text
    assert "has not run" in page.text
    for form in (".csv", ".jsonl", ".parquet"):
        refused = ask(client, COUNT, form, headers={**LINK, "sec-fetch-site": site})
        assert refused.status_code == 400
    data = ask(client, COUNT, ".json", headers={**LINK, "sec-fetch-site": site}).json()
    assert data["waits"] is True
    assert data["result"] is None


def test_a_page_of_ours_runs_it(client):
    page = ask(client, COUNT, headers={**LINK, "sec-fetch-site": "same-origin"})
    assert 'aria-label="Result"' in page.text


def test_a_link_that_comes_back_with_its_cookie_does_not_run_either(log):
    """The page between is ours: what it opens looks like our own."""

    def authorize(headers):
        if list(headers["authorization"]) != ["Bearer right"]:
            raise Refusal("unauthorized", "A valid API key is needed.")
        return "ci"

    with pages_over(log, authorize=authorize) as client:
        opening = ask(client, COUNT, headers={**LINK, "sec-fetch-site": "cross-site"})
        assert "&amp;wait=true" in opening.text
        client.headers["authorization"] = "Bearer right"
        own = {**LINK, "sec-fetch-site": "same-origin"}
        page = client.get("/ui/query", params={"sql": COUNT, "wait": "true"}, headers=own)
        assert "has not run" in page.text


def test_the_filter_stays_and_is_there_as_sql(client):
    page = client.get("/ui/query?kind=%3D1%2B1")
    assert 'name="kind" value="=1+1"' in page.text
    assert "/ui/sessions?kind=%3D1%2B1" in page.text
    sql = client.get("/ui/query.json?kind=%3D1%2B1").json()["filter_sql"]
    assert len(ask(client, sql, ".json").json()["result"]["rows"]) == 1


ATTACKS = (
    "COPY (SELECT 1) TO '{log}/new.csv'",
    "WITH x AS (COPY (SELECT 1) TO '{log}/new.csv') FROM x",
    "FROM read_text('{outside}')",
    "SELECT * FROM '{outside}'",
    "PIVOT '{outside}' ON column0",
    "ATTACH '{log}/new.db'",
    "SELECT getenv('PATH')",
    "FROM duckdb_secrets()",
    "SET enable_external_access=true; FROM read_text('{outside}')",
    "INSTALL httpfs",
    "SELECT * FROM query('FROM read_text(''{outside}'')')",
    "CREATE VIEW v AS SELECT 1",
)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("form", ["", ".csv"])
def test_it_does_nothing_that_the_gate_refuses(client, log, tmp_path, attack, form):
    outside = tmp_path / "outside.csv"
    outside.write_text("canary-7c1e")
    before = fingerprint(log)
    answer = ask(client, attack.format(log=log, outside=outside), form)
    assert answer.status_code == 400
    assert "canary" not in answer.text
    assert {path: mark for path, mark in fingerprint(log).items() if "/index" not in path} == {
        path: mark for path, mark in before.items() if "/index" not in path
    }


async def _never_gone():
    return False


def test_only_a_few_run_at_once(log):
    async def run():
        queries = Queries(log)
        slow = "SELECT count(*) FROM range(100000000000)"
        gone = asyncio.Event()

        async def is_gone():
            return gone.is_set()

        first = [asyncio.ensure_future(queries.first_rows(slow, is_gone)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="2 queries are running") as refused:
            await queries.first_rows("SELECT 1", _never_gone)
        assert refused.value.code == "rate_limited"
        gone.set()
        ended = await asyncio.gather(*first, return_exceptions=True)
        assert [str(error) for error in ended] == ["The query was stopped."] * 2
        assert isinstance(ended[0], QueryFailed)
        result = await queries.first_rows("SELECT 1", _never_gone)
        assert len(result.rows) == 1

    asyncio.run(run())


def test_a_server_that_stops_ends_its_queries(log):
    async def run():
        queries = Queries(log)
        slow = "SELECT count(*) FROM range(100000000000)"
        running = asyncio.ensure_future(queries.first_rows(slow, _never_gone))
        await asyncio.sleep(0)
        queries.stop()
        with pytest.raises(InfraError, match="The server is stopping") as told:
            await asyncio.wait_for(running, 60)
        assert isinstance(told.value.__cause__, QueryFailed)  # it ran, and was stopped
        with pytest.raises(InfraError, match="The server is stopping"):
            await asyncio.wait_for(anext(queries.file(slow, "csv", _never_gone)), 60)

    asyncio.run(run())


def test_a_query_ends_when_its_task_is_cancelled(log, monkeypatch):
    ended = threading.Event()

    def run(*_, stopped, **__):
        while not stopped():
            time.sleep(0.01)
        ended.set()
        raise QueryFailed("The query was stopped.")

    monkeypatch.setattr("lakehouse.ui.queries.query", run)

    async def cancelled():
        queries = Queries(log)
        task = asyncio.ensure_future(queries.first_rows("SELECT 1", _never_gone))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(ended.wait, 10)

    asyncio.run(cancelled())


def test_a_file_leaves_nothing_behind(log, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    async def first_piece():
        pieces = Queries(log).file("SELECT 1", "csv", _never_gone)
        assert await anext(pieces) == b"1\n1\n"
        assert not any(tmp_path.iterdir())
        await pieces.aclose()

    asyncio.run(first_piece())


def test_a_browser_that_goes_ends_its_query(log):
    """Both slots are taken, both browsers go: long before the queries' own time, there is room."""
    command = [sys.executable, "-m", "lakehouse", "ui", "--log", str(log)]
    with (
        subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
        ) as server,
        contextlib.ExitStack() as opened,
    ):
        try:
            assert server.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:([0-9]+)/ui", server.stdout.readline())
            assert found is not None
            port = int(found[1])
            slow = quote("SELECT count(*) FROM range(1000000000000)")
            head = f"GET /ui/query?sql={slow} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
            browsers = [
                opened.enter_context(socket.create_connection(("127.0.0.1", port)))
                for _ in range(2)
            ]
            for browser in browsers:
                browser.sendall(head.encode())

            def status():
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                try:
                    connection.request("GET", "/ui/query?sql=SELECT%201")
                    return connection.getresponse().status
                finally:
                    connection.close()

            wait_until(lambda: status() == 429, "two queries that run")
            for browser in browsers:
                browser.close()
            wait_until(lambda: status() == 200, "room for a query", within_s=60)
        finally:
            server.terminate()
