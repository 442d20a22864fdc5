"""A run that outages stop says what the cause was, where, and what to do."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from support.forked_commands import run_command
from support.stack import free_port, running_stack, untraced


def lakehouse(directory: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run_command(
        words,
        cwd=directory,
        env={**untraced(os.environ), **environment},
        timeout=110,
    )


def config(port: int) -> str:
    return (
        '[log]\npath = "log"\n[models.m]\nprovider = "openai"\nmodel = "m"\n'
        f'base_url = "http://127.0.0.1:{port}/v1"\n'
        '[kinds.k]\nschema = "k.schema.json"\n'
    )


@pytest.mark.parametrize("command", ["run", "replay"])
def test_a_stopped_run_names_cause_and_address(tmp_path: Path, command: str) -> None:
    """Twenty outages in a row: exit 3, with the endpoint and the reason."""
    (tmp_path / "k.schema.json").write_text('{"type": "object"}')
    (tmp_path / "in.csv").write_text("text\n" + "".join(f"row {n}\n" for n in range(60)))
    words = ["run", "--kind", "k", "--input", "in.csv", "--column", "text", "--output", "o.jsonl"]
    if command == "replay":
        (tmp_path / "script.json").write_text('["{}"]')
        scripted = (
            '[log]\npath = "log"\n[models.m]\nprovider = "scripted"\nmodel = "m"\n'
            'script = "script.json"\n[kinds.k]\nschema = "k.schema.json"\n'
        )
        (tmp_path / "lakehouse.toml").write_text(scripted)
        assert lakehouse(tmp_path, *words).returncode == 0
        words = ["replay", "--concurrency", "8"]
    port = free_port()
    (tmp_path / "lakehouse.toml").write_text(config(port))

    done = lakehouse(tmp_path, *words)

    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "outages in a row" in done.stderr
    assert f"127.0.0.1:{port}" in done.stderr
    assert "connection refused" in done.stderr or "several times in a row" in done.stderr


def test_a_run_through_a_gateway_names_the_gateway(tmp_path: Path) -> None:
    """The address is that of the gateway, the cause what it answered."""
    (tmp_path / "k.schema.json").write_text('{"type": "object"}')
    (tmp_path / "in.csv").write_text("text\n" + "".join(f"row {n}\n" for n in range(60)))
    with running_stack(tmp_path, config(free_port()), apart=False) as stack:
        url = stack["gateway"].url
        done = lakehouse(
            tmp_path,
            *("run", "--url", url, "--kind", "k", "--input", "in.csv"),
            *("--column", "text", "--output", "o.jsonl"),
        )
    assert done.returncode == 3, done.stderr
    assert url in done.stderr
    assert "connect: " in done.stderr
    assert json.dumps(done.stderr).count("Stopped after") == 1
