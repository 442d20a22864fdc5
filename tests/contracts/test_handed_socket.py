"""A restart on a socket that outlives the daemon: nobody is refused, each call is answered once."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path

import pytest

from lakehouse.core.row_codec import decode_row
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.reading.reader import read_rows
from support.handed_socket import Heard, handing_over
from support.stack import SCRIPTED, Process, call, running_stack, untraced
from support.waiting import WAIT_S, wait_until

CALLERS = 6
SCRIPT = '{"matches": {"": [{"text": "{}", "delay_ms": 100}]}}'


class Load:
    """Callers that call on and on, each call by a connection of its own."""

    def __init__(self, port: int) -> None:
        self.begun = 0
        self.answered: list[tuple[str, int]] = []
        self.failures: list[Exception] = []
        self._port = port
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._call_on) for _ in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        with self._lock:
            return self.begun - len(self.answered)

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(WAIT_S)

    def _call_on(self) -> None:
        while not self._ended.is_set() and not self.failures:
            with self._lock:
                self.begun += 1
                name = f"call-{self.begun}"
            body = {"schema": {"type": "object"}, "prompt": name}
            try:
                answer = call(
                    self._port, "POST", "/v1/iterate", body, {"X-Lakehouse-Trace-Id": name}
                )
            except (OSError, HTTPException) as error:
                self.failures.append(error)
                return
            with self._lock:
                self.answered.append((name, answer.status))


@contextmanager
def held_socket() -> Iterator[socket.socket]:
    """What systemd keeps for a socket unit."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        listener.set_inheritable(True)
        yield listener


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_restart_refuses_nobody(tmp_path: Path, workers: str) -> None:
    """SIGTERM, the end, a new daemon: callers wait meanwhile; rows equal calls."""
    (tmp_path / "script.json").write_text(SCRIPT)
    config = tmp_path / "lakehouse.toml"
    config.write_text(SCRIPTED)
    heard = Heard(tmp_path)
    with held_socket() as listener, ExitStack() as ends:
        ends.callback(heard.close)
        port = listener.getsockname()[1]
        variables = {
            "LAKEHOUSE_GATEWAY__LISTEN": f'"127.0.0.1:{port}"',
            "NOTIFY_SOCKET": heard.address,
        }

        def start() -> Process:
            wrapped = handing_over(listener)
            ready = heard.told.count("READY=1") + 1
            process = Process(
                *("up", config, port, variables, ("--workers", workers)),
                wrapped=wrapped,
                pass_fds=[listener.fileno()],
            )
            ends.callback(process.stop)
            wait_until(lambda: heard.told.count("READY=1") == ready, lambda: heard.told)
            return process

        first = start()
        load = Load(port)
        ends.callback(load.end)
        wait_until(lambda: len(load.answered) > CALLERS, "the first answers")
        assert first.stop(signal.SIGTERM) == 0
        # Every caller has connected, or does now, while nobody serves.
        wait_until(lambda: load.failures or load.waiting == CALLERS, "callers that wait")
        before = len(load.answered)
        second = start()
        wait_until(lambda: load.failures or len(load.answered) > before + CALLERS, "more answers")
        load.end()
        assert second.stop(signal.SIGTERM) == 0

    assert load.failures == []
    assert {status for _, status in load.answered} == {200}
    assert len(load.answered) == load.begun
    seal(tmp_path / "log")
    rows = [decode_row(line) for line in read_rows(tmp_path / "log")]
    assert sorted(row.session_id for row in rows) == sorted(name for name, _ in load.answered)
    wait_until(lambda: len(heard.told) == 4, lambda: heard.told)
    assert heard.told == ["READY=1", "STOPPING=1"] * 2


def test_a_request_that_waits_for_its_body_is_answered(tmp_path: Path) -> None:
    """Its session begins after the signal to stop, and is no less a session for that."""
    (tmp_path / "script.json").write_text(SCRIPT)
    body = b'{"schema": {"type": "object"}, "prompt": "x"}'
    head = b"POST /v1/iterate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    with running_stack(tmp_path, SCRIPTED, apart=False) as processes:
        gateway = processes["gateway"]
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=WAIT_S) as caller:
            caller.sendall(head)
            assert b" 100 " in caller.recv(1024)  # the head was read
            os.kill(gateway.pid, signal.SIGTERM)
            wait_until(lambda: not _listens(gateway.port), "the end of listening")
            caller.sendall(body)
            answer = b"".join(iter(lambda: caller.recv(65_536), b""))
        assert gateway.wait() == 0
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert b'"verdict":"accepted"' in answer


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_socket_at_another_address_ends_the_start(tmp_path: Path) -> None:
    """Exit code 2, and both addresses; a proxy would else speak to nobody."""
    (tmp_path / "script.json").write_text(SCRIPT)
    (tmp_path / "lakehouse.toml").write_text(SCRIPTED + '[gateway]\nlisten = "127.0.0.1:4110"\n')
    with held_socket() as listener:
        port = listener.getsockname()[1]
        done = subprocess.run(
            [*handing_over(listener), sys.executable, "-m", "lakehouse", "up"],
            cwd=tmp_path,
            env=untraced(os.environ),
            pass_fds=[listener.fileno()],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert f"listens at 127.0.0.1:{port}" in done.stderr
    assert "the configured address is 127.0.0.1:4110" in done.stderr
    assert json.loads(done.stderr.splitlines()[0])["level"] == "error"
