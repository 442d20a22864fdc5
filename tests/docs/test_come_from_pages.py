"""Our programs on the pages for users of Instructor and PydanticAI print what the pages say.

`make clients` runs theirs, by tests/clients/come_from_pages.py: their libraries are not here.
"""

from pathlib import Path

import pytest

from support.doc_pages import COME_FROM_PAGES
from support.side_by_side import laid_out, programs, run

PAIRS_MIN = 7  # objects that both libraries make of the same answers
pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize("page", COME_FROM_PAGES, ids=lambda page: page.stem)
def test_our_programs_print_what_the_page_says(page: Path, tmp_path: Path):
    """All but the one for tests without a model have called the endpoint."""
    ours = [program for program in programs(page) if program.is_ours]
    with laid_out(page, tmp_path) as api:
        for program in ours:
            assert run(program, tmp_path, api) == program.printed
            assert (api.calls > 0) != program.file.endswith("_test.py"), program.file
    assert sum(program.has_partner for program in ours) >= PAIRS_MIN


@pytest.mark.parametrize("page", COME_FROM_PAGES, ids=lambda page: page.stem)
def test_every_program_is_one_of_a_side_and_has_a_counterpart(page: Path):
    """Only the one with a marker has none."""
    found = programs(page)
    ours = {one.file.removeprefix("lakehouse_") for one in found if one.is_ours}
    theirs = {
        one.file.removeprefix(page.stem.removeprefix("come-from-").replace("-", "_") + "_")
        for one in found
        if not one.is_ours
    }
    assert ours - {"grounded.py"} == theirs


def test_a_program_that_fails_is_an_error(tmp_path: Path):
    """It is not taken for one that prints nothing."""
    page = COME_FROM_PAGES[0]
    broken = programs(page)[0]._replace(file="lakehouse_broken.py")
    with laid_out(page, tmp_path) as api:
        (tmp_path / broken.file).write_text("raise SystemExit(3)")
        with pytest.raises(AssertionError, match="lakehouse_broken"):
            run(broken, tmp_path, api)
