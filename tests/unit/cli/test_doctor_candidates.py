"""`lakehouse doctor` tells how each grounding rule offers its candidates to the kind's model."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lakehouse.cli.doctor_candidates import candidate_checks
from lakehouse.cli.doctor_check import Check
from lakehouse.cli.main import main
from lakehouse.core.json_text import dumps
from lakehouse.core.kind import CandidatesMode, GroundingRule
from lakehouse.engine.inline_kind import inline_kind
from lakehouse.grounding.settings import TableSettings
from lakehouse.grounding.tables import TableFiles
from lakehouse.providers.ollama import OllamaSettings
from lakehouse.providers.openai import OpenAiSettings
from lakehouse.providers.provider import ModelSettings
from lakehouse.providers.scripted import ScriptedSettings
from lakehouse.validation.schema import SchemaCache
from support.doctor import BASE, Doctor, write_project

STOP = {"type": "string"}
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "name": {"type": ["string", "null"]},
        "open": {"type": "boolean"},
        "people": {"type": "number"},
        "more": {"type": ["number", "null"]},
        "stops": {"type": "array", "items": {"type": "object", "properties": {"city": STOP}}},
    },
}
TABLE = TableSettings("t.csv", {"open": "boolean", "people": "number"})
HERE = ScriptedSettings(model="tiny", script="script.json")
URL = "http://127.0.0.1:1/v1"
ENDPOINT = OpenAiSettings(model="large", base_url=URL)
OLLAMA = OllamaSettings(model="large", enum_values_max=50)
PLAIN = ModelSettings(model="plain")
NO_SCHEMA = OpenAiSettings(model="large", base_url=URL, response_format="json_object")
CITY = GroundingRule(path="/city", column="t.name")


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("name,open,people\nOslo,true,7\n")


def told(rule: GroundingRule, model: ModelSettings, mode: CandidatesMode = "auto") -> Check:
    """Return the check of one rule of a kind with this mode."""
    kind = inline_kind(
        msgspec.Raw(dumps(SCHEMA).encode()), system=None, max_iterations=1, model="small"
    )
    kind = msgspec.structs.replace(kind, name="city", grounding=(rule,), candidates=mode)
    tables = TableFiles({"t": TABLE}, {})
    try:
        snapshot = asyncio.run(tables.snapshot(kind))
    finally:
        tables.close()
    [check] = candidate_checks(kind, SchemaCache().of(kind), model, snapshot)
    assert check.name == "candidates city"
    return check


def rule_of(path: str = "/city", column: str | None = "t.name", **said: Any) -> GroundingRule:
    return GroundingRule(path=path, column=column, **said)


QUOTE = rule_of(column=None, match="quote")
NEARLY: dict[str, Any] = {"column": "t.people", "match": "within", "tolerance": 1.0}


@pytest.mark.parametrize(
    ("rule", "model", "words"),
    [
        (
            CITY,
            HERE,
            [
                "'/city' from t.name: in the schema",
                "'small'",
                "200 values of this rule; if there are more, in",
            ],
        ),
        (CITY, ENDPOINT, ["of at most 500 values, 15,000 characters, 65,536 bytes", "if the"]),
        (CITY, ENDPOINT, ["refuses the schema, in the prompt, the first 20"]),
        (CITY, OLLAMA, ["a schema of at most 50 values, ", "if the endpoint refuses"]),
        (CITY, PLAIN, ["in the prompt, at most 20 values or 4,096 bytes: model 'small' does not"]),
        (CITY, NO_SCHEMA, ["in the prompt", "its response_format is 'json_object'"]),
        (
            rule_of(candidates="decode"),
            ENDPOINT,
            ["any value can", "refuses the schema, not at all"],
        ),
        (rule_of(candidates="hint"), HERE, ["in the prompt", "candidates is 'hint'"]),
        (rule_of(candidates="off"), HERE, ["off: candidates is 'off' for this rule"]),
        (rule_of("/open", "t.open"), HERE, ["off: the column contains booleans"]),
        (rule_of("/people", **NEARLY), HERE, ["in the prompt", "may not be null"]),
        (rule_of("/more", **NEARLY), HERE, ["in the schema"]),
        (rule_of("/people", **NEARLY, candidates="decode"), HERE, ["in the schema"]),
        (QUOTE, HERE, ["'/city' from the text: off: a quote may be any phrase"]),
        (rule_of(column=None, match="quote", candidates="decode"), HERE, ["in the schema"]),
        (rule_of("/name", candidates_required=True), HERE, ["in the schema"]),
        (rule_of("/stops/*/city"), HERE, ["'/stops/*/city' from t.name: in the schema"]),
        (
            rule_of("/stops/*/city", with_={"/people": "t.people"}),
            HERE,
            ["each column by itself, as not all are in one element, and the rows in the prompt"],
        ),
    ],
)
def test_a_rule_tells_where_its_candidates_go(
    rule: GroundingRule, model: ModelSettings, words: list[str]
) -> None:
    check = told(rule, model)
    assert (check.state, check.fix) == ("ok", "")
    for word in words:
        assert word in check.detail


def test_rows_that_stand_in_each_element_are_told_of_no_limit() -> None:
    same = told(rule_of("/stops/*/city", with_={"/stops/*/people": "t.people"}), HERE)
    assert "by itself" not in same.detail


@pytest.mark.parametrize(
    ("rule", "model", "word", "fix"),
    [
        (rule_of(candidates="decode"), PLAIN, "off: model", "name a model that decodes"),
        (
            rule_of(candidates="decode"),
            NO_SCHEMA,
            "off: model",
            'response_format = "json_schema" under [models.small], or write candidates =',
        ),
        (
            rule_of("/open", "t.open", candidates_required=True),
            HERE,
            "off: the column contains booleans",
            "leave candidates_required out",
        ),
        (
            rule_of("/name", candidates_required=True),
            NO_SCHEMA,
            "only asked for there, not kept",
            'write response_format = "json_schema"',
        ),
    ],
)
def test_what_a_model_cannot_do_is_a_warning_that_says_what_to_change(
    rule: GroundingRule, model: ModelSettings, word: str, fix: str
) -> None:
    check = told(rule, model)
    assert check.state == "warning"
    assert word in check.detail
    assert fix in check.fix


@pytest.mark.parametrize("mode", ["off", "hint"])
def test_the_kind_s_mode_is_that_of_rules_which_say_nothing(mode: CandidatesMode) -> None:
    assert f"candidates is {mode!r}" in told(CITY, HERE, mode).detail
    assert "in the schema" in told(rule_of(candidates="auto"), HERE, mode).detail
    assert "any phrase" in told(QUOTE, HERE, mode).detail


def test_every_rule_of_every_kind_has_its_line_also_in_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project(tmp_path, monkeypatch)
    more = '[[kinds.city.grounding]]\npath = "/city"\nmatch = "quote"\n[[kinds.city.rules]]'
    (tmp_path / "lakehouse.toml").write_text(BASE.replace("[[kinds.city.rules]]", more))
    lines = [
        line.strip()
        for line in Doctor(capsys, monkeypatch).text.splitlines()
        if "candidates" in line
    ]
    assert [line[:39] for line in lines] == [
        "ok  candidates city: '/city' from citie",
        "ok  candidates city: '/city' from the t",
    ]
    monkeypatch.setattr(sys, "argv", ["lakehouse", "doctor", "candidates", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    found = json.loads(capsys.readouterr().out)["checks"]
    assert [f"{one['state']}  {one['name']}: {one['detail']}" for one in found] == lines
