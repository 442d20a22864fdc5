"""What a configuration may say of candidates, in a file, in Python, and of a Python model."""

import json
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config.kinds import load_kinds
from lakehouse.config.load import config_of_values
from lakehouse.core.errors import SetupError
from lakehouse.core.kind import Kind
from lakehouse.validation.schema import SchemaCache

PLACES = {
    "iata": {"type": ["string", "null"]},
    "city": {"type": "string"},
    "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    "stops": {"type": "array", "items": {"type": ["string", "null"]}},
    "both": {"type": ["array", "null", "string"], "items": {"type": "string"}},
    "weight": {"enum": [1, 2]},
}
MODEL = """
from pydantic import BaseModel
class Trip(BaseModel):
    iata: str | None = None
    city: str
"""


def kind_of(
    folder: Path,
    rule: dict[str, Any],
    *,
    path: str = "/iata",
    python: str | None = None,
    **said: object,
) -> Kind:
    """Load a kind with one grounding rule, given in Python."""
    schema = {"type": "object", "properties": PLACES, "additionalProperties": False}
    (folder / "trip.json").write_text(json.dumps(schema))
    column = {} if rule.get("match") == "quote" else {"column": "airports.iata"}
    grounding = [{"path": path, **column, **rule}]
    source = {"schema": "trip.json"} if python is None else {"python": python}
    sections: dict[str, Any] = {
        "models": {"small": {"provider": "scripted", "model": "m", "script": "s.json"}},
        "tables": {"airports": {"path": "airports.parquet"}},
        "kinds": {"trip": {**source, "grounding": grounding, **said}},
    }
    return load_kinds(config_of_values(sections, base=folder), SchemaCache())["trip"]


@pytest.mark.parametrize("path", ["/iata", "/either"])
def test_candidates_can_be_required_where_null_may_stand(tmp_path: Path, path: str) -> None:
    kind = kind_of(
        tmp_path, {"candidates": "decode", "candidates_required": True}, path=path, candidates="off"
    )
    assert (kind.candidates, kind.grounding[0].candidates) == ("off", "decode")
    assert kind.grounding[0].candidates_required


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/city", ["'/city' may not be null", '"type": ["string", "null"]']),
        ("/weight", ["'/weight' may not be null", '"type": ["integer", "null"]']),
        ("/stops", ["'/stops' is an array"]),
        ("/both", ["'/both' is an array"]),
    ],
)
def test_a_place_where_null_cannot_stand_stops_the_start(
    tmp_path: Path, path: str, words: list[str]
) -> None:
    rule: dict[str, Any] = {"candidates_required": True}
    if path == "/weight":
        rule |= {"match": "within", "tolerance": 1.0}
    with pytest.raises(SetupError) as caught:
        kind_of(tmp_path, rule, path=path)
    for word in ["kinds.trip.grounding[0].candidates_required: ", *words]:
        assert word in caught.value.public
    kind_of(tmp_path, {**rule, "candidates_required": False}, path=path)


@pytest.mark.parametrize(
    ("rule", "said", "words"),
    [
        ({"candidates": "decod"}, {}, ["grounding[0].candidates: is 'decod'", "mean 'decode'?"]),
        (
            {},
            {"candidates": "hnit"},
            ["trip.candidates: is 'hnit' (did you mean 'hint'?)", "`off`"],
        ),
        ({"candidate": "off"}, {}, ["grounding[0].candidate: unknown field", "'candidates'"]),
        ({"candidates_required": "yes"}, {}, ["candidates_required: is 'yes'", "true or false"]),
        ({"match": "quote", "candidates": "hint"}, {}, ["grounding[0]: ", "'decode'", "'off'"]),
        ({"match": "quote", "candidates_required": True}, {}, ["needs a column"]),
        ({"candidates_required": True}, {"candidates": "off"}, ["candidates is 'off' here"]),
    ],
)
def test_what_cannot_hold_is_told_with_its_field_and_what_is_allowed(
    tmp_path: Path, rule: dict[str, Any], said: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(SetupError) as caught:
        kind_of(tmp_path, rule, **said)
    for word in ["kinds.trip", *words]:
        assert word in caught.value.public


def test_a_quote_offers_nothing_by_itself_whatever_its_kind_says(tmp_path: Path) -> None:
    kind = kind_of(tmp_path, {"match": "quote"}, candidates="hint")
    assert (kind.candidates, kind.grounding[0].candidates) == ("hint", None)


def test_a_python_kind_has_both_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "candidate_model.py").write_text(MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    rule, model = {"candidates_required": True}, "candidate_model:Trip"
    kind = kind_of(tmp_path, rule, python=model, candidates="decode")
    assert (kind.candidates, kind.grounding[0].candidates_required) == ("decode", True)
    with pytest.raises(SetupError, match="'/city' may not be null"):
        kind_of(tmp_path, rule, path="/city", python=model)
