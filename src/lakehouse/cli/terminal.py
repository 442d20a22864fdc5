"""Prints text to the terminal, with control sequences from outside removed.

Models and other programs write prompts, answers, ids, and names of files and kinds. A terminal
obeys escape sequences, C1 controls and direction marks in them, so each such character is shown as
its number. JSON and CSV for programs keep their bytes, unless they go to a terminal. All commands
print through here, or through the console that uses it (`cli/console.py`, separate because loading
Rich would slow down `--help`).
"""

import re
import sys
from collections.abc import Iterable
from typing import Final

import typer

# C0 but tab and line break, DEL and C1, marks of direction, separators of lines, interlinear and
# tag characters, and what no encoding can carry.
_STEERING: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_ALSO_BREAKS: Final = re.compile(f"[\t\n]|{_STEERING.pattern}")


def visible(text: str) -> str:
    r"""Show characters that control a terminal as `\x1b` or `\u202e`; line breaks and tabs stay."""
    return _STEERING.sub(_number, text)


def on_one_line(text: str) -> str:
    r"""Show line breaks and tabs as `\n` and `\t` too, for a text that must not begin a line."""
    return _ALSO_BREAKS.sub(_number, text)


def say(text: str, *, err: bool = False) -> None:
    """Print a text for people, and a line break."""
    typer.echo(visible(text), err=err)


def say_json(data: bytes | str) -> None:
    """Print JSON for programs, byte for byte; on a terminal, control characters are escaped."""
    text = data.decode("utf-8") if isinstance(data, bytes) else data
    typer.echo(_STEERING.sub(_json_number, text) if sys.stdout.isatty() else text)


def say_lines(lines: Iterable[str]) -> None:
    """Print lines for programs unchanged; on a terminal, with control characters escaped."""
    shown = visible if sys.stdout.isatty() else str
    for line in lines:
        sys.stdout.write(shown(line))


def _number(found: re.Match[str]) -> str:
    code = ord(found.group())
    if found.group() in "\t\n":
        return "\\t" if found.group() == "\t" else "\\n"
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )


def _json_number(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
