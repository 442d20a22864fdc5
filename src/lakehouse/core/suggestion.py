"""Suggests the nearest known names for an unknown one, for error messages."""

from collections.abc import Iterable
from typing import Final

SUGGESTIONS_MAX: Final = 3
_SIMILARITY_MIN: Final = 60.0  # of 100: a transposed, missing or doubled letter or two passes
_NAME_CHARS_MAX: Final = 200  # a longer text was not meant as a name


def nearest_names(name: str, known: Iterable[str]) -> list[str]:
    """Return at most `SUGGESTIONS_MAX` known names that look like `name`, the most alike first.

    Ignores case, and whether words are joined by `-`, `_` or a space. Ties keep the order of
    `known`.
    """
    from rapidfuzz import fuzz, process  # noqa: PLC0415  only for an unknown name

    if len(name) > _NAME_CHARS_MAX:
        return []
    found = process.extract(
        name,
        list(known),
        scorer=fuzz.ratio,
        processor=_plain,
        score_cutoff=_SIMILARITY_MIN,
        limit=SUGGESTIONS_MAX,
    )
    return [match for match, _, _ in found]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'tables'?)` for a message; empty if no known name is near."""
    found = nearest_names(name, known)
    return f" (did you mean {' or '.join(map(repr, found[:2]))}?)" if found else ""


def _plain(name: str) -> str:
    return name.casefold().replace("-", "_").replace(" ", "_")
