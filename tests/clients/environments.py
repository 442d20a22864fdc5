"""Installs the clients of `versions.toml`: a Python environment for each set, one node_modules.

They stand in `.clients`, beside our own environment, and are made again when their versions change.
Nothing that an index tells is kept: no lock file, no address.
"""

import hashlib
import json
import platform
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
VERSIONS = Path(__file__).with_name("versions.toml")
PROGRAMS = Path(__file__).with_name("programs")
HOME = ROOT / ".clients"
INSTALL_S = 900


class Versions(NamedTuple):
    """The clients by number, and the day whose packages they depend on."""

    as_of: str
    python: dict[str, list[str]]  # the requirements of each environment
    node: dict[str, str]


def pinned() -> Versions:
    """Read `versions.toml`."""
    return Versions(**tomllib.loads(VERSIONS.read_text("utf-8")))


def installed(environments: Sequence[str]) -> None:
    """Make the named environments (`node`, or a Python set) where they are missing or old."""
    versions = pinned()
    for name in environments:
        wanted = versions.node if name == "node" else versions.python[name]
        mark = HOME / name / "installed.sha256"
        said = json.dumps([versions.as_of, wanted, sys.version if name != "node" else ""])
        digest = hashlib.sha256(said.encode()).hexdigest()
        if mark.exists() and mark.read_text() == digest:
            continue
        begun = time.monotonic()
        shutil.rmtree(HOME / name, ignore_errors=True)
        if name == "node":
            _install_node(versions)
        else:
            _install_python(HOME / name, versions.python[name], versions.as_of)
        mark.write_text(digest)
        print(f"installed {name} in {time.monotonic() - begun:.0f} s", flush=True)


def interpreter(environment: str) -> str:
    """Give the path of an environment's Python, or of Node."""
    if environment != "node":
        return str(HOME / environment / "bin" / "python")
    return str(HOME / "node" / "node_modules" / _node_package() / "bin" / "node")


def command(environment: str, program: str) -> list[str]:
    """Give the command that runs a program of ours with the clients of an environment."""
    if environment != "node":
        return [interpreter(environment), "-m", f"clients.programs.{program}"]
    # Under its name in the environment, a program finds the node_modules beside it.
    linked = HOME / "node" / "programs" / f"{program}.mjs"
    return [interpreter("node"), "--preserve-symlinks", "--preserve-symlinks-main", str(linked)]


def _install_python(home: Path, requirements: list[str], as_of: str) -> None:
    uv = str(Path(sys.executable).parent / "uv")
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(home)])
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--exclude-newer", as_of]
    _run([*install, "--python", str(home / "bin" / "python"), *requirements])


def _install_node(versions: Versions) -> None:
    if shutil.which("npm") is None:
        sys.exit("`npm` is not on this machine. Install it, on Debian with: apt-get install npm")
    home = HOME / "node"
    home.mkdir(parents=True)
    clients = {name: number for name, number in versions.node.items() if name != "node"}
    packages = clients | {_node_package(): versions.node["node"]}
    package = {"private": True, "dependencies": packages}
    (home / "package.json").write_text(json.dumps(package))
    quiet = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    # npm takes a day as its first moment: without the time, what was published on it is missing.
    before = f"--before={versions.as_of}T23:59:59Z"
    _run(["npm", "install", "--omit=dev", *quiet, before], home)
    (home / "programs").symlink_to(PROGRAMS)


def _node_package() -> str:
    """Name the package that has Node itself for this machine."""
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"node-{platform.system().lower()}-{machine}"


def _run(words: list[str], directory: Path = ROOT) -> None:
    done = subprocess.run(
        words, cwd=directory, stdin=subprocess.DEVNULL, check=False, timeout=INSTALL_S
    )
    if done.returncode:
        sys.exit(f"`{' '.join(words[:3])} …` failed with {done.returncode}")


if __name__ == "__main__":
    installed(sys.argv[1:] or [*pinned().python, "node"])
