"""Builds the runtimes, runs their own tests, and compares them: what `make parity` does.

A runtime whose tools are not on this machine is left out, and the end says so. In continuous
integration (`CI` is set) that is a failure.

python tools/run_parity.py [--tell]     --tell: only say what would be left out
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
NODE_HELPER = "node examples/node_runtime/session_log_helper.mjs"


class Runtime(NamedTuple):
    """One language: what it needs, how it is built and tested, and its helpers."""

    name: str
    tool: str
    directory: str
    commands: list[list[str]]
    peers: list[str]


RUNTIMES = [
    Runtime(
        "rust",
        "cargo",
        "sdk/rust",
        # Tests in the release profile, so that dependencies are compiled once.
        [["cargo", "build", "--release", "--quiet"], ["cargo", "test", "--release", "--quiet"]],
        ["rust:session_log=sdk/rust/target/release/session-log-helper"],
    ),
    Runtime(
        "go",
        "go",
        "sdk/go",
        [
            ["go", "build", "-o", "bin/", "./cmd/..."],
            ["go", "vet", "./..."],
            ["go", "test", "./..."],
        ],
        [
            "go:session_log=sdk/go/bin/session-log-helper",
            "go:validator=sdk/go/bin/validator-helper",
        ],
    ),
    Runtime("node", "node", "examples/node_runtime", [], [f"node:session_log={NODE_HELPER}"]),
]


def run(command: list[str], directory: Path, **environment: str) -> None:
    """Run one step; the run ends where a step fails."""
    print(f"$ {' '.join(command)}    ({directory.relative_to(ROOT)})", flush=True)
    begun = time.monotonic()
    done = subprocess.run(command, cwd=directory, env={**os.environ, **environment}, check=False)
    print(f"  {time.monotonic() - begun:.0f} s", flush=True)
    if done.returncode:
        sys.exit(done.returncode)


def tell(missing: list[Runtime]) -> None:
    """Say plainly what was not run; in continuous integration nothing may be."""
    for runtime in missing:
        print(f"LEFT OUT: {runtime.name}, because `{runtime.tool}` is not on this machine")
    if missing and os.environ.get("CI"):
        sys.exit("continuous integration leaves nothing out")


def main() -> None:
    """Build, test, compare."""
    missing = [runtime for runtime in RUNTIMES if shutil.which(runtime.tool) is None]
    found = [runtime for runtime in RUNTIMES if runtime not in missing]
    if "--tell" in sys.argv[1:]:
        names = ", ".join(runtime.name for runtime in RUNTIMES)
        print(f"Python alone was tested. `make parity` tests {names}, and compares them.")
        tell(missing)
        return
    for runtime in found:
        for command in runtime.commands:
            run(command, ROOT / runtime.directory)
    peers = [word for runtime in found for peer in runtime.peers for word in ("--peer", peer)]
    known = ["--known", "spec/v1/parity/known_failures.json"]
    run([str(BIN / "lakehouse"), "parity", *peers, *known, "--html", "parity.html"], ROOT)
    writers = " ".join(runtime.name for runtime in found if runtime.directory.startswith("sdk/"))
    tests = [str(BIN / "python"), "-m", "pytest", "tests/parity"]
    run(tests, ROOT, LAKEHOUSE_RUNTIMES=writers)
    tell(missing)


if __name__ == "__main__":
    main()
