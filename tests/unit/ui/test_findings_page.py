"""The page of findings: groups with counts and shares, over time; links keep the filter."""

import html
import re

import msgspec
import pytest

from lakehouse.core.rates import wilson_interval
from support.rows import make_row, rejected_attempt
from support.ui_pages import pages_over, write_log

AT = "2026-01-0{}T03:04:05.678901Z"


def _rejected(code="ungrounded", path="/city", got=b'"Olso"', nearest=b'["Oslo"]'):
    attempt = rejected_attempt(0, code)
    finding = msgspec.structs.replace(
        attempt.findings[0], path=path, got=msgspec.Raw(got), nearest=msgspec.Raw(nearest)
    )
    return (msgspec.structs.replace(attempt, findings=(finding,)),)


ROWS = [
    *(make_row(kind="a", timestamp=AT.format(1 + n % 2), attempts=_rejected()) for n in range(3)),
    make_row(
        kind="b",
        timestamp=AT.format(3),
        attempts=_rejected("schema", "/items/3", b"7"),
        metadata={"api_key": "ci"},
    ),
    make_row(kind="b", timestamp=AT.format(4), attempts=_rejected("truncated", "")),
    *(make_row(kind="a") for _ in range(4)),
    make_row(kind="a", metadata={"api_key": "ci"}),
]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with pages_over(write_log(tmp_path_factory.mktemp("log"), ROWS)) as client:
        yield client


def test_groups_tell_counts_shares_and_their_newest_sessions(client):
    page = client.get("/ui/findings.json").json()

    assert page["by"] == ["code", "path"]
    first, *others = page["lines"]
    assert first["group"] == {"code": "ungrounded", "path": "/city"}
    assert (first["findings"], first["sessions"], first["all_sessions"]) == (3, 3, 10)
    assert first["share_interval"] == pytest.approx(wilson_interval(0.3, 10))
    assert first["row_ids"][0] == ROWS[1].row_id
    assert [one["group"]["path"] for one in others] == ["/items/*", ""]
    assert [(one["bucket"][:10], one["findings"]) for one in page["times"]] == [
        ("2026-01-01", 2), ("2026-01-02", 1), ("2026-01-03", 1), ("2026-01-04", 1),
    ]  # fmt: skip


def test_a_share_is_of_the_sessions_of_its_kind(client):
    page = client.get("/ui/findings.json?by=kind,value").json()
    shares = {(one["group"]["kind"], one["group"]["value"]): one for one in page["lines"]}
    assert shares["a", '"Olso"']["all_sessions"] == 8
    assert shares["b", "7"]["share"] == 0.5


def test_findings_of_a_key_are_a_share_of_its_sessions(client):
    page = client.get("/ui/findings.json?by=code,api_key").json()
    assert page["of"] == ["api_key"]
    shares = {(one["group"]["code"], one["group"]["api_key"]): one for one in page["lines"]}
    ours = shares["schema", "ci"]
    assert (ours["sessions"], ours["all_sessions"], ours["share"]) == (1, 2, 0.5)
    text = client.get("/ui/findings?by=api_key").text
    assert "that have the same API key." in text
    assert "/ui/sessions?metadata.api_key=ci" in text
    assert "?by=code%2Cpath%2Capi_key" in client.get("/ui/findings").text


def test_each_count_leads_to_its_sessions_and_keeps_the_filter(client):
    counts = {}
    text = client.get("/ui/findings?by=code,path,value&since=2026-01-02").text
    for link, shown in re.findall(r'<td class="number"[^>]*><a href="([^"]+)">(\d+)</a>', text):
        url = html.unescape(link)
        assert "since=2026-01-02" in url
        counts[url] = int(shown)
        found = client.get(url.replace("/ui/sessions?", "/ui/sessions.json?")).json()
        assert found["sessions"]["matching"] == int(shown), url
    assert sorted(counts.values()) == [1, 1, 1]


def test_the_nearest_is_beside_a_value(client):
    text = client.get("/ui/findings?by=value&code=ungrounded").text
    assert "<code>[&#34;Oslo&#34;]</code>" in text
    assert "nearest" not in client.get("/ui/findings?by=code").text


@pytest.mark.parametrize(
    ("by", "told"), [("cod", "did you mean &#39;code&#39;?"), ("code,", "allowed: code, path,")]
)
def test_an_unknown_group_is_refused(client, by, told):
    answer = client.get("/ui/findings", params={"by": by})
    assert answer.status_code == 400
    assert told in answer.text


def test_without_findings_the_page_says_what_to_do_next(client, tmp_path):
    assert "Clear the filter" in client.get("/ui/findings?kind=none").text
    with pages_over(write_log(tmp_path / "log", [make_row()])) as other:
        text = other.get("/ui/findings").text
        assert "No findings in the log" in text
        assert 'href="/ui/sessions"' in text
