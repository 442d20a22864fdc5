"""A stack with one kind, cities, and a model that answers as its script says."""

from collections.abc import Mapping
from typing import Any

from support.stack import Answer, call

SCHEMA = {
    "type": "object",
    "properties": {"code": {"type": "string"}, "quote": {"type": "string"}},
    "required": ["code"],
    "additionalProperties": False,
}
GOOD = '{"code": "LHR", "quote": "delayed"}'
SCRIPT = {
    "matches": {
        "first shot": [GOOD],
        "retry": ['{"code": "XXX"}', GOOD],
        "prose": ["I would rather not.", "No JSON today.", "Sorry."],
        "numbers": ['{"n": 1.10, "big": 18446744073709551616}'],
        "slow": [{"text": GOOD, "delay_ms": 1500}],
        "very long": [{"text": GOOD, "delay_ms": 60000}],
        "counted": [{"text": GOOD, "usage": {"prompt_tokens": 1234, "completion_tokens": 56}}],
        "malformed": [{"error": "upstream_malformed"}],
    }
}


def config(dead_port: int) -> str:
    return f"""
[log]
path = "log"
[session]
drain_ms = 5000
[models.small]
provider = "scripted"
model = "tiny"
script = "script.json"
[models.dead]
provider = "openai"
base_url = "http://127.0.0.1:{dead_port}/v1"
model = "gone"
[tables.airports]
path = "airports.csv"
[kinds.event]
schema = "event.schema.json"
system = "Extract."
[[kinds.event.grounding]]
path = "/code"
column = "airports.iata"
[[kinds.event.grounding]]
path = "/quote"
match = "quote"
"""


def iterate(port: int, headers: Mapping[str, str] | None = None, **body: object) -> Answer:
    return call(port, "POST", "/v1/iterate", body, headers)


def rows_of(port: int, identity: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = call(port, "GET", f"/v1/sessions/{identity}").json()["rows"]
    return rows
