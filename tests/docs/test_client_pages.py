"""The page for openai-python prints what it says, and the pages for the other clients can be run.

`make clients` runs all of them, by tests/clients/how_to_pages.py: their clients are not here.
"""

import sys
from pathlib import Path

import pytest

from clients.how_to_pages import ENVIRONMENTS, PROGRAMS_MIN, programs, run_page
from support.doc_pages import CLIENT_PAGES, blocks

PAGE = next(page for page in CLIENT_PAGES if page.name == "use-with-openai-python.md")
pytestmark = pytest.mark.timeout(400)


def test_the_page_for_openai_python_prints_what_it_says(tmp_path: Path):
    """With the package of our own environment."""
    assert run_page(PAGE, tmp_path, sys.executable) >= PROGRAMS_MIN


@pytest.mark.parametrize("page", CLIENT_PAGES, ids=lambda page: page.stem)
def test_every_program_of_a_page_says_what_it_prints(page: Path):
    """A program without its output would not be run."""
    written = [block.file for block in blocks(page) if block.language in {"python", "js"}]
    assert [program.file for program in programs(page)] == written
    assert len(set(written)) == len(written) >= PROGRAMS_MIN
    assert page.name in ENVIRONMENTS
