"""Every program of the pages `use-with-….md` prints what its page says, run with the real client.

`make clients` names this file to pytest; `make test` does not collect it, since its clients are not
in our environment. tests/docs/test_client_pages.py runs the one page whose client is.

A page's programs run in their order, in one directory, against a stack in the tutorial's project;
the `text` block after a program is what it prints.
"""

import os
import re
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from clients.environments import HOME, installed, interpreter, pinned
from clients.programs.outcomes import SILENT
from support.doc_pages import CLIENT_PAGES, blocks, files_of_the_tutorial
from support.stack import running_stack

PORT = "4110"
PROGRAMS_MIN = 4  # a kind, a schema, a rejected answer, a stream
PROGRAM_S = 120  # far more than a program takes: the machine may be busy
# The environment in `.clients` with each page's Python client; Node's are all in one.
ENVIRONMENTS = {
    "use-with-openai-python.md": "openai-3",
    "use-with-openai-node.md": "node",
    "use-with-langchain.md": "langchain-openai",
    "use-with-litellm.md": "litellm",
    "use-with-instructor.md": "instructor",
    "use-with-pydantic-ai.md": "pydantic-ai",
    "use-with-openai-agents.md": "openai-agents",
    "use-with-vercel-ai-sdk.md": "node",
}


class Program(NamedTuple):
    """One program of a page, and what its page says that it prints."""

    language: str
    file: str
    body: str
    printed: str


def programs(page: Path) -> list[Program]:
    """List the programs of a page, each with the block after it."""
    return [
        Program(one.language, one.file, one.body, told.body)
        for one, told in pairwise(blocks(page))
        if one.language in {"python", "js"} and (told.language, told.file) == ("text", "")
    ]


def packages(page: Path) -> set[str]:
    """List what the page tells its reader to install."""
    lines = [block.body for block in blocks(page) if block.language == "sh"]
    words = " ".join(lines).replace("pip install", "").replace("npm install", "").split()
    return {word.strip("'") for word in words}


def run_page(page: Path, directory: Path, python: str) -> int:
    """Run a page's programs against a stack of their own, and return how many there were.

    `python` is the Python interpreter that has the page's client.
    """
    project = directory / "shop"
    project.mkdir()
    subprocess.run(["bash", "-euc", files_of_the_tutorial()], cwd=project, check=True)
    config = (project / "lakehouse.toml").read_text("utf-8")
    (directory / "node_modules").symlink_to(HOME / "node" / "node_modules")
    told = programs(page)
    with running_stack(project, config, apart=False) as stack:
        for program in told:
            run = interpreter("node") if program.language == "js" else python
            assert _printed(program, directory, run, stack["gateway"].port) == program.printed
    return len(told)


def _printed(program: Program, directory: Path, run: str, port: int) -> str:
    """Run one program as a reader would, but for the port and what libraries send home."""
    body, changed = re.subn(rf":{PORT}\b", f":{port}", program.body)
    assert changed, f"{program.file} does not name the stack's address"
    (directory / program.file).write_text(body, "utf-8")
    quiet = {name: v for name, v in os.environ.items() if not name.startswith("OPENAI_")}
    done = subprocess.run(
        [run, program.file],
        cwd=directory,
        env={**quiet, **SILENT, "PYTHONPATH": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
        check=False,
    )
    assert done.returncode == 0, f"{program.file}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_page_has_its_client_here():
    """A page without an environment would not be run."""
    assert {page.name for page in CLIENT_PAGES} == set(ENVIRONMENTS)


@pytest.mark.parametrize("page", CLIENT_PAGES, ids=lambda page: page.stem)
def test_a_page_prints_what_it_says(page: Path, tmp_path: Path):
    """All its programs, with the packages that it tells its reader to install."""
    environment = ENVIRONMENTS[page.name]
    javascript = any(program.language == "js" for program in programs(page))
    needed = {environment, "node"} if javascript else {environment}
    installed(sorted(needed))
    there = {pin.partition("==")[0] for name in needed - {"node"} for pin in pinned().python[name]}
    assert packages(page) <= there | (set(pinned().node) if javascript else set())
    assert run_page(page, tmp_path, interpreter(environment)) >= PROGRAMS_MIN
