"""The Go helpers, built from the source tree."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

GO_MODULE = Path(__file__).parents[2] / "sdk" / "go"


def built_go_helpers(directory: Path) -> Path:
    """Build both helpers into `directory`, and give it.

    Without Go the test says that it was left out; where CI runs, that is a failure.
    """
    go = shutil.which("go")
    if go is None:
        reason = "Go is not installed: what its runtime does was left out"
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    done = subprocess.run(
        [go, "build", "-o", f"{directory}{os.sep}", "./cmd/..."],
        cwd=GO_MODULE,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return directory
