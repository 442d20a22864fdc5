"""`lakehouse up --workers N`: several processes serve one address, as one daemon."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lakehouse.core.row import Row
from lakehouse.core.row_codec import decode_row
from lakehouse.sessionlog.reading.reader import read_rows
from support.processes import children_of
from support.stack import SCRIPTED, Answer, Process, call, free_port
from support.waiting import wait_until
from support.weights import pulled_weights

SCRIPT = {"matches": {"slow": [{"text": "{}", "delay_ms": 1_500}], "": ["{}"]}}
KIND = '[kinds.one]\nschema = "any.json"\n'
ASK = {"kind": "one", "max_iterations": 1}


class Workers:
    """A stack of two workers."""

    def __init__(self, directory: Path, config: str, **variables: str) -> None:
        self.directory = directory
        self.port = free_port()
        (directory / "script.json").write_text(json.dumps(SCRIPT))
        (directory / "any.json").write_text('{"type": "object"}')
        self.file = directory / "lakehouse.toml"
        self.file.write_text(config)
        listen = {"LAKEHOUSE_GATEWAY__LISTEN": f'"127.0.0.1:{self.port}"', **variables}
        self.process = Process("up", self.file, self.port, listen, ("--workers", "2"))
        wait_until(lambda: self.ready()["workers"]["running"] == 2, "both workers")

    def ready(self) -> Any:
        return call(self.port, "GET", "/readyz").json()

    def ask(self, prompt: str = "x") -> Answer:
        return call(self.port, "POST", "/v1/iterate", {**ASK, "prompt": prompt})

    def ask_at_once(self, *prompts: str) -> list[Answer]:
        with ThreadPoolExecutor(len(prompts)) as pool:
            return list(pool.map(self.ask, prompts))

    def children(self) -> list[int]:
        """The processes of the workers, in the order of their start."""
        return children_of(self.process.pid)

    def rows(self) -> list[Row]:
        return [decode_row(line) for line in read_rows(self.directory / "log")]

    def started(self, prompt: str) -> int:
        """How many sessions with this prompt have begun."""
        files = (self.directory / "log" / "active").iterdir()
        lines = b"".join(file.read_bytes() for file in files).split(b"\n")
        told = [b"session.started.v1", json.dumps(prompt).encode()]
        return sum(all(word in line for word in told) for line in lines)

    def counted(self, name: str = "sessions_total") -> float:
        text = call(self.port, "GET", "/metrics").body.decode()
        found = re.findall(rf"^lakehouse_{name}\{{.*\}} ([0-9.]+)$", text, re.MULTILINE)
        return sum(map(float, found))


@contextlib.contextmanager
def workers(directory: Path, config: str = SCRIPTED + KIND) -> Iterator[Workers]:
    found = Workers(directory, config)
    try:
        yield found
    finally:
        found.process.stop()


def connections_of(pid: int, port: int) -> int:
    """How many accepted connections at a port a process has."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = {line[9] for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "01"}
    found = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found += descriptor.readlink().name.removeprefix("socket:[").rstrip("]") in ours
    return found


def test_callers_see_one_daemon(tmp_path: Path):
    """Every call is a row; both workers have work; counts and connections are of the whole."""
    with workers(tmp_path) as served, contextlib.ExitStack() as open_ones:
        for _ in range(10):
            open_ones.enter_context(socket.create_connection(("127.0.0.1", served.port)))
        wait_until(
            lambda: sum(connections_of(pid, served.port) for pid in served.children()) == 10,
            "all to be accepted",
        )
        assert [connections_of(pid, served.port) for pid in served.children()] == [5, 5]
        answers = served.ask_at_once(*["x"] * 40)
        assert [answer.json()["verdict"] for answer in answers] == ["accepted"] * 40
        assert len(served.rows()) == 40
        assert served.counted() == 40


def test_limits_hold_over_all_workers(tmp_path: Path):
    """Three sessions at once, however they are spread; the others are refused at once."""
    config = SCRIPTED + KIND + "[gateway]\nsessions_at_once_max = 3\n"
    with workers(tmp_path, config) as served:
        statuses = [answer.status for answer in served.ask_at_once(*["slow"] * 8)]
        assert sorted(statuses) == [200] * 3 + [429] * 5
        assert served.ask().status == 200  # they were given back


def test_slots_of_a_model_hold_over_all_workers(tmp_path: Path):
    """One slot: six calls of 1.5 s one after the other would take nine; here the call is short."""
    script = {"matches": {"": [{"text": "{}", "delay_ms": 200}]}}
    with workers(
        tmp_path, SCRIPTED.replace("[models.small]", "[models.small]\nslots = 1") + KIND
    ) as served:
        (tmp_path / "script.json").write_text(json.dumps(script))
        assert call(served.port, "POST", "/v1/reload").status == 200
        answers = served.ask_at_once(*"abcdef")
        assert [answer.json()["verdict"] for answer in answers] == ["accepted"] * 6


def test_a_killed_worker_is_replaced_and_its_session_has_a_row(tmp_path: Path):
    """Its counts are kept, what it held is free again, and callers reach the other meanwhile."""
    config = SCRIPTED + KIND + "[gateway]\nsessions_at_once_max = 4\n"
    with workers(tmp_path, config) as served:
        for _ in range(2):
            served.ask_at_once(*["x"] * 4)
        before = served.counted()
        lost: list[BaseException] = []

        def ask() -> None:
            try:
                served.ask("slow")
            except OSError as error:
                lost.append(error)

        callers = [threading.Thread(target=ask) for _ in range(4)]
        for caller in callers:
            caller.start()
        wait_until(lambda: served.started("slow") == 4, "four slow sessions")
        first = served.children()[0]
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: first not in served.children(), "the end of the worker")
        wait_until(lambda: served.ready()["workers"]["running"] == 2, "another worker")
        for caller in callers:
            caller.join()
        assert 1 <= len(lost) <= 3, "connections are spread"
        wait_until(lambda: len(served.rows()) == 12, "the rows of the lost sessions")
        crashed = [row.error for row in served.rows() if row.error is not None]
        assert [error.code for error in crashed] == ["crashed"] * len(lost)
        assert served.counted() == before + 4 - len(lost)
        assert [each.status for each in served.ask_at_once(*["slow"] * 4)] == [200] * 4
        assert "ended by signal 9; another one takes its place" in served.process.output.read_text()


def test_a_reload_is_of_all_workers_or_of_none(tmp_path: Path):
    """Also by SIGHUP; and a worker that finds another file makes all read it."""
    with workers(tmp_path) as served:
        good = served.file.read_text()
        served.file.write_text(good.replace("kinds.one", "kinds.two"))
        assert call(served.port, "POST", "/v1/reload").status == 200
        assert {each.json()["code"] for each in served.ask_at_once(*"abcdef")} == {"unknown_kind"}
        served.file.write_text("[kinds")
        told = call(served.port, "POST", "/v1/reload")
        assert (told.status, told.json()["code"]) == (422, "invalid_config")
        for _ in range(4):
            assert served.ready()["config"] == "stale"
        served.file.write_text(good)
        os.kill(served.process.pid, signal.SIGHUP)
        wait_until(lambda: served.ready()["config"] == "current", "the reload")
        assert [answer.status for answer in served.ask_at_once(*"abcdef")] == [200] * 6

        served.file.write_text(good.replace("kinds.one", "kinds.three"))
        os.kill(served.children()[0], signal.SIGKILL)
        wait_until(
            lambda: {each.status for each in served.ask_at_once(*"abcdef")} == {400},
            "all workers to serve the other file",
        )


def test_all_drain_and_nothing_is_left(tmp_path: Path):
    """SIGTERM: sessions of both are answered; the exit code is 0; no process stays."""
    with workers(tmp_path) as served:
        pids = served.children()
        with ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(served.ask, "slow") for _ in range(6)]
            wait_until(lambda: served.started("slow") == 6, "the sessions")
            assert served.process.stop() == 0
            assert [each.result().json()["verdict"] for each in asked] == ["accepted"] * 6
        assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


def test_workers_end_with_the_process_that_started_them(tmp_path: Path):
    with workers(tmp_path) as served:
        pids = served.children()
        os.kill(served.process.pid, signal.SIGKILL)
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "their end")


@pytest.mark.parametrize(
    ("config", "count", "told"),
    [
        ("[kinds", "2", "not valid TOML"),
        (SCRIPTED + '[kinds.one]\nschema = "nowhere.json"\n', "2", "nowhere.json"),
        (SCRIPTED, "some", "it must be a number from 1 to 64, or auto"),
        (SCRIPTED, "0", "it must be a number"),
        (SCRIPTED, "65", "it must be a number"),
    ],
)
def test_what_cannot_start_says_why_once(tmp_path: Path, config: str, count: str, told: str):
    (tmp_path / "lakehouse.toml").write_text(config)
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    done = subprocess.run(
        [sys.executable, "-m", "lakehouse", "up", "--workers", count],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.model
@pytest.mark.slow
def test_an_embedded_model_is_there_once_for_all_workers(tmp_path: Path):
    """A process of its own owns it; the workers ask that one, with a key that only they have."""
    models = '[models.small]\nprovider = "llama_cpp"\nmodel = "smollm2-135m-instruct"\n'
    pulled_weights()
    config = '[log]\npath = "log"\n' + models + KIND
    with workers(tmp_path, config) as served:
        owner, *others = served.children()
        assert len(others) == 2
        answers = served.ask_at_once("Say {}.", "Say {}.")
        assert [answer.json()["error"] for answer in answers] == [None, None]
        assert children_of(owner)
        assert [children_of(pid) for pid in others] == [[], []]
        assert served.counted("model_call_seconds_count") >= 2, "the owner's are among all"
        assert call(served.port, "POST", "/v1/reload").status == 200
        assert served.ask("Say {}.").json()["error"] is None
