"""Bodies of `POST /v1/validate`, their replies and findings as JSON texts."""

import json

from parity_cases.case import Case, items, obj

AIRPORTS = (
    '[{"iata":"LIS","city":"Lisbon","elevation":114},{"iata":"OPO","city":"Porto","elevation":69},'
    '{"iata":"LAX","city":"Los Angeles","elevation":38.50}]'
)


def text(value: str) -> str:
    """Write a text as a JSON string."""
    return json.dumps(value, ensure_ascii=False)


def body(
    output: str,
    *,
    schema: str = "{}",
    source: str | None = None,
    grounding: str | None = None,
    tables: str | None = None,
) -> str:
    """Write a body; `output` and `source` are texts, the others JSON."""
    members = {"schema": schema, "output": text(output)}
    if source is not None:
        members["source"] = text(source)
    if grounding is not None:
        members["grounding"] = grounding
    if tables is not None:
        members["tables"] = tables
    return obj(members)


def found(
    code: str,
    path: str = "",
    got: str | None = None,
    expected: str | None = None,
    nearest: str | None = None,
) -> str:
    """Write a finding; `path` is a text, the others JSON."""
    members = {"code": text(code), "path": text(path), "message": '""'}
    evidence = {"got": got, "expected": expected, "nearest": nearest}
    return obj(members | {name: value for name, value in evidence.items() if value is not None})


def schema_finding(path: str, got: str | None, expected: str) -> str:
    """Write a finding of the schema."""
    return found("schema", path, got, expected)


def reply(artifact: str, *findings: str, grounded: str = "null") -> str:
    """Write a reply: accepted without findings."""
    verdict = '"rejected"' if findings else '"accepted"'
    return obj(
        {
            "verdict": verdict,
            "artifact": artifact,
            "grounded": grounded,
            "findings": items(*findings),
        }
    )


def nothing(code: str) -> str:
    """Write the reply to an answer that holds no JSON value."""
    return reply("null", found(code))


def accepted(name: str, about: str, why: str, output: str, schema: str = "{}") -> Case:
    """Make a fixture whose output is the artifact, and holds."""
    return Case(name, about, why, body(output, schema=schema), reply(output))


def fails(name: str, about: str, why: str, output: str, schema: str, *findings: str) -> Case:
    """Make a fixture whose output is the artifact, and does not hold the schema."""
    return Case(name, about, why, body(output, schema=schema), reply(output, *findings))


def bad(name: str, about: str, why: str, came: str | bytes) -> Case:
    """Make a fixture of a body that is refused."""
    return Case(name, about, why, came, None)
