"""Every program of the pages `come-from-….md` prints what its page says, theirs with their library.

`make clients` names this file to pytest; `make test` does not collect it, since their libraries are
not in our environment. tests/docs/test_come_from_pages.py runs our programs in `make test`.
"""

from pathlib import Path

import pytest

from clients.environments import installed, interpreter, pinned
from support.doc_pages import COME_FROM_PAGES
from support.side_by_side import THEIRS, laid_out, programs, run

# The environment in `.clients` with each page's library.
ENVIRONMENTS = {
    "come-from-instructor.md": "instructor",
    "come-from-pydantic-ai.md": "pydantic-ai",
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", COME_FROM_PAGES, ids=lambda page: page.stem)
def test_their_programs_print_what_the_page_says(page: Path, tmp_path: Path):
    """The same as ours, where they share an output; all of them have called the endpoint."""
    environment = ENVIRONMENTS[page.name]
    installed([environment])
    theirs = [program for program in programs(page) if not program.is_ours]
    with laid_out(page, tmp_path) as api:
        for program in theirs:
            assert run(program, tmp_path, api, interpreter(environment)) == program.printed
            assert (api.calls > 0) != program.file.endswith("_test.py"), program.file
    assert len(theirs) > 8


@pytest.mark.parametrize("page", COME_FROM_PAGES, ids=lambda page: page.stem)
def test_a_page_names_the_release_that_it_was_run_with(page: Path):
    """The one of versions.toml."""
    (pin,) = pinned().python[ENVIRONMENTS[page.name]]
    release = ".".join(pin.partition("==")[2].split(".")[:2])
    assert f" is {release}." in page.read_text("utf-8").replace("\n", " ")


def test_every_page_has_its_library_here():
    """A page without an environment would not be run."""
    assert set(ENVIRONMENTS) == set(THEIRS) == {page.name for page in COME_FROM_PAGES}
