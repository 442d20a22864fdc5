"""What a daemon refuses to start with, and what it warns of: as processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.stack import SCRIPTED, free_port, running_stack

CONFIG = (
    SCRIPTED
    + """
[tables.cities]
path = "cities.csv"
[kinds.city]
schema = "city.json"
[[kinds.city.grounding]]
path = "/city"
column = "cities.name"
[[kinds.city.rules]]
sql = "%s"
message = "no"
"""
)
CLOSED = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "additionalProperties": False,
}
GOOD = "SELECT $people > 0"


def project(folder: Path, sql: str, schema: object) -> None:
    (folder / "lakehouse.toml").write_text(CONFIG % sql)
    (folder / "city.json").write_text(json.dumps(schema))
    (folder / "cities.csv").write_text("name,people\nOslo,700000\n")
    (folder / "script.json").write_text('{"matches": {".": ["{}"]}}')


@pytest.mark.parametrize("role", ["up", "validatord"])
@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT $peple > 0", ["$peple", "did you mean 'people'"]),
        ("SELECT $people + $city > 0", ["for every answer"]),
        ("SELECT $people < (SELECT max(name)::INT FROM cities)", ["for every answer", "Oslo"]),
    ],
)
def test_a_rule_that_cannot_judge_stops_the_start(
    tmp_path: Path, role: str, sql: str, words: list[str]
) -> None:
    """Exit 2, one message, no traceback, nothing listening."""
    project(tmp_path, sql, CLOSED)
    section = "gateway" if role == "up" else role
    with (tmp_path / "lakehouse.toml").open("a") as file:
        file.write(f'[{section}]\nlisten = "127.0.0.1:{free_port()}"\n')
    done = subprocess.run(
        [sys.executable, "-m", "lakehouse", role],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "listening" not in done.stdout
    for word in ["kinds.city.rules", *words]:
        assert word in done.stderr


def test_what_the_schema_leaves_open_is_warned_of_at_the_start(tmp_path: Path) -> None:
    project(tmp_path, GOOD, {"type": "object", "properties": {"town": {"type": "string"}}})
    config = (tmp_path / "lakehouse.toml").read_text()
    with running_stack(tmp_path, config, apart=False) as processes:
        output = processes["gateway"].output
    said = output.read_text()  # whole, because it has ended
    for word in ("kinds.city.grounding[0].path: '/city'", "kinds.city.rules[0].sql: $people"):
        assert word in said
