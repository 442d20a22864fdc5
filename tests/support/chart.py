"""The Helm chart as it is rendered, and values that it must refuse.

`make chart` builds Helm and writes what it renders into tests/deploy/rendered, for the tests that
have no Helm.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.containerfile import ROOT

CHART = ROOT / "deploy" / "helm" / "lakehouse"
TARGET = ROOT / "tests" / "deploy" / "rendered"
KUBERNETES = "1.34.0"
HELM = shutil.which("helm", path=ROOT / ".helm")
# Values that would give what cannot work, by what is wrong with them.
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("no keys", {"apiKeys": {"entries": [], "existingSecret": ""}}),
    ("keys twice", {"apiKeys": {"entries": ["a:" + "0" * 64], "existingSecret": "mine"}}),
    ("a caller's half as a key", {"apiKeys": {"entries": ["lk_secret"], "existingSecret": ""}}),
    ("no API keys in the configuration", {"config": '[log]\npath = "log"\n'}),
    ("no workers", {"workers": 0}),
    ("an unknown value", {"replicaCount": 2}),
    ("a size without a unit", {"tmpSize": "1000"}),
    ("metrics without a key", {"serviceMonitor": {"enabled": True}}),
    ("a path as a file's name", {"files": {"schemas/city.json": "{}"}}),
]


def digest() -> str:
    """Name the chart's files by their content: a rendering of others is out of date."""
    found = hashlib.sha256()
    for file in sorted(path for path in CHART.rglob("*") if path.is_file()):
        found.update(
            file.relative_to(CHART).as_posix().encode() + b"\0" + file.read_bytes() + b"\0"
        )
    return found.hexdigest()


def helm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run helm; its exit code is the caller's to judge."""
    if HELM is None:
        sys.exit("helm is not here: `make chart` builds it")
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, check=False)


def rendered(values: Path) -> str:
    """Render the chart with a file of values, as release `test` in the namespace `default`."""
    done = helm(
        "template", "test", str(CHART), "--kube-version", KUBERNETES, "--values", str(values)
    )
    if done.returncode:
        sys.exit(done.stderr)
    return f"# Of the chart with sha256 {digest()}\n{done.stdout}"


if __name__ == "__main__":
    for values in sorted((CHART / "ci").glob("*.yaml")):
        (TARGET / values.name).write_text(rendered(values))
