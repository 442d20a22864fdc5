"""The runtimes under test: our own, and those that `make parity` built and named.

`LAKEHOUSE_RUNTIMES` names them (`go rust`); a helper that is named and not there fails the test.
"""

import os
import sys
from pathlib import Path

from lakehouse.parity.fixtures import Fixture, Suite
from lakehouse.parity.peers import HelperPeer, PeerOutcome

ROOT = Path(__file__).parents[2]
WRITERS = {
    "go": ROOT / "sdk" / "go" / "bin" / "session-log-helper",
    "rust": ROOT / "sdk" / "rust" / "target" / "release" / "session-log-helper",
}
VALIDATORS = {"go": ROOT / "sdk" / "go" / "bin" / "validator-helper"}
NAMES = tuple(os.environ.get("LAKEHOUSE_RUNTIMES", "go rust").split())
_OWN = [sys.executable, "-m", "lakehouse.cli.parity_helper"]


def writer(name: str) -> Path:
    """Give the program of a runtime that appends rows, and speaks for its `session_log`."""
    path = WRITERS[name]
    assert path.exists(), f"{path} is not built: make parity"
    return path


def outcomes(suite: Suite, inputs: list[bytes]) -> dict[str, list[PeerOutcome]]:
    """Ask every runtime of a suite for every input."""
    asked = [
        Fixture(f"n{number}", suite, "extended", "generated", data, None)
        for number, data in enumerate(inputs)
    ]
    commands = {"python": _OWN}
    if suite == "session_log":
        commands |= {name: [str(writer(name))] for name in NAMES}
    else:
        commands |= {name: [str(VALIDATORS[name])] for name in NAMES if name in VALIDATORS}
    return {
        name: HelperPeer(name, command, suites=(suite,)).answers(asked)
        for name, command in commands.items()
    }
