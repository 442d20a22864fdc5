"""The Go runtime: its helpers are built, and pass the gate; its rows stand in our stream."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import lakehouse
from lakehouse.sessionlog.layout import log_files
from lakehouse.sessionlog.lines import classify_file
from support.forked_commands import run_command
from support.go_helpers import built_go_helpers

SOURCE = Path(lakehouse.__file__).parent.parent


@pytest.fixture(scope="module")
def helpers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_go_helpers(tmp_path_factory.mktemp("go"))


def parity(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command(
        ["parity", "--json", *arguments],
        cwd=Path.cwd(),
        timeout=120,
    )


def required(report: dict[str, Any], suite: str) -> list[dict[str, Any]]:
    pairs = report["pairs"]
    return [pair for pair in pairs if (pair["suite"], pair["level"]) == (suite, "required")]


@pytest.mark.timeout(400)
def test_go_passes_the_required_fixtures_of_both_suites(helpers: Path):
    """4 of 4 and 6 of 6, alike with Python byte for byte."""
    done = parity(
        "--peer",
        f"go:session_log={helpers / 'session-log-helper'}",
        "--peer",
        f"go:validator={helpers / 'validator-helper'}",
    )
    report = json.loads(done.stdout)
    checks = [
        check
        for check in report["checks"]
        if check["peer"] == "go" and check["level"] == "required"
    ]

    assert [check for check in checks if check["status"] != "passed"] == []
    for suite, count in (("session_log", 4), ("validator", 6)):
        assert sum(check["suite"] == suite for check in checks) == count
        (pair,) = required(report, suite)
        assert (pair["left"], pair["right"]) == ("python", "go")
        assert (pair["equal"], pair["asked"]) == (count, count)


def test_the_gate_notices_a_helper_of_the_wrong_suite(helpers: Path):
    """A helper that skips every fixture is no runtime."""
    done = parity("--peer", f"go:session_log={helpers / 'validator-helper'}")

    assert done.returncode == 1
    assert "session_log of go: nothing was compared" in json.loads(done.stdout)["complaints"]


def test_rows_of_go_are_rows_in_our_stream(helpers: Path, tmp_path: Path):
    """What it acknowledged is there once, decodes strictly, and its lock is free again."""
    log = tmp_path / "log"
    done = subprocess.run(
        [helpers / "session-log-helper", "append", "--log", log, "--rows", "25"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (file,) = log_files(log)
    lines = [entry for entry in classify_file(file) if entry.kind != "blank"]

    assert [entry.kind for entry in lines] == ["segment", *["row"] * 25]
    assert all(entry.checked for entry in lines)
    row_ids = [json.loads(entry.line.data)["row_id"] for entry in lines[1:]]
    assert row_ids == done.stdout.split()
    assert json.loads(lines[0].line.data)["runtime"] == "go"
