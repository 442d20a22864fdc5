"""The pages `come-from-….md`: their programs, each with what its page says that it prints.

A program whose file begins with the other library's name is theirs; one that begins with
`lakehouse_` is ours. A `text` block is what the programs right above it print, each of them. All
programs call one endpoint, whose answers are the page's `answers.json`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from support.doc_pages import COME_FROM_PAGES, Block, blocks
from support.rehearsed_api import RehearsedApi, rehearsed_api

OURS: Final = "lakehouse_"
THEIRS: Final = {
    "come-from-instructor.md": "instructor_",
    "come-from-pydantic-ai.md": "pydantic_ai_",
}
PROGRAM_S: Final = 120  # far more than a program takes: the machine may be busy
assert {page.name for page in COME_FROM_PAGES} == set(THEIRS)


class Program(NamedTuple):
    """One program. `partner`: the output is also that of the program of the other side."""

    file: str
    body: str
    printed: str
    has_partner: bool

    @property
    def is_ours(self) -> bool:
        return self.file.startswith(OURS)


def programs(page: Path) -> list[Program]:
    """List the programs of a page in their order."""
    found: list[Program] = []
    above: list[Block] = []
    for block in blocks(page):
        if block.language == "python" and block.file.startswith((OURS, THEIRS[page.name])):
            above.append(block)
        elif block.language == "text" and not block.file:
            sides = {one.file.startswith(OURS) for one in above}
            assert len(sides) == len(above) > 0, f"{page.name}: above {block.body!r}"
            found += [Program(one.file, one.body, block.body, len(above) == 2) for one in above]
            above = []
    assert not above, f"{page.name}: {above[-1].file} does not say what it prints"
    return found


@contextmanager
def laid_out(page: Path, directory: Path) -> Iterator[RehearsedApi]:
    """Write the files of a page, and serve its answers."""
    for block in blocks(page):
        if block.file:
            (directory / block.file).write_text(block.body, "utf-8")
    with rehearsed_api(json.loads((directory / "answers.json").read_text("utf-8"))) as api:
        yield api


def run(program: Program, directory: Path, api: RehearsedApi, python: str = sys.executable) -> str:
    """Run a program as a reader would, but for the endpoint; returns what it prints."""
    api.forget()
    ours = ("LAKEHOUSE_", "OPENAI_")
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
    if not program.is_ours:
        inherited.pop("PYTHONPATH", None)
    done = subprocess.run(
        [python, program.file],
        cwd=directory,
        env={
            **inherited,
            "OPENAI_API_KEY": "any",
            "OPENAI_BASE_URL": api.base_url,
            "LAKEHOUSE_MODELS__LARGE__BASE_URL": api.base_url,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
        check=False,
    )
    assert done.returncode == 0, f"{program.file}\n{done.stdout}\n{done.stderr}"
    return done.stdout
