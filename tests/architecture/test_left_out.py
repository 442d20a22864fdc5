"""What `make test` and `make parity` leave out is said, and fails continuous integration."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools" / "run_parity.py"


def told(path: Path, *tools: str, ci: bool) -> subprocess.CompletedProcess[str]:
    """Run it on a machine that has these tools and no others."""
    path.mkdir()
    for tool in tools:
        (path / tool).write_text("#!/bin/sh\n")
        (path / tool).chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {"PATH": str(path)} | ({"CI": "true"} if ci else {})
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--tell"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_runtime_without_its_tools_is_named(tmp_path: Path):
    """Elsewhere that is no failure."""
    done = told(tmp_path / "bin", "go", "node", ci=False)
    assert done.returncode == 0
    assert "LEFT OUT: rust, because `cargo` is not on this machine" in done.stdout
    assert done.stdout.count("LEFT OUT") == 1


def test_in_continuous_integration_it_fails(tmp_path: Path):
    """Whatever is missing."""
    for tool, others in [
        ("cargo", ("go", "node")),
        ("go", ("cargo", "node")),
        ("node", ("cargo", "go")),
    ]:
        done = told(tmp_path / tool, *others, ci=True)
        assert done.returncode == 1
        assert f"`{tool}` is not on this machine" in done.stdout
        assert "leaves nothing out" in done.stderr


def test_with_all_tools_nothing_is_left_out(tmp_path: Path):
    """And the tests of the other languages are named all the same."""
    done = told(tmp_path / "bin", "cargo", "go", "node", ci=True)
    assert done.returncode == 0
    assert "LEFT OUT" not in done.stdout
    assert "`make parity` tests rust, go, node" in done.stdout


def test_continuous_integration_runs_it():
    """Under a name that every tool knows it by."""
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines.index("export CI=true") < lines.index("make test") < lines.index("make parity")
