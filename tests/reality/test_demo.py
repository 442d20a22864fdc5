"""The demo with its pages: they are opened, live, and stay until Ctrl-C."""

import urllib.request
import webbrowser

import pytest

from lakehouse.cli import demo
from lakehouse.demo.notices import load_notices
from lakehouse.process.children import Child

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(600)]


def test_the_demo_opens_its_pages_and_keeps_them_until_it_is_ended(tmp_path, monkeypatch, capsys):
    opened: list[str] = []
    pages: list[str] = []
    children: list[Child] = []

    def started(config):
        children.append(start(config))
        return children[0]

    def said(page, console):
        say_where(page, console)
        with urllib.request.urlopen(f"{page}/sessions") as answer:
            pages.append(answer.read().decode())
        children[0].process.terminate()

    def looks(page):
        opened.append(page)
        return True

    start, say_where = demo._start, demo._say_where
    monkeypatch.setattr(demo, "_start", started)
    monkeypatch.setattr(demo, "_say_where", said)
    monkeypatch.setattr(demo, "load_notices", lambda: load_notices()[:2])
    monkeypatch.setattr(webbrowser, "open", looks)

    demo.demo(tmp_path / "demo", ui=True)

    assert len(opened) == 1
    assert opened[0].startswith("http://127.0.0.1:")
    assert opened[0].endswith("/ui")
    assert "5 sessions" in pages[0]
    told = capsys.readouterr().out
    assert f"The sessions are at {opened[0]} until Ctrl-C." in told
