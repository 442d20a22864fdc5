"""Finds the line of a field in a TOML file, for error messages."""

import re

_START = re.compile(r"\s*(?P<header>\[\[?)?(?P<name>[^\[\]=#]+?)\s*[\]=]")
# Strings and comments: what stands in them opens and closes nothing.
_TEXT = re.compile(
    r'#[^\n]*|"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'', re.DOTALL
)


def line_of(text: str, field: str) -> int | None:
    """Find the line (from 1) that sets a dotted field, else the one that opens its table.

    Array tables are addressed as `kinds.k.grounding[0].path`. A section that only its parts write
    (`[tables.airports]` is the section `tables` too) stands where the first of them does. None if
    nothing of the field is written. The text must be valid TOML.
    """
    counts: dict[str, int] = {}
    table, best, best_length = "", None, -1
    part: int | None = None
    outline = _TEXT.sub(lambda found: f"[{chr(10) * found[0].count(chr(10))}]", text)
    depth = 0
    for number, (line, outer) in enumerate(
        zip(text.split("\n"), outline.split("\n"), strict=True), start=1
    ):
        start = None if depth else _START.match(line)  # else within a value that began above
        depth += sum(map(outer.count, "[{")) - sum(map(outer.count, "]}"))
        if start is None:
            continue
        place = re.sub(r"[\"'\s]", "", start["name"])
        if start["header"] is None:
            place = f"{table}.{place}" if table else place
        else:
            if start["header"] == "[[":
                counts[place] = counts.get(place, -1) + 1
            for array, index in counts.items():
                if place == array or place.startswith(f"{array}."):
                    place = f"{array}[{index}]{place.removeprefix(array)}"
            table = place
        if field == place or field.startswith((f"{place}.", f"{place}[")):
            if len(place) > best_length:
                best, best_length = number, len(place)
        elif part is None and place.startswith(f"{field}."):
            part = number
    return part if best is None else best
