"""The Python programs of the pages about the library, laid out for a type checker."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from support.doc_pages import COME_FROM_PAGES, FROM_PYTHON, README, Block, blocks
from support.side_by_side import THEIRS

TYPED_PAGES: Final = (README, FROM_PYTHON, *COME_FROM_PAGES)
# A program with a wrong use in each way that a page shows a right one: a checker must see it.
WRONG: Final = """
import lakehouse
from events import Delay

with lakehouse.open() as lake:
    number: int = lake.create(Delay, "text")
    numbers: list[int] = lake.create(list[str], "text")
    lake.create(Delay, "text", max_retry=2)
    for step in lake.stream(Delay, "text"):
        step.minutes
    for outcome in lake.create_many(Delay, ["text"]):
        outcome.unwrap().hours
"""
WRONG_LINES: Final = (6, 7, 8, 10, 12)


def lay_out(directory: Path) -> list[Path]:
    """Write our programs of each page into a directory of their own; returns the directories."""
    found = []
    for page in TYPED_PAGES:
        here = directory / page.stem.lower()
        here.mkdir()
        for block in _programs(page):
            (here / block.file).write_text(block.body, "utf-8")
        found.append(here)
    return found


def _programs(page: Path) -> list[Block]:
    theirs: Mapping[str, str] = THEIRS
    prefix = theirs.get(page.name, "ask.py")  # of OpenAI's client, which checks itself
    found = [
        one for one in blocks(page) if one.language == "python" and not one.file.startswith(prefix)
    ]
    assert found or page == README, page
    return found
