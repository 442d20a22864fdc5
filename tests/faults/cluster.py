"""A replay on a Ray cluster of a head and two workers, in a network that is loopback alone.

Run by test_cluster.py inside namespaces of its own: nothing of the cluster can be reached from
outside, and all of it ends with the first process. Prints one JSON object: what was seen.

Usage: python cluster.py killed|in_object_store DIRECTORY
"""

import contextlib
import fcntl
import json
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from faults.oracle import wait_until
from lakehouse.core.row_codec import decode_replay_run, decode_row
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.layout import REPLAY_RUNS
from lakehouse.sessionlog.reading.reader import read_rows
from lakehouse.sessionlog.shared_file import whole_lines
from support.faulty_store import BUCKET, object_store

PORT = 26379
SIOCSIFFLAGS = 0x8914
IFF_UP_RUNNING = 0x1 | 0x40
WAIT_S = 240.0  # of everything on a busy machine; a Ray cluster takes half a minute to start
RAY = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
NODE = ["--node-ip-address=127.0.0.1", "--object-store-memory=100000000"]


def raise_loopback() -> list[str]:
    """Set `lo` up; gives the names of all interfaces there are."""
    with socket.socket() as any_socket:
        request = struct.pack("16sh", b"lo", IFF_UP_RUNNING)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, request)
    return [name for _, name in socket.if_nameindex()]


def start(directory: Path, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    output = (directory / f"{name}.txt").open("wb")
    return subprocess.Popen([*RAY, *NODE, *arguments], stdout=output, stderr=subprocess.STDOUT)


def head_answers() -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORT), 1):
        return True
    return False


def replay(directory: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lakehouse", "replay", "--engine", "ray", *arguments]
    return subprocess.Popen(
        command,
        cwd=directory,
        env={**os.environ, "RAY_ADDRESS": f"127.0.0.1:{PORT}", **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_id_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("run "):
            return line.split()[1].rstrip(":")
    raise AssertionError("the replay did not begin")


def _says_started(output: Path) -> bool:
    return b"Ray runtime started" in output.read_bytes()


def start_cluster(directory: Path) -> None:
    """Start a head without work and two workers; whoever has the token may use them.

    One after the other: two nodes of one machine that start together choose the same names for
    their sockets, and both die of it.
    """
    head = ["--head", f"--port={PORT}", "--num-cpus=0", "--include-dashboard=false"]
    start(directory, "head", *head)
    wait_until(head_answers, "the head", within_s=WAIT_S)
    for name in ("worker-1", "worker-2"):
        start(directory, name, f"--address=127.0.0.1:{PORT}", "--num-cpus=1")
        started = partial(_says_started, directory / f"{name}.txt")
        wait_until(started, name, within_s=WAIT_S)


def written(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def killed(directory: Path) -> dict[str, object]:
    """Kill the driver in the middle, resume, and let a stranger try."""
    start_cluster(directory)
    process = replay(directory, "--model", "new")
    run_id = run_id_of(process)
    lines = directory / "log" / "replay_runs.jsonl"
    until = time.monotonic() + WAIT_S
    while not written(lines) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done_at_kill = lines.read_bytes().count(b'"run_id"') if lines.exists() else 0

    resumed = replay(directory, "--resume", run_id)
    _, errors = resumed.communicate(timeout=WAIT_S)
    stranger = replay(directory, "--model", "new", RAY_AUTH_TOKEN=secrets.token_hex(32))
    _, refusal = stranger.communicate(timeout=WAIT_S)
    return {
        "killed": process.returncode,
        "done_at_kill": done_at_kill,
        "run_id": run_id,
        "resumed": resumed.returncode,
        "errors": errors[-2000:],
        "stranger": stranger.returncode,
        "refusal": refusal[-2000:],
    }


def in_object_store(directory: Path) -> dict[str, object]:
    """Replay a log whose rows lie in an object store alone, and judge them again."""
    root = directory / "log"
    with pytest.MonkeyPatch.context() as patched, object_store(patched):
        seal(root)
        compact(root, table=f"s3://{BUCKET}/table", retention_h=0)
        on_disk = len(list((root / "sealed").glob("*.jsonl")))
        start_cluster(directory)
        ends = []
        for arguments in (["--model", "new"], ["--rejudge"]):
            process = replay(directory, *arguments)
            _, errors = process.communicate(timeout=WAIT_S)
            ends.append((process.returncode, errors[-2000:]))
        rows = [decode_row(line) for line in read_rows(root)]
        return {
            "on_disk": on_disk,
            "ends": ends,
            "lines": [decode_replay_run(line).row_id for line in whole_lines(root / REPLAY_RUNS)],
            "originals": [row.row_id for row in rows if row.daemon != "replay"],
            "models": sorted(row.model for row in rows if row.daemon == "replay"),
        }


def main() -> None:
    os.environ |= {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    interfaces = raise_loopback()
    seen = {"killed": killed, "in_object_store": in_object_store}[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps({"interfaces": interfaces, **seen}), flush=True)


if __name__ == "__main__":
    main()
