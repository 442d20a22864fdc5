"""Arize Phoenix, an OTLP receiver that is not ours: installed from its own pinned requirements.

Its environment is made once, beside ours, and made anew when the requirements change. Phoenix is
a tool of this test only; nothing of it is shipped.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.stack import free_port

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements" / "phoenix.txt"
ENVIRONMENT = ROOT / ".venv-phoenix"
START_S = 180.0


def installed() -> Path:
    """Make the environment where it is missing or old; give its `phoenix` command."""
    mark = ENVIRONMENT / "installed.sha256"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if not mark.exists() or mark.read_text() != digest:
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", ENVIRONMENT], check=True)
        python = ENVIRONMENT / "bin" / "python"
        install = [uv, "pip", "install", "--quiet", "--require-hashes", "--python", str(python)]
        subprocess.run([*install, "-r", str(REQUIREMENTS)], check=True)
        mark.write_text(digest)
    return ENVIRONMENT / "bin" / "phoenix"


class Phoenix:
    """One running Phoenix."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def spans(self, trace_id: str) -> list[dict[str, Any]]:
        """Ask for the spans of a trace, as OTLP; none while the project does not exist yet."""
        path = f"/v1/projects/default/spans/otlpv1?trace_id={trace_id}&limit=1000"
        try:
            with urllib.request.urlopen(self.url + path, timeout=60) as answer:
                data: list[dict[str, Any]] = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return []
        return data


@contextlib.contextmanager
def phoenix(directory: Path) -> Iterator[Phoenix]:
    """Run Phoenix on a free port of loopback, with its database in `directory`."""
    command = installed()
    port = free_port()
    environment = {
        **os.environ,
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_WORKING_DIR": str(directory),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    output = directory / "phoenix.txt"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [command, "serve"], stdout=out, stderr=subprocess.STDOUT, env=environment
        )
    try:
        _wait_until_up(process, port, output)
        yield Phoenix(port)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_up(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5),
        ):
            return
        time.sleep(0.2)
    raise AssertionError(f"Phoenix did not start:\n{output.read_text('utf-8', 'replace')}")
