"""`lakehouse kinds`: what is configured, and what a kind or a type means."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from support.commands import SCHEMA, lakehouse, project

__all__ = ["project"]

MODULE = """
from typing import Annotated, TypedDict
from lakehouse.output_types.markers import Grounded, Quote, Rule

class AirportEvent(TypedDict):
    airport: Annotated[str, Grounded("airports.iata"), Quote()]

Events = list[AirportEvent]
Ruled = Annotated[AirportEvent, Rule("SELECT true", "never")]
"""


@pytest.fixture
def typed(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (project / "shop_events.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(project), prepend=":")
    return project


def test_kinds_are_listed_as_ever(project: Path) -> None:
    [kind] = json.loads(lakehouse(project, "kinds", "--json").stdout)["kinds"]
    assert kind["name"] == "city"
    assert "city" in lakehouse(project, "kinds").stdout


@pytest.mark.parametrize(
    ("name", "kind"),
    [("AirportEvent", "airport_event"), ("Events", "events"), ("Ruled", "ruled")],
)
def test_a_type_is_shown_as_the_kind_that_it_means(typed: Path, name: str, kind: str) -> None:
    reference = f"shop_events:{name}"
    text = lakehouse(typed, "kinds", "show", reference, "--toml").stdout
    assert lakehouse(typed, "kinds", "show", reference).stdout == text
    shown = tomllib.loads(text)["kinds"][kind]
    path = "/result/*/airport" if name == "Events" else "/airport"
    assert shown["grounding"] == [
        {"path": path, "column": "airports.iata"}, {"path": path, "match": "quote"},
    ]  # fmt: skip
    assert ("rules" in shown) == (name == "Ruled")
    parts = json.loads(lakehouse(typed, "kinds", "show", reference, "--json").stdout)
    assert [one["path"] for one in parts["grounding"]] == [path, path]
    assert parts["schema"]["type"] == "object"


def test_a_configured_kind_is_shown(project: Path) -> None:
    text = lakehouse(project, "kinds", "show", "city", "--toml").stdout
    assert tomllib.loads(text)["kinds"]["city"]["schema"] == "city.schema.json"
    parts: Any = json.loads(lakehouse(project, "kinds", "show", "city", "--json").stdout)
    assert parts == {"name": "city", "schema": SCHEMA, "grounding": [], "rules": []}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("citi",), ["'citi' is no configured kind (did you mean 'city'?)", "package.module:Type"]),
        (("no_such_module:Event",), ["cannot be imported", "PYTHONPATH"]),
        (("io:BytesIO",), ["BytesIO cannot be a type of answers"]),
        (("city", "--toml", "--json"), ["--toml and --json exclude each other"]),
    ],
)
def test_what_cannot_be_shown_is_named(
    project: Path, arguments: tuple[str, ...], words: list[str]
) -> None:
    told = lakehouse(project, "kinds", "show", *arguments, code=2).stderr
    for word in words:
        assert word in told
