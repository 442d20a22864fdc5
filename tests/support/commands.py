"""The command as a user runs it, in a project with a scripted model."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.forked_commands import run_command
from support.stack import SCRIPTED

CONFIG = (
    SCRIPTED
    + """
[kinds.city]
schema = "city.schema.json"
"""
)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SCRIPT = {
    "matches": {
        "prose": ["No."],
        "outage": [{"error": "upstream_malformed"}],
        "slow": [{"text": '{"city": "Oslo"}', "delay_ms": 700}],
        ".": ['{"city": "Oslo"}'],
    }
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "lakehouse.toml").write_text(CONFIG)
    (tmp_path / "city.schema.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    return tmp_path


def lakehouse(directory: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = run_command(
        arguments,
        cwd=directory,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def run(directory: Path, *, code: int, extra: tuple[str, ...] = ()) -> str:
    arguments = ("--kind", "city", "--input", "in.csv", "--column", "text", "--output", "out.jsonl")
    return lakehouse(directory, "run", *arguments, *extra, code=code).stdout


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_inputs(directory: Path, *texts: str) -> None:
    body = "".join(f'{number},"{text}"\n' for number, text in enumerate(texts))
    (directory / "in.csv").write_text("id,text\n" + body)
