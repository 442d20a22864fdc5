"""Measures what an installation takes on the disk, package by package, without and with each extra.

    python tools/measure_install.py

Each is installed by pip from this checkout into a new environment without pip: what an index gives
that day. Prints Markdown for docs/reference/installation.md. Sizes are those of `du`, in MB of a
million bytes, compiled modules included, for this machine's platform.
"""

import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_LISTED_MIN_MB: Final = 5.0


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    alone = _measured("")
    print(f"Python {sys.version.split()[0]}, {sysconfig.get_platform()}\n")
    print("| package | MB |\n| --- | ---: |")
    listed = {name: mb for name, mb in alone.items() if mb >= _LISTED_MIN_MB}
    for name, mb in sorted(listed.items(), key=lambda item: -item[1]):
        print(f"| {name} | {mb:.0f} |")
    rest = sum(alone.values()) - sum(listed.values())
    print(f"| {len(alone) - len(listed)} others | {rest:.0f} |")
    print(f"| **together** | **{sum(alone.values()):.0f}** |\n")
    print("| extra | adds, MB | most of it |\n| --- | ---: | --- |")
    for extra in project["optional-dependencies"]:
        found = _measured(extra)
        added = {name: mb for name, mb in found.items() if name not in alone}
        most = sorted(added.items(), key=lambda item: -item[1])[:4]
        told = ", ".join(f"{name} {mb:.0f}" for name, mb in most)
        print(f"| `{extra}` | {sum(added.values()):.0f} | {told} |", flush=True)


def _measured(extra: str) -> dict[str, float]:
    """Install into a new environment; the MB of each distribution, by name and version."""
    with tempfile.TemporaryDirectory() as scratch:
        venv.create(scratch, with_pip=False)
        python = Path(scratch) / "bin" / "python"
        target = f"{ROOT}[{extra}]" if extra else str(ROOT)
        subprocess.run(
            (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", target),
            check=True,
        )
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = Path(scratch) / "lib" / version / "site-packages"
        return {
            f"{found.name} {found.version}": _size_mb(found)
            for found in distributions(path=[str(packages)])
        }


def _size_mb(found: Distribution) -> float:
    files = (Path(str(found.locate_file(file))) for file in found.files or ())
    return sum(file.stat().st_blocks * 512 for file in files if file.is_file()) / 1e6


if __name__ == "__main__":
    main()
