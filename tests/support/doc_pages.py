"""The pages of the documentation as data: their code blocks, and the files of the tutorial."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TUTORIAL = ROOT / "docs" / "tutorial" / "first-kind.md"
CLIENT_PAGES = tuple(sorted((ROOT / "docs" / "how-to").glob("use-with-*.md")))
FROM_PYTHON = ROOT / "docs" / "how-to" / "from-python.md"
COME_FROM_PAGES = tuple(sorted((ROOT / "docs" / "how-to").glob("come-from-*.md")))
BLOCK = re.compile(r"^```(\w*)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One fenced block; `file` is the name that its fence gives, or empty."""

    language: str
    file: str
    body: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(page.read_text("utf-8"))]


def written(block: Block) -> str:
    """Give the shell's way to write a block to the file that it names."""
    return f"cat > {block.file} <<'LAKEHOUSE_DOCS'\n{block.body}LAKEHOUSE_DOCS\n"


def files_of_the_tutorial() -> str:
    """Give the part of the tutorial that writes the project, without running anything in it."""
    return "\n".join(
        written(block) if block.file else block.body
        for block in blocks(TUTORIAL)
        if block.file or block.body.startswith("cat >")
    )
