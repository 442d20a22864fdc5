"""`lakehouse doctor` on broken configurations: each names its cause and the fix."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from lakehouse.cli.main import main
from lakehouse.core.json_text import NULL
from lakehouse.core.row_codec import encode_line
from support.rows import make_row
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
PYTHON = 'python = "%s"'
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


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "lakehouse.toml").write_text(BASE)
    (tmp_path / "city.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "cities.csv").write_text("name,people\nOslo,700000\nBergen,290000\n")
    (tmp_path / "script.json").write_text('{"matches": {".": ["{}"]}}')
    (tmp_path / "city_models.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in set(os.environ) - set(untraced(os.environ)):
        monkeypatch.delenv(name)
    return tmp_path


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


# What is changed in the files or the environment → words of the cause → words of the fix.
Case = tuple[str, dict[str, tuple[str, str]], dict[str, str], Sequence[str], Sequence[str]]
CASES: list[Case] = [
    ("no toml", {"lakehouse.toml": ("[log]", "[log")}, {}, ["not valid TOML", "line 2"], ["]"]),
    (
        "section",
        {"lakehouse.toml": ("[log]", "[lgo]")},
        {},
        ["'lgo'", "line 2"],
        ["did you mean 'log'"],
    ),
    (
        "field",
        {"lakehouse.toml": ('path = "log"', 'pth = "log"')},
        {},
        ["log.pth", "line 3"],
        ["did you mean 'path'"],
    ),
    ("type", {"lakehouse.toml": ('path = "log"', "path = 7")}, {}, ["log.path", "is 7"], ["text"]),
    (
        "listen",
        {"lakehouse.toml": ("[log]", '[gateway]\nlisten = "4110"\n[log]')},
        {},
        ["gateway.listen", "'4110'"],
        ["host:port"],
    ),
    (
        "open listen",
        {"lakehouse.toml": ("[log]", '[gateway]\nlisten = "0.0.0.0:4110"\n[log]')},
        {},
        ["0.0.0.0:4110", "other machines"],
        ["api_keys_env"],
    ),
    (
        "keys unset",
        {"lakehouse.toml": ("[log]", '[gateway]\napi_keys_env = "CITY_KEYS"\n[log]')},
        {},
        ["$CITY_KEYS"],
        ["lakehouse keys new"],
    ),
    (
        "keys malformed",
        {"lakehouse.toml": ("[log]", '[gateway]\napi_keys_env = "CITY_KEYS"\n[log]')},
        {"CITY_KEYS": "secret"},
        ["$CITY_KEYS"],
        ["lakehouse keys new"],
    ),
    (
        "deadline",
        {"lakehouse.toml": ("[log]", "[session]\ndeadline_ms = 0\n[log]")},
        {},
        ["session.deadline_ms", "is 0"],
        ["1 to 600000"],
    ),
    (
        "variable",
        {},
        {"LAKEHOUSE_SESSION__DEADLINE_MS": "soon"},
        ["LAKEHOUSE_SESSION__DEADLINE_MS", "'soon'"],
        ["integer"],
    ),
    (
        "variable of nothing",
        {},
        {"LAKEHOUSE_LOG__DURABILTY": "os"},
        ["LAKEHOUSE_LOG__DURABILTY"],
        ["did you mean 'durability'"],
    ),
    (
        "provider",
        {"lakehouse.toml": ('"scripted"', '"script"')},
        {},
        ["models.small.provider", "'script'"],
        ["`scripted`"],
    ),
    (
        "script gone",
        {"lakehouse.toml": ("script.json", "scripts.json")},
        {},
        ["model small", "scripts.json"],
        ["models.small.script"],
    ),
    (
        "kind's model",
        {"lakehouse.toml": ('schema = "city.json"', 'schema = "city.json"\nmodel = "smal"')},
        {},
        ["kinds.city.model", "'smal'"],
        ["did you mean 'small'"],
    ),
    (
        "no schema",
        {"lakehouse.toml": ('schema = "city.json"', 'system = "x"')},
        {},
        ["kinds.city.schema"],
        ["exactly one of `schema`"],
    ),
    (
        "schema gone",
        {"lakehouse.toml": ('"city.json"', '"citi.json"')},
        {},
        ["kinds.city.schema", "citi.json"],
        ["relative to the configuration file"],
    ),
    (
        "schema no json",
        {"city.json": ('"type"', "type")},
        {},
        ["kinds.city.schema", "city.json"],
        ["character"],
    ),
    (
        "schema wrong",
        {"city.json": ('"string"', '"strng"')},
        {},
        ["kinds.city", "strng"],
        ["JSON Schema 2020-12"],
    ),
    (
        "pointer",
        {"lakehouse.toml": ('"/city"', '"/cty"')},
        {},
        ["kinds.city.grounding[0].path", "'/cty'"],
        ["'/city'"],
    ),
    (
        "pointer through an array",
        {"lakehouse.toml": ('"/city"', '"/parts/name"')},
        {},
        ["'/parts' is an array"],
        ["'/parts/0'"],
    ),
    (
        "pointer at an object",
        {"lakehouse.toml": ('"/city"', '"/parts"')},
        {},
        ["'/parts' can only hold an array"],
        ["'/parts/0/name'"],
    ),
    (
        "with pointer",
        {
            "lakehouse.toml": (
                '"cities.name"',
                '"cities.name"\nwith = { "/peple" = "cities.people" }',
            )
        },
        {},
        ["grounding[0].with", "'/peple'"],
        ["'/people'"],
    ),
    (
        "table",
        {"lakehouse.toml": ('"cities.name"', '"city.name"')},
        {},
        ["kinds.city.grounding[0].column", "'city'"],
        ["cities"],
    ),
    (
        "column",
        {"lakehouse.toml": ('"cities.name"', '"cities.nam"')},
        {},
        ["table cities", "'nam'"],
        ["only name, people", "kinds.city"],
    ),
    (
        "table gone",
        {"lakehouse.toml": ("cities.csv", "towns.csv")},
        {},
        ["table cities", "towns.csv"],
        ["tables.cities.path"],
    ),
    (
        "rule no sql",
        {"lakehouse.toml": ("SELECT $people", "SELEC $people")},
        {},
        ["kinds.city.rules[0].sql", "SELEC"],
        ["[[kinds.city.rules]]"],
    ),
    (
        "rule's member",
        {"lakehouse.toml": ("$people", "$peple")},
        {},
        ["kinds.city.rules[0].sql", "$peple"],
        ["did you mean 'people'"],
    ),
    (
        "rule's table",
        {"lakehouse.toml": ("$people > 0", "count(*) > 0 FROM citys")},
        {},
        ["citys", "not a configured table"],
        ["cities"],
    ),
    (
        "rule that always fails",
        {"lakehouse.toml": ("$people > 0", "len($parts[1].nam) > 0")},
        {},
        ["whatever the answer holds", "nam"],
        ["write-a-rule"],
    ),
    (
        "rule that fails on its table",
        {"lakehouse.toml": ("$people > 0", "$people > (SELECT max(name)::INT FROM cities)")},
        {},
        ["kinds.city", "whatever the answer holds", "Oslo"],
        ["[[kinds.city.rules]]"],
    ),
    (
        "rule that writes",
        {"lakehouse.toml": ("SELECT $people > 0", "DROP TABLE cities")},
        {},
        ["kinds.city.rules[0].sql", "one SELECT"],
        ["[[kinds.city.rules]]"],
    ),
    (
        "format",
        {
            "lakehouse.toml": (
                'schema = "city.json"',
                'schema = "city.json"\nassert_formats = true',
            ),
            "city.json": (
                '"city": {"type": "string"',
                '"city": {"format": "emial", "type": "string"',
            ),
        },
        {},
        ["kinds.city", "'emial'"],
        ["did you mean 'email'"],
    ),
    (
        "python's form",
        {"lakehouse.toml": ('schema = "city.json"', PYTHON % "city_models.City")},
        {},
        ["kinds.city.python", "city_models.City"],
        ["package.module:Model"],
    ),
    (
        "python not there",
        {"lakehouse.toml": ('schema = "city.json"', PYTHON % "city_modles:City")},
        {},
        ["kinds.city.python", "city_modles"],
        ["PYTHONPATH"],
    ),
    (
        "python no model",
        {"lakehouse.toml": ('schema = "city.json"', PYTHON % "city_models:Point")},
        {},
        ["Point class", "not a Pydantic model"],
        ["pydantic.BaseModel"],
    ),
    (
        "python that always fails",
        {"lakehouse.toml": ('schema = "city.json"', PYTHON % "city_models:City")},
        {},
        ["validators of city", "cty"],
        ["Correct the model's code"],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_a_broken_configuration_names_its_cause_and_the_fix(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    case: Case,
) -> None:
    _, changes, variables, causes, fixes = case
    for name, (old, new) in changes.items():
        text = (project / name).read_text()
        assert old in text
        (project / name).write_text(text.replace(old, new, 1))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    ran = Doctor(capsys, monkeypatch)

    assert ran.code in {1, 2}
    assert "Traceback" not in ran.text
    for word in (*causes, *fixes):
        assert word in ran.text, ran.text
    assert len(ran.faults) == 1, "one cause is told once"


def test_the_base_has_no_fault(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else every case above could pass for another reason."""
    ran = Doctor(capsys, monkeypatch)
    assert ran.code == 0
    assert [line for line in ran.faults if "file system" not in line] == []


def logged(project: Path, *artifacts: object, grounded: bool | None) -> None:
    """A log of another writer, with accepted sessions of the kind."""
    (project / "log").mkdir()
    rows = []
    for number, artifact in enumerate(artifacts):
        one = make_row(
            session_id=f"{number:032x}",
            row_id=f"{number:032x}",
            kind="city",
            verdict="accepted",
            error=None,
            artifact=NULL if artifact is None else msgspec.Raw(json.dumps(artifact).encode()),
            grounded=grounded,
        )
        rows.append(encode_line(one).strip())
    (project / "log" / "inbox.jsonl").write_bytes(b"\n".join([*rows, b""]))


def open_schema(project: Path) -> None:
    schema = SCHEMA | {"additionalProperties": True, "required": []}
    (project / "city.json").write_text(json.dumps(schema))


@pytest.mark.parametrize(
    ("artifacts", "grounded", "words"),
    [
        ([{"people": 1}] * 3, None, ["no grounding rule of kinds.city applied", "last 3 accepted"]),
        ([{"city": "Oslo"}] * 12, True, ["kinds.city.rules[0].sql: $people", "last 12 accepted"]),
    ],
)
def test_checks_that_never_applied_are_told_from_the_log(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    artifacts: list[object],
    grounded: bool | None,
    words: list[str],
) -> None:
    open_schema(project)
    logged(project, *artifacts, grounded=grounded)
    ran = Doctor(capsys, monkeypatch)
    assert ran.code == 0
    [told] = [line for line in ran.faults if "in the log" in line]
    for word in ["kind city", *words]:
        assert word in told


def test_checks_that_applied_once_are_not_told(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged(project, *[{"city": "Oslo"}] * 11, {"city": "Oslo", "people": 1}, grounded=True)
    ran = Doctor(capsys, monkeypatch)
    assert [line for line in ran.faults if "in the log" in line] == []


def test_what_a_schema_leaves_open_is_a_warning(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = {"type": "object", "properties": {"people": {"type": "integer"}}}
    (project / "city.json").write_text(json.dumps(schema))
    ran = Doctor(capsys, monkeypatch)
    assert ran.code == 0
    [told] = [line for line in ran.faults if "checks:" in line]
    assert "kinds.city.grounding[0].path: '/city'" in told


@pytest.mark.parametrize("content", ["name,people\n", 'name,people\n,"7"\n,8\n'])
def test_a_column_without_a_value_is_a_warning(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    content: str,
) -> None:
    """An export that broke off: every answer would be rejected, and no model could help it."""
    (project / "cities.csv").write_text(content)
    found = Doctor(capsys, monkeypatch)
    assert found.code == 0
    [fault] = found.faults
    assert "warning" in fault
    assert "cities.name: no value" in fault
    assert "kinds.city" in fault
    assert "fill the table" in found.text
