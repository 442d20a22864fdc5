"""A project that `lakehouse doctor` finds nothing wrong with, and the doctor."""

import json
import os
import sys
from pathlib import Path

import pytest

from lakehouse.cli.main import main
from support.stack import untraced

BASE = """
[log]
path = "log"
[models.small]
provider = "scripted"
model = "tiny"
script = "script.json"
[tables.cities]
path = "cities.csv"
[kinds.city]
schema = "city.json"
[[kinds.city.grounding]]
path = "/city"
column = "cities.name"
[[kinds.city.rules]]
sql = "SELECT $people > 0"
message = "people must be positive"
"""
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "people": {"type": "integer"},
        "parts": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": {"type": "string"}}},
        },
    },
    "required": ["city"],
    "additionalProperties": False,
}
MODEL = """
from pydantic import BaseModel, model_validator
class City(BaseModel):
    city: str
    people: int = 1
    @model_validator(mode="after")
    def check(self):
        return self.cty
class Point:
    pass
"""


def write_project(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write it, and be there without anything of the environment that matters."""
    (directory / "lakehouse.toml").write_text(BASE)
    (directory / "city.json").write_text(json.dumps(SCHEMA))
    (directory / "cities.csv").write_text("name,people\nOslo,700000\nBergen,290000\n")
    (directory / "script.json").write_text('{"matches": {".": ["{}"]}}')
    (directory / "city_models.py").write_text(MODEL)
    monkeypatch.chdir(directory)
    monkeypatch.syspath_prepend(str(directory))
    for name in set(os.environ) - set(untraced(os.environ)):
        monkeypatch.delenv(name)


class Doctor:
    """One run: its exit code and all that it said."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "argv", ["lakehouse", "doctor"])
        with pytest.raises(SystemExit) as ended:
            main()
        self.code = ended.value.code
        said = capsys.readouterr()
        self.text = said.out + said.err
        self.faults = [
            line
            for line in self.text.splitlines()
            if line.strip().startswith(("problem", "warning", "error:"))
        ]
