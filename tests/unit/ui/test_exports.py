"""Everything in a filter as a file: the same sessions in every form, whole or not at all."""

import csv
import io
import json
from datetime import UTC, datetime

import msgspec
import pyarrow.parquet as pq
import pytest

from lakehouse.core.chat import Message
from lakehouse.core.row import LoggedError
from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.index.filters import LogFilter
from lakehouse.sessionlog.index.questions import Progress
from lakehouse.sessionlog.reading.query import query
from lakehouse.sessionlog.reading.views import open_views
from lakehouse.ui.filter_sql import filter_sql
from lakehouse.ui.filters import log_filter
from support.rows import make_attempt, make_feedback, make_row, rejected_attempt
from support.ui_pages import pages_over, write_log


def finding_at(path):
    attempt = rejected_attempt()
    (finding,) = attempt.findings
    return make_attempt(findings=(type(finding)(code="ungrounded", path=path, message="no"),))


def got(value, code="ungrounded", path="/a/1"):
    attempt = rejected_attempt()
    (finding,) = attempt.findings
    changed = type(finding)(code=code, path=path, message="no", got=msgspec.Raw(value.encode()))
    return make_attempt(findings=(changed,))


def said(output):
    return (make_attempt(output=output),)


ROWS = [
    make_row(kind="=1+1", prompt="@SUM(A1)", metadata={"team": "a", "a/b~c": "q\"'uote"}),
    make_row(kind="a", provider="p2", timestamp="2026-01-03T00:00:00Z", metadata={"team": "b"}),
    make_row(kind="a", verdict="max_iter_exhausted", accepted_iteration=None, iterations=3),
    make_row(
        kind="it's",
        verdict="infra_error",
        grounded=None,
        error=LoggedError("connect", "gone", None),
        attempts=(),
        accepted_iteration=None,
    ),
    make_row(attempts=(finding_at("/events/0/1/city"), make_attempt(1)), accepted_iteration=1),
    make_row(attempts=(finding_at("/events/7"),), duration_ms=5_000),
    make_row(attempts=(got('"it\'s"', "rule"), got("1.10", path="/a/2"), got("null"), got("{}"))),
    make_row(attempts=(finding_at("/events/x7"),), kind_digest="sha256:" + "7" * 64),
    make_row(prompt="Straße nach İzmir", model="m", model_alias="other"),
    make_row(attempts=said("MASSE ſt Ǆ ﬁne K Ω"), grounded=False),
    make_row(prompt="x", messages=(Message("user", "Ünder ᾼ"), Message("user", "x"))),
    make_row(prompt="100% a_b \\ 'quoted' \x01"),
    make_row(daemon="replay"),
    make_row(timestamp="not a time"),
    make_row(conversation_id="c1", metadata={"api_key": "ci"}),
]
FILTERS = (
    *("", "kind=a", "kind=%3D1%2B1", "kind=it%27s", "model=other", "model=m", "provider=p2"),
    *("verdict=infra_error", "code=connect", "code=ungrounded", "error_code=connect"),
    *("daemon=replay", "since=2026-01-03", "until=2026-01-03", "conversation_id=c1"),
    "api_key=ci",
    *("metadata.team=a", "metadata.a%2Fb~c=q%22%27uote", "metadata.none=a"),
    *("path=%2Fevents%2F0%2F1%2Fcity", "path=%2Fevents%2F*%2F*%2Fcity", "path=%2Fevents%2F*"),
    *("path=%2Fevents%2Fx7", "label=wrong", "label=right", "label=none"),
    *("value=%22it%27s%22", "value=1.10", "value=null", "value=%7B%7D"),
    *(
        "value=1.10&code=ungrounded&path=%2Fa%2F*",
        "value=1.10&code=rule",
        "code=rule&path=%2Fa%2F2",
    ),
    *("grounded=true", "grounded=false", "first_shot=true", "first_shot=false"),
    *("iterations_min=2", "iterations_max=1", "duration_ms_min=13", "duration_ms_max=12"),
    *("kind_digest=sha256%3A" + "7" * 64, "kind=a&verdict=accepted"),
    *("text=strasse", "text=STRA%C3%9FE", "text=ss", "text=s", "text=i", "text=%C4%B0zmir"),
    *("text=izmir", "text=fine", "text=%EF%AC%81", "text=k", "text=%CF%89", "text=%C7%86"),
    *("text=%C3%BCNDER", "text=%CE%B1%CE%B9", "text=st", "text=masse", "text=100%25"),
    *("text=a_b", "text=%5C", "text=%27quoted%27", "text=%01", "text=nothing"),
)


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    root = write_log(tmp_path_factory.mktemp("log"), ROWS)
    feedback = [
        make_feedback(row_id=ROWS[0].row_id, label="wrong", timestamp="2026-01-05T00:00:00Z"),
        make_feedback(row_id=ROWS[1].row_id, label="wrong", timestamp="2026-01-05T00:00:00Z"),
        make_feedback(row_id=ROWS[1].row_id, label="right", timestamp="2026-01-06T00:00:00Z"),
    ]
    (root / "feedback.jsonl").write_bytes(b"".join(encode_line(one) + b"\n" for one in feedback))
    return root


@pytest.fixture(scope="module")
def client(log):
    with pages_over(log) as client:
        yield client


def listed(client, criteria):
    page = client.get(f"/ui/sessions.json?limit=200&{criteria}")
    assert page.status_code == 200, page.text
    return [one["row_id"] for one in page.json()["sessions"]["sessions"]]


def test_the_filters_find_what_they_should(client):
    """So that the next test compares no empty lists."""
    found = {criteria: len(listed(client, criteria)) for criteria in FILTERS}
    assert found.pop("") == 14
    assert {criteria for criteria, count in found.items() if not count} == {
        "metadata.none=a",
        *("value=1.10&code=rule", "code=rule&path=%2Fa%2F2"),
        "text=nothing",
        "text=izmir",  # a dotted capital I folds to an i with a dot above
    }


@pytest.mark.parametrize("criteria", FILTERS)
def test_the_sql_gives_the_sessions_of_the_list(client, log, criteria):
    sql = client.get(f"/ui/sessions.sql?{criteria}").text
    with open_views(log) as connection:
        found = connection.execute(f"SELECT row_id FROM ({sql.strip()})").fetchall()
    assert [row_id for (row_id,) in found] == listed(client, criteria)


def test_the_sql_is_a_query_that_the_command_takes(client, log):
    criteria = "text=strasse&label=none&path=%2Fno&metadata.team=a"
    for asked, count in ((criteria, 0), ("text=strasse&label=none", 1)):
        result = query(log, client.get(f"/ui/sessions.sql?{asked}").text)
        assert len(result.rows) == count


def test_values_in_the_sql_are_quoted():
    sql = filter_sql(
        log_filter(
            (
                ("kind", "a' OR true --"),
                ("path", "'); DROP"),
                ("text", "' OR '"),
                ("metadata.x'y", "z'"),
                ("label", "wrong"),
            ),
            datetime.now(UTC),
        )
    )
    assert "kind = 'a'' OR true --'" in sql
    assert "'/x''y') = 'z'''" in sql
    assert "path = '''); DROP'" in sql
    assert "''' or '''" in sql


SET = {str | None: "x", int | None: 7, bool | None: True, dict[str, str]: {"x": "y"}}


@pytest.mark.parametrize("name", LogFilter.__struct_fields__)
def test_no_member_of_the_filter_is_left_out_of_the_sql(name):
    """A file of more sessions than were asked for must not come from a new member."""
    (kind,) = {one.type for one in msgspec.structs.fields(LogFilter) if one.name == name}
    assert filter_sql(msgspec.convert({name: SET[kind]}, LogFilter)) != filter_sql(LogFilter())


def test_every_form_has_the_same_sessions(client):
    expected = listed(client, "kind=a")
    assert len(expected) == 2
    lines = list(csv.DictReader(io.StringIO(client.get("/ui/sessions.csv?kind=a").text)))
    assert [line["row_id"] for line in lines] == expected
    rows = client.get("/ui/sessions.jsonl?kind=a").content.splitlines()
    by_id = {row.row_id: encode_line(row) for row in ROWS}
    assert rows == [by_id[row_id] for row_id in expected]
    answer = client.get("/ui/sessions.parquet?kind=a")
    assert answer.headers["content-disposition"] == 'attachment; filename="sessions.parquet"'
    assert pq.read_table(io.BytesIO(answer.content))["row_id"].to_pylist() == expected


def test_no_cell_is_a_formula(client):
    text = client.get("/ui/sessions.csv").text
    (line,) = [one for one in csv.DictReader(io.StringIO(text)) if one["row_id"] == ROWS[0].row_id]
    assert line["kind"] == "'=1+1"
    assert line["prompt_start"] == "'@SUM(A1)"
    assert json.loads(line["metadata"]) == ROWS[0].metadata


def test_files_go_on_over_pages(client, monkeypatch):
    monkeypatch.setattr("lakehouse.ui.exports.PAGE_ROWS_MAX", 3)
    expected = listed(client, "")
    rows = client.get("/ui/sessions.jsonl").text.splitlines()
    assert [json.loads(row)["row_id"] for row in rows] == expected
    lines = csv.DictReader(io.StringIO(client.get("/ui/sessions.csv").text))
    assert [line["row_id"] for line in lines] == expected


def test_an_empty_filter_gives_an_empty_file(client):
    assert client.get("/ui/sessions.jsonl?kind=no").content == b""
    assert len(client.get("/ui/sessions.csv?kind=no").text.splitlines()) == 1
    data = client.get("/ui/sessions.parquet?kind=no").content
    assert pq.read_table(io.BytesIO(data)).num_rows == 0


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_filter_that_is_too_large_is_refused_with_what_to_do(client, monkeypatch, form):
    monkeypatch.setattr("lakehouse.ui.exports.LINES_MAX", 12)
    monkeypatch.setattr("lakehouse.ui.exports.FILE_ROWS_MAX", 12)
    refused = client.get(f"/ui/sessions.{form}?metadata.team=a")
    assert refused.status_code == 200
    refused = client.get(f"/ui/sessions.{form}")
    assert refused.status_code == 413
    assert "has 14 sessions; this file holds at most 12" in refused.json()["detail"]
    assert "/ui/sessions.sql" in refused.json()["hint"]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_what_is_not_counted_yet_is_not_left_out(client, monkeypatch, form):
    monkeypatch.setattr(Progress, "complete", property(lambda _: False))
    refused = client.get(f"/ui/sessions.{form}")
    assert refused.status_code == 429
    assert "is being built" in refused.json()["detail"]


def test_a_damaged_row_ends_the_file_before_its_end(tmp_path):
    root = write_log(tmp_path / "log", [make_row(), make_row()])
    with pages_over(root) as client:
        assert len(client.get("/ui/sessions.jsonl").text.splitlines()) == 2
        (file,) = (root / "active").iterdir()
        data = file.read_bytes()
        file.write_bytes(data.replace(b"Oslo", b"Rome"))
        refused = client.get("/ui/sessions.jsonl")
        assert refused.status_code == 503
        assert "cannot be read" in refused.json()["detail"]
