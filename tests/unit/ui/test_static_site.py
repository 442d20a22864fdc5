"""Pages as files: every link leads to a file, nothing leads elsewhere, nothing needs a server."""

import asyncio
import contextlib
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from lakehouse.core.errors import SetupError
from lakehouse.ui.application import Pages
from lakehouse.ui.reading import LogReadings
from lakehouse.ui.sources import PageSources
from lakehouse.ui.static_page import as_file
from lakehouse.ui.static_site import MARK, ExportFailed, _detail_file, export
from support.forked_commands import run_command
from support.rows import make_row, rejected_attempt
from support.ui_pages import write_log

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
HOSTILE = ("../../escaped", "..", "/etc/passwd", "a\\b", "CON", "x\0y", "http://evil.example/", "é")
ONLINE = {"form", "script", "button", "input", "select", "textarea", "iframe", "object", "base"}


def write(log, target, criteria=(), *, sessions_max=500):
    with contextlib.closing(Pages(PageSources(log=log, readings=LogReadings(log)))) as pages:
        return asyncio.run(export(pages, target, criteria, sessions_max=sessions_max, now=NOW))


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    rows = [make_row(timestamp=f"2026-01-02T03:04:{n:02}Z") for n in range(55)]
    rows += [
        make_row(
            kind=name,
            model_alias=name,
            metadata={"k": name},
            prompt=f'"><b id="evil" title="{name}">',
        )
        for name in HOSTILE
    ]
    rows.append(make_row(attempts=(rejected_attempt(code="ungrounded"),), kind="other"))
    return write_log(tmp_path_factory.mktemp("log"), rows)


@pytest.fixture(scope="module")
def site(log, tmp_path_factory):
    target = tmp_path_factory.mktemp("site") / "export"
    done = write(log, target)
    assert done.sessions == done.matching == 55 + len(HOSTILE) + 1
    return target


class Found(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.ids, self.tags = [], set(), []
        self.attributes = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.attributes += given
        self.links += [given[name] for name in ("href", "src") if name in given]
        self.ids |= {given["id"]} if "id" in given else set()


def check(site):
    pages = {path: Found(path.read_text()) for path in site.rglob("*.html")}
    links = 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            assert (parts.scheme, parts.netloc) == ("", ""), (path, link)
            assert not parts.query, (path, link)
            assert not parts.path.startswith("/"), (path, link)
            goal = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert goal.is_file(), (path, link)
            assert goal.is_relative_to(site.resolve()), (path, link)
            if parts.fragment and goal.suffix == ".html":
                assert parts.fragment in pages[goal].ids, (path, link)
            links += 1
        assert not ONLINE & set(page.tags), path
        assert not [
            name
            for name in page.attributes
            if name in ("action", "style", "srcset") or name.startswith(("on", "hx-", "data-live"))
        ], path
    return pages, links


def test_every_link_leads_to_a_file_of_the_export(site):
    pages, links = check(site)
    assert links > 10 * len(pages)
    names = {str(path.relative_to(site)) for path in pages}
    assert {"index.html", "sessions.html", "sessions.2.html", "replays.html"} <= names
    assert {"findings.html", "latency.html"} <= names
    assert {"values.html", "kinds.html", "kinds/airport_event.html", "kinds/other.html"} <= names
    assert len([name for name in names if name.startswith("kinds/x-")]) == len(HOSTILE)
    assert len([name for name in names if name.startswith("sessions/")]) == 64


def test_it_is_reached_from_the_start_page_and_back(site):
    pages, _ = check(site)
    seen, waiting = set(), [site / "index.html"]
    while waiting:
        path = waiting.pop()
        if path in seen or path.suffix != ".html":
            continue
        seen.add(path)
        waiting += [
            (path.parent / urlsplit(link).path).resolve()
            for link in pages[path].links
            if urlsplit(link).path
        ]
    assert seen == set(pages)


def test_parts_of_a_list_lead_to_each_other(site):
    first, second = (site / name for name in ("sessions.html", "sessions.2.html"))
    assert re.search(r'rel="next" href="sessions\.2\.html"', first.read_text())
    assert re.search(r'rel="prev" href="sessions\.html"', second.read_text())


def test_each_page_says_what_it_is_and_keeps_what_a_model_wrote_as_text(site):
    for path in site.rglob("*.html"):
        text = path.read_text()
        assert "A copy of 2026-01-31 12:00 UTC of the log, with a page for all sessions" in text
        assert "It has prompts and answers" in text
        assert '<b id="evil"' not in text
        assert "Content-Security-Policy" in text


def test_the_mark_names_every_file(site):
    found = {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()}
    assert set(json.loads((site / MARK).read_text())["files"]) == found
    assert {name for name in found if name.startswith("static/")} == {
        "static/ui.css",
        "static/icon.svg",
    }


@pytest.mark.parametrize("name", [*HOSTILE, "x-0123456789abcdef", "", "a" * 65, "A", "-", "."])
def test_no_name_leads_out_of_the_directory(name):
    assert re.fullmatch(r"kinds/x-[0-9a-f]{16}\.html", _detail_file("kinds", name))


def test_two_names_have_two_files():
    names = [*HOSTILE, "a", "A", "b", "x-a"]
    assert len({_detail_file("kinds", name) for name in names}) == len(names)


def test_a_filter_and_a_limit_are_said(log, tmp_path):
    done = write(log, tmp_path / "site", (("kind", "airport_event"),), sessions_max=3)
    assert (done.sessions, done.matching) == (3, 55)
    assert done.left_out[0] == "Query"
    _, links = check(tmp_path / "site")
    assert links
    assert len(list((tmp_path / "site" / "sessions").iterdir())) == 3
    text = (tmp_path / "site" / "index.html").read_text()
    assert "of the filter kind=airport_event, with a page for the newest 3 of 55 sessions" in text


def test_a_filter_is_text_in_the_pages(log, tmp_path):
    write(log, tmp_path / "site", (("kind", "<script>alert(1)</script>"),))
    for path in (tmp_path / "site").rglob("*.html"):
        assert "<script>alert" not in path.read_text()
    check(tmp_path / "site")


def test_an_empty_log_has_its_pages_too(tmp_path):
    write(write_log(tmp_path / "log", []), tmp_path / "site")
    check(tmp_path / "site")
    assert "No sessions yet" in (tmp_path / "site" / "sessions.html").read_text()


def test_an_older_export_is_replaced_and_nothing_else(log, tmp_path):
    target = tmp_path / "site"
    write(log, target, (("kind", "airport_event"),), sessions_max=9)
    write(log, target, (("kind", "other"),))
    assert len(list((target / "sessions").iterdir())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["site"]

    (target / "mine.txt").write_text("keep")
    with pytest.raises(SetupError, match=r"mine\.txt"):
        write(log, target)
    assert (target / "mine.txt").read_text() == "keep"
    assert (target / "index.html").exists()


def test_a_directory_with_other_files_and_a_file_are_refused(log, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(SetupError, match="files that are of no export"):
        write(log, tmp_path)
    with pytest.raises(SetupError, match="is not a directory"):
        write(log, tmp_path / "file")


def test_a_page_that_fails_leaves_the_older_export(log, tmp_path, monkeypatch):
    target = tmp_path / "site"
    write(log, target, (("kind", "other"),))
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    monkeypatch.setattr("lakehouse.ui.session_page.story_of", lambda *_, **__: 1 / 0)
    with pytest.raises(ExportFailed, match="cannot be shown"):
        write(log, target)
    assert {path: path.read_bytes() for path in target.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_what_a_file_cannot_have_goes_with_all_that_is_in_it():
    page = (
        "<!DOCTYPE html><head><title>a &amp; b</title></head><main>"
        "<form><div><form></form>x</div><input></form><p data-online>y<b>z</b></p>"
        '<p data-live="/ui/live" hx-get="/ui">kept &lt;b&gt; &#x202e;</p>'
        '<nav><a href="/gone">gone</a></nav><a href="https://evil.example">text</a>'
        '<a href="/here" data-key="j">here</a><svg viewBox="0 0 1 1"><path d="M0"/></svg></main>'
    )
    done = as_file(page, lambda url, _: "there.html" if url == "/here" else None, "<p>n</p>")
    body = done[done.index("<main>") :]
    assert body == (
        "<main><p>n</p><p>kept &lt;b&gt; &#x202e;</p><nav></nav><span>text</span>"
        '<a href="there.html">here</a><svg viewbox="0 0 1 1"><path d="M0"></path></svg></main>'
    )
    assert "<title>a &amp; b</title>" in done


def test_the_command_says_what_it_wrote(log, tmp_path):
    def run(*arguments):
        return run_command(
            ["ui", *arguments],
            cwd=tmp_path,
            timeout=100,
        )

    done = run("export", "out", "--log", str(log), "--kind", "airport_event", "--sessions", "2")
    assert done.returncode == 0, done.stderr
    assert "2 of 55 sessions have a page" in done.stdout
    assert "Left out" in done.stdout
    assert "Prompts and answers are in these files" in done.stdout
    assert (tmp_path / "out" / "index.html").is_file()
    assert run("export", str(log / "out"), "--log", str(log)).returncode == 2
    assert run("export", "out", "--log", str(log), "--sessions", "0").returncode == 2
    assert run("--log", str(log), "export", "out").returncode == 0
    assert len(list(Path(tmp_path / "out" / "sessions").iterdir())) == 64
