"""A really full file system, for one script: a tmpfs that only the script's processes see."""

import os
import subprocess
import sys
from pathlib import Path

_BEGIN = """
import errno, json, os, subprocess, sys
from pathlib import Path

disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={sys.argv[2]}", "none", disk], check=True)


def fill():
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 16, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC
    return ballast


def command(*arguments, cwd=disk):
    return subprocess.run(
        [sys.executable, "-m", "lakehouse", *arguments],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=100,
    )
"""


def on_small_disk(directory: Path, size: str, script: str) -> str:
    """Run a script with `disk` mounted, and `fill` and `command` to call; what it printed."""
    directory.mkdir(exist_ok=True)
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    ended = subprocess.run(
        [
            *("unshare", "--mount", *user, "--", sys.executable, "-c", _BEGIN + script),
            *(str(directory), size),
        ],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
