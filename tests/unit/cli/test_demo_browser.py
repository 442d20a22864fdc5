"""What `lakehouse demo --ui` does with the browsers that there are."""

import os
import subprocess
import sys

import pytest

PAGE = "http://127.0.0.1:1/ui"
OPEN = f"from lakehouse.cli import demo; demo._open({PAGE!r}, demo.terminal_console())"


def _opened(browser: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    done = subprocess.run(
        [sys.executable, "-c", OPEN],
        env={**environment, "BROWSER": browser},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_a_browser_that_runs_on_does_not_hold_up_the_demo(tmp_path):
    os.mkfifo(tmp_path / "closed")
    script = tmp_path / "browser"
    script.write_text(
        f'#!/bin/sh\necho "$1" > {tmp_path}/seen\nexec cat {tmp_path}/closed >/dev/null\n'
    )
    script.chmod(0o700)
    try:
        assert "No browser" not in _opened(str(script))
        assert (tmp_path / "seen").read_text().strip() == PAGE
    finally:
        (tmp_path / "closed").write_text("")  # it ends; this waits for it to read


@pytest.mark.parametrize("browser", ["/nothing/here", "false"])
def test_without_a_browser_the_page_is_named(browser):
    assert f"open {PAGE} yourself" in " ".join(_opened(browser).split())
