"""Checks every text of a configuration for characters and sizes that nothing can use.

A NUL would cut a path short, and text that is not UTF-8 cannot be written to the log, a digest or
the screen.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lakehouse.core.errors import SetupError
from lakehouse.core.wording import shown

# The parser's time grows with the square of a key's parts: of 50,000 it takes a minute. A text
# that looks like such a key is refused too: nobody joins so many words by dots.
_KEY_PARTS_MAX: Final = 64
_PART = r"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')"""
_DEEP_KEY: Final = re.compile(
    rf"(?<![A-Za-z0-9_.-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{_KEY_PARTS_MAX}}}"
)


def parse_toml(text: str, place: str) -> dict[str, Any]:
    """Read TOML.

    Raises:
        tomllib.TOMLDecodeError: It is not TOML.
        SetupError: It is TOML beyond the limits; `place` names the source.
    """
    if _DEEP_KEY.search(text) is not None:
        raise SetupError(f"{place}: a key has more than {_KEY_PARTS_MAX} dotted parts.")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise SetupError(f"{place}: arrays or tables are nested too deeply.") from None
    except ValueError as error:  # an integer that Python refuses to convert
        raise SetupError(f"{place}: a number has too many digits.") from error


def find_fault(data: Mapping[str, Any]) -> tuple[str, str] | None:
    """Find the first unusable text; returns its field, and what is wrong with it."""
    for field, text in _texts(data):
        if "\0" in text:
            return field, f"is {shown(text)}; a NUL character is not allowed"
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return field, f"is {shown(text)}, which is not valid UTF-8"
    return None


def _texts(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return every text with its field, without recursion: the file decides how deep it is."""
    waiting: list[tuple[str, object]] = list(data.items())
    while waiting:
        field, value = waiting.pop(0)
        if isinstance(value, str):
            yield field, value
        elif isinstance(value, dict):
            waiting[:0] = [(f"{field}.{name}", each) for name, each in value.items()]
        elif isinstance(value, list):
            waiting[:0] = [(f"{field}[{index}]", each) for index, each in enumerate(value)]
