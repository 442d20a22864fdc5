"""Runs what a page of the documentation tells its reader to do, as one script of the shell."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from support.stack import free_port

PORTS = ("4110", "4111", "4112")
SCRIPT_S = 300  # far more than a page takes: the machine may be busy


class Ran(NamedTuple):
    """How a script ended."""

    code: int
    out: str
    err: str


def sh(directory: Path, script: str) -> Ran:
    """Run a script on ports of its own; its whole process group has ended when this returns."""
    ports = [str(free_port()) for _ in PORTS]
    for documented, port in zip(PORTS, ports, strict=True):
        script = script.replace(f":{documented}", f":{port}")
    ours = ("LAKEHOUSE_", "LANGFUSE_", "OTEL_")
    inherited = {name: v for name, v in os.environ.items() if not name.startswith(ours)}
    environment = {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LAKEHOUSE_GATEWAY__LISTEN": f"127.0.0.1:{ports[0]}",
    }
    # Files, not pipes: a daemon in the background would hold a pipe open.
    out, err = directory / ".stdout", directory / ".stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            code = shell.wait(SCRIPT_S)
        finally:
            end_group(shell)
    return Ran(code, out.read_text("utf-8"), err.read_text("utf-8"))


def end_group(shell: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the script: its group was made for it and holds nothing else."""
    try:
        os.killpg(shell.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # The shell has been waited for, and it left nothing in the background.
    finally:
        shell.wait(SCRIPT_S)
