"""A Containerfile as data: its instructions, in stages."""

import json
import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
CONTAINERFILE = ROOT / "Containerfile"
IGNORE = ROOT / ".containerignore"


class Instruction(NamedTuple):
    """One instruction: its word in capitals, and what follows it on its lines."""

    word: str
    rest: str

    @property
    def arguments(self) -> list[str]:
        """The words after the instruction: of its JSON form, or as a shell splits them."""
        return json.loads(self.rest) if self.rest.startswith("[") else shlex.split(self.rest)


class Stage(NamedTuple):
    """What one FROM begins. `name` is empty for the last one, which is the image."""

    base: str
    name: str
    instructions: list[Instruction]

    def all(self, word: str) -> list[Instruction]:
        return [one for one in self.instructions if one.word == word]

    def one(self, word: str) -> Instruction:
        """Return the only instruction of this word."""
        (found,) = self.all(word)
        return found

    def pairs(self, word: str) -> dict[str, str]:
        """Return the `NAME=value`s of all instructions of this word."""
        return dict(argument.split("=", 1) for one in self.all(word) for argument in one.arguments)


def stages(path: Path = CONTAINERFILE) -> list[Stage]:
    found: list[Stage] = []
    for word, rest in _instructions(path.read_text("utf-8")):
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(base, name, []))
        elif found:
            found[-1].instructions.append(Instruction(word, rest))
    return found


def _instructions(text: str) -> list[tuple[str, str]]:
    """Join continued lines; comments are left out, also between them."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    split = (line.partition(" ") for line in joined.split("\n"))
    return [(word.upper(), rest) for word, _, rest in split]
