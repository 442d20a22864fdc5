"""What `lakehouse up` loads to start, and what it loads only when it is asked for."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from support.commands import CONFIG, SCHEMA
from support.stack import untraced

# A start needs none of these; each takes time and memory from it.
NOT_AT_START = {
    "typer": "the usual command line is read without it; it loads Pydantic to read an option",
    "pydantic": "only types of Pydantic need it",
    "rich": "only commands draw tables",
    "lakehouse.ui.application": "made for the first request of a page",
    "starlette": "only pages",
    "jinja2": "only pages",
    "prometheus_client": "only a scrape; it brings an HTTP server and a client",
    "duckdb": "only SQL rules, tables and queries",
    "pyarrow": "only tables, and bodies with a content coding",
    "numpy": "only reports of replays",
    "deltalake": "only Delta tables",
    "rapidfuzz": "only an unknown name, and values near to an answer's",
    "json_repair": "only an answer that is no JSON",
    "xllamacpp": "only the embedded model",
    "lakehouse.tracing.tracer": "only with a receiver of traces",
    "lakehouse.grounding.tables": "only tables and SQL rules",
    "importlib.metadata": "nothing of ours asks which packages there are",
}
LOADED_BY = {
    "/livez": set[str](),
    "/ui": {"lakehouse.ui.application", "starlette", "jinja2"},
    "/metrics": {"prometheus_client"},
}


def loaded_after(directory: Path, *paths: str) -> set[str]:
    """Start it, ask for these, end it; gives those of `NOT_AT_START` that it had loaded."""
    code = (
        "import atexit, json, sys; sys.argv = ['lakehouse', 'up']\n"
        f"names = {list(NOT_AT_START)}\n"
        "loaded = lambda: print(json.dumps([name for name in names if name in sys.modules]))\n"
        "atexit.register(loaded)\n"
        "from lakehouse.__main__ import main\n"
        "main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=directory,
        env=untraced(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            assert "is listening at" in said, said + process.stdout.read()
            url = said.partition("is listening at ")[2].split()[0]
            for path in paths:
                with urllib.request.urlopen(url + path, timeout=60) as answer:
                    assert answer.status == 200
        finally:
            process.terminate()
        rest = process.stdout.read()
        assert process.wait(60) == 0, rest
    return set(json.loads(rest.splitlines()[-1]))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    listen = '[gateway]\nlisten = "127.0.0.1:0"\n'
    (tmp_path / "lakehouse.toml").write_text(listen + CONFIG)
    (tmp_path / "city.schema.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "script.json").write_text('["{}"]')
    return tmp_path


@pytest.mark.parametrize("path", LOADED_BY)
def test_a_start_loads_only_what_it_needs(project: Path, path: str) -> None:
    """A path's request loads what it needs, so the names of this test are those of the modules."""
    assert loaded_after(project, path) == LOADED_BY[path]
