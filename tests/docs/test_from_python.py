"""Every program and command of the page about Python prints what the page says.

The first script runs with the real model, as its reader runs it; the others with the page's script.
"""

from pathlib import Path

import pytest

from support.doc_pages import FROM_PYTHON, blocks, written
from support.page_shell import sh
from support.told_pages import script_of_told, told_blocks
from support.weights import pulled_weights

FIRST = "first.py"
INSTALL = "pip install '.[local]' pydantic"
FIRST_LINES_MAX = 20
TOLD_MIN = 14
pytestmark = pytest.mark.timeout(400)


def test_everything_on_the_page_prints_what_it_says(tmp_path: Path):
    ran = sh(tmp_path, script_of_told(FROM_PYTHON, {FIRST, INSTALL}))

    assert ran.code == 0, f"{ran.out}\n{ran.err}"
    told = [(number, one) for number, one in enumerate(told_blocks(FROM_PYTHON))]
    checked = 0
    for number, one in told:
        if one.printed is not None and one.name != FIRST:
            assert (tmp_path / f"{number}.printed").read_text("utf-8") == one.printed, one.name
            checked += 1
    assert checked >= TOLD_MIN
    assert {FIRST, INSTALL} <= {one.name for _, one in told}


@pytest.mark.model
def test_the_first_script_prints_what_it_says_with_the_real_model(tmp_path: Path):
    """With what stands above it on the page, and nothing else."""
    pulled_weights()
    found = blocks(FROM_PYTHON)
    at = next(n for n, one in enumerate(found) if one.file == FIRST)
    before = "".join(written(one) for one in found[: at + 1] if one.file)

    ran = sh(tmp_path, f"{before}python {FIRST} > printed.txt")

    assert ran.code == 0, ran.err
    assert (tmp_path / "printed.txt").read_text("utf-8") == found[at + 1].body
    lines = [line for line in found[at].body.splitlines() if line]
    assert len(lines) <= FIRST_LINES_MAX
