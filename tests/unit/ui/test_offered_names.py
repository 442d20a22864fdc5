"""The names that the filter's form offers, and that no page waits for them."""

import re
import threading
from pathlib import Path

import pytest

from lakehouse.sessionlog.index.reader import LogReader
from support.rows import make_row, rejected_attempt
from support.ui_pages import pages_over, write_log
from support.waiting import wait_until

PAGES = ("", "/sessions", "/findings", "/values", "/latency", "/kinds", "/feedback")


def _offered(text: str) -> dict[str, list[str]]:
    lists = re.findall(r'<datalist id="names-([a-z_]+)">(.*?)</datalist>', text)
    return {name: re.findall(r'<option value="([^"]*)">', options) for name, options in lists}


def test_forms_offer_the_names_that_the_log_has(tmp_path: Path):
    rows = [
        make_row(kind="visit", metadata={"api_key": "ci"}, attempts=(rejected_attempt(),)),
        make_row(kind='a"<b>'),
        make_row(kind="visit", daemon="other", kind_digest="x" * 300),
    ]
    with pages_over(write_log(tmp_path / "log", rows)) as client:
        wait_until(lambda: _offered(client.get("/ui/sessions").text), "the names of the log")
        for path in PAGES:
            text = client.get(f"/ui{path}").text
            offered = _offered(text)
            assert offered["kind"] == ["visit", "a&#34;&lt;b&gt;"], path
            assert offered["path"] == ["/airport"]
            assert offered["code"] == ["schema"]
            assert offered["api_key"] == ["ci"]
            assert set(offered["daemon"]) == {"validatord", "other"}
            assert not any(len(name) > 200 for name in offered.get("kind_digest", []))
            for name in offered:
                assert f'id="f-{name}" name="{name}"' in text
                assert f'list="names-{name}"' in text


def test_a_page_does_not_wait_for_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Names that take for ever: the page comes all the same, without them."""
    begun, release = threading.Event(), threading.Event()
    names = LogReader.names

    def slow(self, *args):
        begun.set()
        assert release.wait(60)
        return names(self, *args)

    monkeypatch.setattr(LogReader, "names", slow)
    with pages_over(write_log(tmp_path / "log", [make_row()])) as client:
        try:
            text = client.get("/ui/sessions").text
            assert begun.is_set()
            assert not release.is_set()
            assert 'id="f-kind"' in text
            assert _offered(text) == {}
        finally:
            release.set()
