"""Rows, attempts and findings as JSON texts, each with a plain one to begin from."""

from parity_cases.case import Case, obj, sealed

DIGEST = '"sha256:' + "0a" * 32 + '"'
SHA256 = "5f" * 32

ROW = {
    "schema": '"session.iterate.v1"',
    "session_id": '"019ab3c4d5e67f8091a2b3c4d5e6f708"',
    "trace_id": '"019ab3c4d5e67f8091a2b3c4d5e6f708"',
    "row_id": '"019ab3c4d5e77a1c8d3e4f5061728394"',
    "timestamp": '"2026-03-01T08:15:30.000250Z"',
    "daemon": '"validatord"',
    "kind": '"airport_event"',
    "model": '"smollm2-135m-instruct"',
    "model_alias": '"small"',
    "provider": '"llama_cpp"',
    "prompt": '"LIS: late"',
    "messages": "null",
    "system": "null",
    "max_iterations": "3",
    "settings": (
        '{"constrain":"auto","temperature":null,"max_tokens":256,"seed":null,"deadline_ms":120000}'
    ),
    "inline_schema": "null",
    "verdict": '"accepted"',
    "iterations": "1",
    "accepted_iteration": "0",
    "grounded": "null",
    "artifact": '{"airport":"LIS"}',
    "attempts": "[]",
    "error": "null",
    "usage": '{"prompt_tokens":187,"completion_tokens":41}',
    "duration_ms": "412",
    "conversation_id": "null",
    "metadata": "{}",
    "trace_id_replaced": "false",
    "config_digest": DIGEST,
    "kind_digest": DIGEST,
    "tables": "{}",
}
SETTINGS = {
    "constrain": '"auto"',
    "temperature": "null",
    "max_tokens": "256",
    "seed": "null",
    "deadline_ms": "120000",
}
ATTEMPT = {
    "iteration": "0",
    "outcome": '"rejected"',
    "findings": "[]",
    "told": "null",
    "output": '"It is late."',
    "thinking": "null",
    "artifact": "null",
    "repairs": "[]",
    "finish_reason": '"stop"',
    "usage": '{"prompt_tokens":187,"completion_tokens":41}',
    "duration_ms": "405",
    "span_id": '"b7ad6b7169203331"',
}
FINDING = {"code": '"schema"', "path": '""', "message": '"no"'}
MARKER = {"truncated": "true", "bytes": "70001", "sha256": f'"{SHA256}"'}


def body(more: str = "", /, **changes: str) -> str:
    """Write a row without `crc` and closing brace; members that are new come last, then `more`."""
    return obj({**ROW, **changes})[:-1] + more


def row(more: str = "", /, **changes: str) -> str:
    """Write a whole row, with its `crc`."""
    return sealed(body(more, **changes))


def settings(more: str = "", /, **changes: str) -> str:
    """Write the settings of a row."""
    return obj({**SETTINGS, **changes})[:-1] + more + "}"


def attempt(more: str = "", /, **changes: str) -> str:
    """Write one attempt."""
    return obj({**ATTEMPT, **changes})[:-1] + more + "}"


def finding(more: str = "", /, **changes: str) -> str:
    """Write one finding."""
    return obj({**FINDING, **changes})[:-1] + more + "}"


def usage(prompt: str, completion: str) -> str:
    """Write a usage."""
    return obj({"prompt_tokens": prompt, "completion_tokens": completion})


def marker(more: str = "", /, **changes: str) -> str:
    """Write the marker of a value that was cut."""
    return obj({**MARKER, **changes})[:-1] + more + "}"


def after(text: str, name: str, more: str) -> str:
    """Put members right behind the one called `name`, whose value is a string, number or null."""
    at = text.index(f'"{name}":') + len(name) + 3
    inside = escaped = False
    for place in range(at, len(text)):
        mark = text[place]
        if not inside and mark in ",}":
            return text[:place] + more + text[place:]
        inside = inside != (mark == '"' and not escaped)
        escaped = inside and mark == "\\" and not escaped
    raise ValueError(f"{name} has no end")


def same(name: str, about: str, why: str, line: str) -> Case:
    """Make a fixture of a row that must come back as it is."""
    return Case(name, about, why, line, line)


def turned(name: str, about: str, why: str, came: str, goes: str) -> Case:
    """Make a fixture of a row that must come back in our form."""
    return Case(name, about, why, came, goes)


def refused(name: str, about: str, why: str, came: str | bytes) -> Case:
    """Make a fixture of bytes that may not be a row."""
    return Case(name, about, why, came, None)
