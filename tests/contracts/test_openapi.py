"""The public door holds what its OpenAPI document says; who asks has read nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.stack import SCRIPTED, running_stack

CONFIG = (
    SCRIPTED
    + """
[kinds.event]
schema = "event.schema.json"
"""
)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SCRIPT = {"matches": {"": ['{"city": "Bergen"}']}}
# It holds that a body which fits the schema is accepted; but nobody can know a kind by its name.
LEFT_OUT = "positive_data_acceptance"


@pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
@pytest.mark.timeout(600)
def test_schemathesis_finds_nothing(tmp_path: Path, apart: bool):
    """Statuses, bodies, headers and refusals, of good input and bad; and it survives it all."""
    (tmp_path / "event.schema.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    with running_stack(tmp_path, CONFIG, apart=apart) as processes:
        port = processes["gateway"].port
        command = [sys.executable, "-m", "schemathesis.cli", "--no-color", "run"]
        command += [f"http://127.0.0.1:{port}/openapi.json", "--phases=coverage,fuzzing"]
        command += ["--checks=all", f"--exclude-checks={LEFT_OUT}", "--continue-on-failure"]
        command += ["--max-examples=30", "--generation-deterministic", "--warnings=off"]
        done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
