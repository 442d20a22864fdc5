"""The language-neutral files under spec/v1, as tests read them."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec

SPEC = Path(__file__).parents[2] / "spec" / "v1"
_BASE = "https://spec.invalid/v1/"


def vectors(name: str) -> list[dict[str, Any]]:
    """Give the cases of one vector file."""
    cases: list[dict[str, Any]] = json.loads((SPEC / "vectors" / f"{name}.json").read_text())[
        "cases"
    ]
    assert cases
    return cases


def fixtures(suite: str, level: str = "required") -> dict[str, dict[str, Any]]:
    """Give the parity fixtures of one suite by name."""
    paths = sorted((SPEC / "parity" / suite / level).glob("*.json"))
    found = {path.stem: json.loads(path.read_text()) for path in paths}
    assert found
    return found


def schema_names() -> list[str]:
    """Name the JSON Schemas, without their endings."""
    return sorted(path.name.removesuffix(".schema.json") for path in SPEC.glob("*.schema.json"))


def schema(name: str) -> dict[str, Any]:
    """Give one JSON Schema as it stands."""
    found: dict[str, Any] = json.loads((SPEC / f"{name}.schema.json").read_text())
    return found


def schema_validator(name: str) -> jsonschema_rs.Validator:
    """Compile one JSON Schema; references between the files are resolved, nothing is fetched."""
    resources = [(f"{_BASE}{each}.schema.json", schema(each)) for each in schema_names()]
    registry = jsonschema_rs.Registry(resources, draft=jsonschema_rs.Draft202012)
    return jsonschema_rs.validator_for(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": f"{_BASE}{name}.schema.json",
        },
        registry=registry,
    )


def without_messages(reply: bytes) -> bytes:
    """Take `message` out of the findings of a validate reply and change no other byte of value."""
    members = msgspec.json.decode(reply, type=dict[str, msgspec.Raw])
    findings = msgspec.json.decode(members["findings"], type=list[dict[str, msgspec.Raw]])
    for finding in findings:
        del finding["message"]
    members["findings"] = msgspec.Raw(msgspec.json.encode(findings))
    return msgspec.json.encode(members)
