"""pyright finds nothing in our programs on the pages about the library, in its strict mode.

`make clients` names this file to pytest, since it needs Node and pyright. In `make test` mypy does
the same: tests/docs/test_typed_pages.py.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clients.environments import HOME, installed, interpreter
from support.doc_pages import ROOT
from support.typed_pages import WRONG, WRONG_LINES, lay_out

pytestmark = pytest.mark.timeout(900)


def pyright(directory: Path) -> list[dict[str, Any]]:
    """Return the errors and warnings that it finds in a directory."""
    installed(["node"])
    settings = {
        "extraPaths": [str(ROOT / "src")],
        "pythonVersion": f"{sys.version_info.major}.{sys.version_info.minor}",
        "typeCheckingMode": "strict",
    }
    (directory / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    program = HOME / "node" / "node_modules" / "pyright" / "index.js"
    done = subprocess.run(
        [interpreter("node"), str(program), "--outputjson", "--pythonpath", sys.executable],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(done.stdout)
    assert told["summary"]["filesAnalyzed"] >= len(list(directory.glob("*.py"))) > 0, done.stderr
    found: list[dict[str, Any]] = told["generalDiagnostics"]
    return found


def test_pyright_finds_nothing_in_the_programs_of_the_pages(tmp_path: Path):
    for directory in lay_out(tmp_path):
        assert pyright(directory) == []


def test_pyright_finds_every_wrong_use(tmp_path: Path):
    directory = next(one for one in lay_out(tmp_path) if one.name == "from-python")
    (directory / "wrong.py").write_text(WRONG, "utf-8")

    found = [one for one in pyright(directory) if one["severity"] == "error"]

    assert {Path(one["file"]).name for one in found} == {"wrong.py"}
    lines = {one["range"]["start"]["line"] + 1 for one in found}
    assert tuple(sorted(lines)) == WRONG_LINES
