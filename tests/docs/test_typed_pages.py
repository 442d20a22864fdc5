"""mypy finds nothing in our programs on the pages about the library, and what is wrong in another.

pyright does the same in `make clients`, by tests/clients/typed_pages.py: it needs Node.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.doc_pages import ROOT
from support.typed_pages import WRONG, WRONG_LINES, lay_out

pytestmark = pytest.mark.timeout(400)


def mypy(directory: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "."],
        cwd=directory,
        env={"MYPYPATH": str(ROOT / "src"), "MYPY_CACHE_DIR": str(ROOT / ".mypy_cache" / "pages")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_mypy_finds_nothing_in_the_programs_of_the_pages(tmp_path: Path):
    for directory in lay_out(tmp_path):
        assert mypy(directory).startswith("Success: no issues found"), directory.name


def test_mypy_finds_every_wrong_use(tmp_path: Path):
    directory = next(one for one in lay_out(tmp_path) if one.name == "from-python")
    (directory / "wrong.py").write_text(WRONG, "utf-8")

    found = re.findall(r"^(\S+?):(\d+): error:", mypy(directory), re.MULTILINE)

    assert {file for file, _ in found} == {"wrong.py"}
    assert tuple(sorted({int(line) for _, line in found})) == WRONG_LINES
