"""`lakehouse ui`, and where `lakehouse up` names its pages."""

import os
import socket
import subprocess
import sys

import pytest

from support.commands import lakehouse, project
from support.rows import make_row
from support.ui_pages import write_log

__all__ = ["project"]  # a fixture


def test_a_directory_that_is_no_log_is_refused_and_the_log_below_it_is_named(tmp_path):
    (tmp_path / "other").mkdir()
    write_log(tmp_path / "data" / "sessions", [make_row()])

    refused = lakehouse(tmp_path, "ui", "--log", "data", code=2)
    assert "data is not a log" in refused.stderr
    assert "Did you mean data/sessions?" in refused.stderr
    refused = lakehouse(tmp_path, "ui", "export", "out", "--log", "other", code=2)
    assert "other is not a log" in refused.stderr
    assert not (tmp_path / "out").exists()
    lakehouse(tmp_path, "ui", "export", "out", "--log", "data/sessions")
    assert (tmp_path / "out" / "index.html").is_file()


def test_an_address_in_use_is_told_with_the_option_that_changes_it(tmp_path):
    write_log(tmp_path / "log", [make_row()])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = lakehouse(tmp_path, "ui", "--log", "log", "--listen", f"127.0.0.1:{port}", code=2)
    assert "--listen" in refused.stderr


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("enabled", [True, False])
def test_the_stack_names_its_pages_where_it_has_some(tmp_path, enabled):
    environment = {
        **os.environ,
        "LAKEHOUSE_GATEWAY__LISTEN": '"127.0.0.1:0"',
        "LAKEHOUSE_UI__ENABLED": str(enabled).lower(),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "lakehouse", "up"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            greeting: list[str] = []
            while not greeting or "OpenAI clients" not in greeting[-1]:
                greeting.append(server.stdout.readline())
                assert greeting[-1], greeting
            url = next(word for word in greeting[0].split() if word.startswith("http://"))
            named = f"Look at the sessions in a browser: {url}/ui\n" in greeting
            assert named is enabled, greeting
        finally:
            server.terminate()
            server.wait()
