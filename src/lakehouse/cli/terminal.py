"""Prints text to the terminal, with control sequences from outside removed.

Models and other programs write prompts, answers, ids, and names of files and kinds; what steers a
terminal in them is shown as its number (`core/visible.py`). JSON and CSV for programs keep their
bytes, unless they go to a terminal. All commands print through here, or through the console that
uses it (`cli/console.py`, separate because loading Rich would slow down `--help`).
"""

import re
import sys
from collections.abc import Iterable
from typing import Final

from lakehouse.core.visible import STEERING, character_number, visible

_ALSO_BREAKS: Final = re.compile(f"[\t\n]|{STEERING.pattern}")


def on_one_line(text: str) -> str:
    r"""Show line breaks and tabs as `\n` and `\t` too, for a text that must not begin a line."""
    return _ALSO_BREAKS.sub(lambda found: character_number(found[0]), text)


def say(text: str, *, err: bool = False) -> None:
    """Print a text for people, and a line break."""
    print(visible(text), file=sys.stderr if err else sys.stdout, flush=True)


def say_json(data: bytes | str) -> None:
    """Print JSON for programs, byte for byte; on a terminal, control characters are escaped."""
    text = data.decode("utf-8") if isinstance(data, bytes) else data
    print(STEERING.sub(_json_number, text) if sys.stdout.isatty() else text, flush=True)


def say_lines(lines: Iterable[str]) -> None:
    """Print lines for programs unchanged; on a terminal, with control characters escaped."""
    shown = visible if sys.stdout.isatty() else str
    for line in lines:
        sys.stdout.write(shown(line))


def _json_number(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
