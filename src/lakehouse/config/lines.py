"""Finds the line of a field in a TOML file, for error messages."""

import re

_HEADER = re.compile(r"\s*\[(\[)?\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\"'-]+)\s*=")


def line_of(text: str, field: str) -> int | None:
    """Find the line (from 1) that sets a dotted field, else the one that opens its table.

    Array tables are addressed as `kinds.k.grounding[0].path`. A section that only its parts write
    (`[tables.airports]` is the section `tables` too) stands where the first of them does. None if
    nothing of the field is written.
    """
    counts: dict[str, int] = {}
    table, best, best_length = "", None, -1
    part: int | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header is not None:
            table = _bare(header[2])
            if header[1]:
                counts[table] = counts.get(table, -1) + 1
                table = f"{table}[{counts[table]}]"
            place = table
        else:
            key = _KEY.match(line)
            if key is None:
                continue
            place = ".".join(filter(None, (table, _bare(key[1]))))
        inside = field == place or field.startswith((place + ".", place + "["))
        if inside and len(place) > best_length:
            best, best_length = number, len(place)
        if part is None and place.startswith(field + "."):
            part = number
    return part if best is None else best


def _bare(name: str) -> str:
    return re.sub(r"[\"'\s]", "", name)
