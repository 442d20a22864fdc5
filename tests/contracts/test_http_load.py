"""A real daemon under callers that take its descriptors or its memory."""

import contextlib
import socket
from pathlib import Path

import pytest

from lakehouse.core.limits import PAGE_BYTES_MAX
from support.dead_writer import dead_writer
from support.forked_commands import run_command
from support.metrics import queue_depth
from support.rows import make_row
from support.stack import SCRIPTED, Process, call, running_stack
from support.waiting import wait_until

DESCRIPTORS = 160
ASK = {"schema": {"type": "object"}, "prompt": "x"}
MIB = 1 << 20
PATIENCE_S = 240.0  # sixty pages of megabytes, on a busy machine


def descriptors_of(process: Process) -> int:
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def memory_bytes(process: Process, name: str) -> int:
    """Read `VmRSS` or `VmHWM`, the most it ever was."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) << 10
    raise AssertionError(name)


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
        b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"POST /v1/iterate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{",
    ],
    ids=["silent", "half a head", "idle", "half a body"],
)
def test_more_callers_than_descriptors_do_not_stop_the_work(tmp_path: Path, begun: bytes) -> None:
    """Sessions are answered and written while they hold on; the log's own descriptors are there."""
    limited = ["sh", "-c", f'ulimit -n {DESCRIPTORS} && exec "$@"', "sh"]
    (tmp_path / "script.json").write_text('{"matches": {"": ["{}"]}}')
    with (
        running_stack(tmp_path, SCRIPTED, apart=False, wrapped=limited) as processes,
        contextlib.ExitStack() as stack,
    ):
        gateway = processes["gateway"]
        callers = []
        for _ in range(2 * DESCRIPTORS):
            caller = socket.create_connection(("127.0.0.1", gateway.port), timeout=60)
            stack.callback(caller.close)
            with contextlib.suppress(ConnectionError):
                caller.sendall(begun)
            callers.append(caller)
        assert descriptors_of(gateway) < DESCRIPTORS
        for _ in range(5):
            answer = call(gateway.port, "POST", "/v1/iterate", ASK)
            assert (answer.status, answer.json()["verdict"]) == (200, "accepted")
        listed = call(gateway.port, "GET", "/v1/sessions").json()["sessions"]
        assert len(listed) == 5
        reap = run_command(["log", "reap"], cwd=tmp_path, timeout=60)
        assert reap.returncode == 0, reap.stderr
        output = gateway.output.read_text()
        assert "Too many open files" not in output
        assert "Traceback" not in output


@pytest.mark.timeout(600)
def test_callers_that_do_not_read_cost_no_memory(tmp_path: Path) -> None:
    """Sixty of them ask for all of a log of 60 MB, in pages and session by session."""
    rows = [make_row(session_id=f"s{number % 3}", prompt="x" * MIB) for number in range(60)]
    dead_writer(tmp_path / "log", rows=rows)
    (tmp_path / "script.json").write_text('{"matches": {"": ["{}"]}}')
    with (
        running_stack(tmp_path, SCRIPTED, apart=False) as processes,
        contextlib.ExitStack() as stack,
    ):
        gateway = processes["gateway"]
        page = call(gateway.port, "GET", "/v1/sessions?limit=200")
        assert MIB < len(page.body) <= PAGE_BYTES_MAX + 1_000
        assert page.json()["next"]
        whole = call(gateway.port, "GET", "/v1/sessions/s1")
        assert MIB < len(whole.body) <= PAGE_BYTES_MAX + 1_000
        assert whole.json()["next"]
        before = memory_bytes(gateway, "VmHWM")
        callers = []
        for number in range(60):
            caller = socket.socket()
            stack.callback(caller.close)
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            caller.connect(("127.0.0.1", gateway.port))
            path = "/v1/sessions?limit=200" if number % 2 else f"/v1/sessions/s{number % 3}"
            caller.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            callers.append(caller)
        begun: set[int] = set()

        def made() -> bool:
            # A caller may be let go before the last page is made: what it got is noted meanwhile.
            begun.update(n for n, caller in enumerate(callers) if _begins_with_200(caller))
            return len(begun) > 10 and queue_depth(gateway.port, "requests") == 1

        # Pages are made in turn: when this one has come, those before it were begun.
        page = call(gateway.port, "GET", "/v1/sessions?limit=200", timeout_s=PATIENCE_S)
        assert page.status == 200
        wait_until(made, lambda: f"an end of making pages; {len(begun)} begun", within_s=PATIENCE_S)
        grown = memory_bytes(gateway, "VmHWM") - before
        assert grown < 300 * MIB
        assert call(gateway.port, "POST", "/v1/iterate", ASK).status == 200


def _begins_with_200(caller: socket.socket) -> bool:
    """Look at what has come, and take nothing of it."""
    try:
        return caller.recv(12, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"HTTP/1.1 200"
    except (BlockingIOError, ConnectionResetError):
        return False
