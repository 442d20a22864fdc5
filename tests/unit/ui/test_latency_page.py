"""The page of time and tokens: quantiles with units, sums, and the slow sessions."""

import html
import re

import pytest

from lakehouse.core.chat import Usage
from support.rows import make_row
from support.ui_pages import pages_over, write_log

ROWS = [
    make_row(
        kind="ab"[n % 2],
        duration_ms=100 * (n + 1),
        usage=Usage(10, n),
        metadata={"api_key": "ci"} if n < 5 else {},
        timestamp=f"2026-01-0{1 + n % 3}T00:00:00.000000Z",
    )
    for n in range(20)
]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with pages_over(write_log(tmp_path_factory.mktemp("log"), ROWS)) as client:
        yield client


def test_quantiles_and_sums_are_told_for_each_group_and_for_all(client):
    page = client.get("/ui/latency.json?bucket=day").json()
    total = page["latency"]["total"]
    assert (total["sessions"], total["prompt_tokens"]["total"]) == (20, 200)
    assert total["completion_tokens"]["total"] == sum(range(20))
    groups = page["latency"]["groups"]
    assert [one["group"] for one in groups] == [{"kind": "a"}, {"kind": "b"}]
    assert groups[0]["duration_ms"]["p50"] == 1_000
    assert [one["group"]["bucket"][:10] for one in page["times"]["groups"]] == [
        "2026-01-01", "2026-01-02", "2026-01-03",
    ]  # fmt: skip
    text = client.get("/ui/latency").text
    assert ">1.0 s<" in text
    assert "Time of a session, by hour" in text  # of three days


def test_the_slow_sessions_are_one_click_away(client):
    text = client.get("/ui/latency?by=kind&since=2026-01-01").text
    links = re.findall(r'<a href="([^"]+duration_ms_min=[^"]+)"', text)
    assert len(links) == 4  # of all, twice, and of both kinds
    for link in map(html.unescape, links):
        assert "since=2026-01-01" in link
        found = client.get(link.replace("/ui/sessions?", "/ui/sessions.json?")).json()["sessions"]
        assert found["matching"] == 1
        assert found["sessions"][0]["duration_ms"] >= 1_900


def test_the_sessions_of_an_api_key_are_a_group(client):
    groups = client.get("/ui/latency.json?by=api_key").json()["latency"]["groups"]
    assert [(one["group"]["api_key"], one["sessions"]) for one in groups] == [("ci", 5), (None, 15)]
    assert "/ui/sessions?metadata.api_key=ci" in client.get("/ui/latency?by=api_key").text


def test_an_unknown_group_is_refused(client):
    answer = client.get("/ui/latency?by=kinds")
    assert answer.status_code == 400
    assert "did you mean &#39;kind&#39;?" in answer.text


def test_without_sessions_the_page_says_what_to_do_next(client, tmp_path):
    assert "Clear the filter" in client.get("/ui/latency?kind=none").text
    with pages_over(write_log(tmp_path / "log", [])) as other:
        assert "lakehouse iterate" in other.get("/ui/latency").text
