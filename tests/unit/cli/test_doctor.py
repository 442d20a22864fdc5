"""`lakehouse doctor` on broken configurations: each names its cause and the fix."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from support.doctor import Doctor, write_project

PYTHON = 'python = "%s"'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_project(tmp_path, monkeypatch)
    return tmp_path


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
        ["'/parts/*'"],
    ),
    (
        "pointer at an object",
        {"lakehouse.toml": ('"/city"', '"/parts"')},
        {},
        ["'/parts' can only be an array"],
        ["'/parts/*/name'"],
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
        ["its columns are name, people", "kinds.city"],
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
        ["for every answer", "nam"],
        ["write-a-rule"],
    ),
    (
        "rule that fails on its table",
        {"lakehouse.toml": ("$people > 0", "$people > (SELECT max(name)::INT FROM cities)")},
        {},
        ["kinds.city", "for every answer", "Oslo"],
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
        ["Point is a plain class, and cannot be a type of answers"],
        ["Make it a dataclass"],
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
