"""The digest of a kind: all of the kind's own that decides a verdict or a prompt is in it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rfc8785

from lakehouse.config.kinds import load_kinds
from lakehouse.config.load import load_config
from lakehouse.config.settings import KindSettings
from lakehouse.core.kind import Kind
from lakehouse.core.ports import KindInfo
from lakehouse.validation.schema import SchemaCache
from lakehouse.validatord.service import kind_info

MODELS = """
[models.small]
provider = "scripted"
model = "a"
script = "a.json"
[models.large]
provider = "scripted"
model = "b"
script = "b.json"
[tables.t]
path = "t.jsonl"
"""
# A line of `[kinds.k]` for each of its settings.
LINES = {
    "schema": 'schema = "other.json"',
    "python": 'python = "kind_digest_model:Artifact"',
    "system": 'system = "Extract."',
    "model": 'model = "large"',
    "max_iterations": "max_iterations = 7",
    "repair": "repair = true",
    "assert_formats": "assert_formats = true",
    "history": 'history = "full"',
    "reprompt": 'reprompt = "Again."',
    "candidates": 'candidates = "hint"',
    "temperature": "temperature = 0.5",
    "top_p": "top_p = 0.5",
    "max_tokens": "max_tokens = 9",
    "seed": "seed = 9",
    "stop": 'stop = ["."]',
    "grounding": 'grounding = [{ path = "/a", column = "t.c" }]',
    "rules": 'rules = [{ sql = "SELECT $a IS NOT NULL", message = "m" }]',
}
SCHEMA = '{"type":"object","properties":{"a":{"type":"string"}}}'


def load(directory: Path, line: str = "", schema: str = SCHEMA) -> Kind:
    """Load a kind with one setting more."""
    (directory / "s.json").write_text(schema)
    (directory / "other.json").write_text(schema.replace('"a"', '"b"'))
    own = "" if line.startswith(("schema", "python")) else 'schema = "s.json"\n'
    file = directory / "lakehouse.toml"
    file.write_text(f"{MODELS}[kinds.k]\n{own}{line}\n")
    return load_kinds(load_config(file, {}), SchemaCache())["k"]


def recomputed(info: KindInfo) -> str:
    """Take the digest of what `GET /v1/kinds` shows, as spec/v1 says, without our code."""
    shown: dict[str, Any] = json.loads(msgspec.json.encode(info))
    rules = [
        {name: value for name, value in rule.items() if value not in (None, {})}
        for rule in shown["grounding"]
    ]
    names = ("schema", "system", "rules", "max_iterations", "model")
    members = {name: shown[name] for name in names} | {"grounding": rules} | shown["settings"]
    return "sha256:" + hashlib.sha256(rfc8785.dumps(members)).hexdigest()


def test_every_setting_is_tried_here() -> None:
    """Who adds one says here how it comes into the digest."""
    assert set(LINES) == set(KindSettings.__struct_encode_fields__)


@pytest.mark.parametrize("name", LINES)
def test_each_setting_changes_the_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """And what `GET /v1/kinds` shows is enough to take it."""
    (tmp_path / "kind_digest_model.py").write_text(
        "from pydantic import BaseModel\n\nclass Artifact(BaseModel):\n    a: str\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    plain, changed = load(tmp_path), load(tmp_path, LINES[name])
    assert plain.digest != changed.digest
    for kind in (plain, changed):
        assert recomputed(kind_info("k", kind)) == kind.digest
    assert kind_info("k", plain).settings == {}


RULE = 'path = "/a", column = "t.c"'


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ('candidates = "auto"', True),
        ('candidates = "off"', True),
        ("candidates_required = true", True),
        ("tolerance = 1.0, match = 'within'", True),
        ("with = {}", False),
    ],
)
def test_what_a_rule_says_of_candidates_is_in_the_digest_where_it_says_it(
    tmp_path: Path, said: str, *, changes: bool
) -> None:
    """A kind whose rules say nothing has the digest that it had before there were candidates."""
    place = '{"type":"object","properties":{"a":{"type":["string","number","null"]}}}'
    plain = load(tmp_path, f"grounding = [{{ {RULE} }}]", place)
    said_it = load(tmp_path, f"grounding = [{{ {RULE}, {said} }}]", place)
    assert (plain.digest != said_it.digest) is changes
    [rule] = kind_info("k", said_it).grounding
    for kind in (plain, said_it):
        assert recomputed(kind_info("k", kind)) == kind.digest
    [shown] = json.loads(msgspec.json.encode(kind_info("k", said_it)))["grounding"]
    assert shown["candidates"] == rule.candidates
    assert shown["candidates_required"] == rule.candidates_required
