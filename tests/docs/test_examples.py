"""Every code block of the documentation runs, or is loaded as what it says it is.

The `sh` blocks of a page run in their order in one fresh directory that holds the tutorial's
project. Blocks that start something long-running do not occur; `make` is CI's to run.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lakehouse.config.load import load_config

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "first-kind.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "CONTRIBUTING.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Blocks of the README that need the network, a listening daemon or make: CI runs the demo and the
# tests, tests/unit/cli runs init, doctor, iterate and run, tests/contracts the daemons.
ELSEWHERE = re.compile(r"make |pip install|curl |--input notices.csv")


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text("utf-8"))


def sh(directory: Path, script: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=directory,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The tutorial's project before anything ran in it."""
    toml = next(body for language, body in blocks(TUTORIAL) if language == "toml")
    (tmp_path / "lakehouse.toml").write_text(toml)
    for language, body in blocks(TUTORIAL):
        if language == "sh" and body.startswith("cat >"):
            assert sh(tmp_path, body).returncode == 0
    return tmp_path


def test_there_are_blocks_to_run():
    """A pattern that finds nothing would let everything pass."""
    assert sum(len(blocks(page)) for page in PAGES) > 25


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page(page: Path, project: Path):
    """sh runs, toml loads, json parses; a language that nobody checks fails."""
    for language, body in blocks(page):
        if language == "sh":
            if not ELSEWHERE.search(body):
                done = sh(project, body)
                assert done.returncode == 0, f"{body}\n{done.stdout}\n{done.stderr}"
        elif language == "toml":
            tomllib.loads(body)
            example = project / "example.toml"
            example.write_text(body)
            if "[kinds." not in body or "[models." in body:
                load_config(example, {})
        elif language == "json":
            json.loads(body)
        else:
            assert language in {"", "text"}, f"{page}: a {language} block that no test checks"


def test_the_tutorial_ends_as_it_says(project: Path):
    """Two attempts, the invented id named with its nearest real ones, one accepted artifact."""
    for language, body in blocks(TUTORIAL):
        if language == "sh":
            done = sh(project, body)
            assert done.returncode == 0, f"{body}\n{done.stdout}\n{done.stderr}"

    accepted = json.loads((project / "accepted.jsonl").read_text())
    assert accepted["artifact"] == {"sku": "A-200", "count": 2}
    told = sh(project, 'lakehouse query --json "SELECT told FROM attempts WHERE iteration = 1"')
    assert "A-200" in json.loads(told.stdout)[0]["told"]
