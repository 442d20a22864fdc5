"""Real daemons as processes: started on free ports, stopped by id, their output kept."""

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

# Configuration: a log, and a model `small` that answers what `script.json` says.
SCRIPTED = """
[log]
path = "log"
[models.small]
provider = "scripted"
model = "tiny"
script = "script.json"
"""
START_S = 60.0
STOP_S = 60.0
STACKS_S = 10.0
PORTS = (15_000, 30_000)  # Linux gives connections 32,768 and up, macOS 49,152


class Answer(msgspec.Struct, frozen=True):
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Process:
    """One `lakehouse` daemon."""

    def __init__(
        self,
        role: str,
        config: Path,
        port: int,
        environment: Mapping[str, str],
        options: Sequence[str] = (),
        *,
        wrapped: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.role = role
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.output = config.parent / f"{role}-{port}.txt"
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    *wrapped,
                    *(sys.executable, "-m", "lakehouse", role, "--config", str(config)),
                    *options,
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
                cwd=config.parent,
                env={**untraced(os.environ), "PYTHONFAULTHANDLER": "1", **environment},
            )
        self._wait_until_up()

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the daemon and give its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the daemon to end, and give its exit code.

        Raises:
            AssertionError: It did not end; with its output, and where each of its threads was.
        """
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)  # on which it writes the stacks
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STACKS_S)
            self._process.kill()
            self._process.wait()
            told = self.output.read_text("utf-8", "replace")
            raise AssertionError(f"{self.role} did not end within {STOP_S} s:\n{told}") from None

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                if call(self.port, "GET", "/livez").status == 200:
                    return
            time.sleep(0.02)
        self._process.kill()
        self._process.wait()
        raise AssertionError(f"{self.role} did not start:\n{self.output.read_text()}")


def untraced(environment: Mapping[str, str]) -> dict[str, str]:
    """Give an environment that says nothing of where traces go, whatever the tester's says."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(("LANGFUSE_", "OTEL_"))
    }


def free_port() -> int:
    """Give a port that nothing listens on, below those that the kernel gives to connections.

    One from the kernel's own range could be taken by any connection before it is listened on.
    """
    while True:
        port = random.SystemRandom().randrange(*PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def call(
    port: int,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 60.0,
) -> Answer:
    """Make one HTTP request to a daemon on this machine. A `bytes` body goes out as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    sent = dict(headers or {})
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    if data is not None:
        sent.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, path, body=data, headers=sent)
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, fields, response.read())
    finally:
        connection.close()


@contextlib.contextmanager
def running_stack(
    directory: Path,
    config: str,
    *,
    apart: bool,
    environment: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    wrapped: Sequence[str] = (),
) -> Iterator[dict[str, Process]]:
    """Run `up` in one process, or the three daemons apart; the same configuration text.

    `wrapped` is a command that runs the public one, such as `nohup`.

    Gives the processes by role; the public one is under `gateway` either way. All of them are
    ended on the way out, whatever happened.
    """
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "lakehouse.toml"
    file.write_text(config)
    gateway, chatd, validatord = free_port(), free_port(), free_port()
    variables = {"LAKEHOUSE_GATEWAY__LISTEN": f'"127.0.0.1:{gateway}"', **(environment or {})}
    processes: dict[str, Process] = {}
    try:
        if apart:
            variables |= {
                "LAKEHOUSE_CHATD__LISTEN": f'"127.0.0.1:{chatd}"',
                "LAKEHOUSE_VALIDATORD__LISTEN": f'"127.0.0.1:{validatord}"',
            }
            processes["chatd"] = Process("chatd", file, chatd, variables, options)
            variables |= {"LAKEHOUSE_CHATD__URL": f'"http://127.0.0.1:{chatd}"'}
            processes["validatord"] = Process("validatord", file, validatord, variables, options)
            variables |= {"LAKEHOUSE_VALIDATORD__URL": f'"http://127.0.0.1:{validatord}"'}
        role = "gateway" if apart else "up"
        processes["gateway"] = Process(role, file, gateway, variables, options, wrapped=wrapped)
        yield processes
    finally:
        with contextlib.ExitStack() as ends:  # the last one first, and each even if one hangs
            for process in processes.values():
                ends.callback(process.stop)
