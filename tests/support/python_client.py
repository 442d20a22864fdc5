"""What tests of the Python clients share: a configuration with a scripted model, and the rows."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lakehouse.sessionlog.reading.reader import read_lines, read_rows

GOOD = '{"airport":"BCN","city":"Barcelona"}'
BAD = '{"airport":"BCX","city":"Barcelona"}'
PROMPT = "BCN Barcelona: VY3901 delayed 25 minutes."
SCHEMA = {
    "type": "object",
    "properties": {"airport": {"type": "string"}, "city": {"type": "string"}},
    "required": ["airport", "city"],
}


def configured(directory: Path, answers: Sequence[Any] = (GOOD,), more: str = "") -> Path:
    """Write a configuration whose model `small` gives these answers; returns its path."""
    (directory / "script.json").write_text(json.dumps(list(answers)))
    (directory / "airports.csv").write_text("iata,city\nBCN,Barcelona\nBOS,Boston\n")
    path = directory / "lakehouse.toml"
    path.write_text(
        '[log]\npath = "log"\n'
        '[models.small]\nprovider = "scripted"\nmodel = "tiny"\nscript = "script.json"\n'
        '[tables.airports]\npath = "airports.csv"\n' + more
    )
    return path


def rows_in(directory: Path) -> list[dict[str, Any]]:
    """Return the rows of the log, in the order they were written by each writer."""
    return [json.loads(row) for row in read_rows(directory / "log")]


def started_in(directory: Path) -> int:
    """Count the sessions that have begun."""
    if not (directory / "log").exists():
        return 0
    return sum(line.kind == "started" for line in read_lines(directory / "log"))
