"""A page whose programs and commands print what it says: the `text` block under each.

Everything runs in its order, in one directory; what a page starts in the background ends with it.
"""

from collections.abc import Collection
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from support.doc_pages import Block, blocks, written


class Told(NamedTuple):
    """A block that is run, and what its page says that it prints; None if it says nothing."""

    block: Block
    printed: str | None

    @property
    def name(self) -> str:
        return self.block.file or self.block.body.partition("\n")[0]


def told_blocks(page: Path) -> list[Told]:
    """List the commands of a page, and its programs; one without an output is a module."""
    told = []
    for block, after in pairwise([*blocks(page), Block("", "", "")]):
        printed = after.body if (after.language, after.file) == ("text", "") else None
        if block.language == "sh" or (block.language == "python" and printed is not None):
            told.append(Told(block, printed))
    return told


def script_of_told(page: Path, elsewhere: Collection[str]) -> str:
    """Write the script that runs a page but for the blocks named in `elsewhere`.

    What each block prints goes to `NUMBER.printed`, by its place in `told_blocks`.
    """
    lines = [written(block) for block in blocks(page) if block.file]
    for number, told in enumerate(told_blocks(page)):
        if told.name in elsewhere:
            continue
        asked = f"python {told.block.file}\n" if told.block.file else told.block.body
        # Not in a subshell: what it exports and starts is for the blocks that follow.
        lines.append(f"{{\n{asked}}} > {number}.printed\n")
    return "".join(lines)
