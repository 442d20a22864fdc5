"""The job that benchmarks of sessions ask for: one kind, its schema, and the mock model."""

import json
from pathlib import Path

SCHEMA = {
    "type": "object",
    "properties": {
        "event": {"enum": ["delay", "closure", "diversion"]},
        "airport": {"type": "string", "pattern": "^[A-Z]{3}$"},
        "city": {"type": "string"},
        "delay_minutes": {"type": ["integer", "null"], "minimum": 0},
        "quote": {"type": "string"},
    },
    "required": ["event", "airport", "city", "quote"],
    "additionalProperties": False,
}
CASES = (("first shot", "ok"), ("one retry", "retry"))  # and the prompt that brings it about


def write_project(directory: Path, model_port: str) -> None:
    """Write a configuration of one kind, whose model is the mock that listens at a port."""
    (directory / "event.schema.json").write_text(json.dumps(SCHEMA))
    (directory / "lakehouse.toml").write_text(
        f'[log]\npath = "log"\n[gateway]\nlisten = "127.0.0.1:0"\n'
        f'[models.mock]\nprovider = "openai"\nbase_url = "http://127.0.0.1:{model_port}/v1"\n'
        f'model = "mock"\nslots = 64\n[kinds.event]\nschema = "event.schema.json"\n'
    )


def request_of(prompt: str, kind: str = "event") -> bytes:
    """Write the request of one session."""
    body = json.dumps({"kind": kind, "prompt": prompt}).encode()
    return (
        b"POST /v1/iterate HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )


def model_request(prompt: str) -> bytes:
    """Write what a session asks its model, as a client that calls the model itself sends it."""
    named = {"name": "artifact", "schema": SCHEMA, "strict": False}
    body = json.dumps(
        {
            "model": "mock",
            "messages": [{"role": "user", "content": prompt}],
            "response_format": {"type": "json_schema", "json_schema": named},
        }
    ).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )
