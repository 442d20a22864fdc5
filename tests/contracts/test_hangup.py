"""SIGHUP of a terminal that closes: the daemon drains, and loses no session."""

import json
import os
import pty
import signal
import sys
import threading
from pathlib import Path

import pytest

from support.stack import SCRIPTED, Answer, call, running_stack
from support.waiting import wait_until

SCRIPT = {"matches": {"slow": [{"text": "{}", "delay_ms": 1_500}], "": ["{}"]}}
# Becomes the command that follows, with that terminal, as a login shell's first command has it.
IN_TERMINAL = """
import os, sys
os.setsid()
os.open(sys.argv[1], os.O_RDWR)
os.execvp(sys.argv[2], sys.argv[2:])
"""
ASK = {"schema": {"type": "object"}, "prompt": "slow"}


@pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
def test_a_terminal_that_closes_drains(tmp_path: Path, apart: bool) -> None:
    """The session under way is answered as if nothing had happened, and the exit code is 0."""
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    terminal, seen_by_daemon = pty.openpty()
    wrapped = [sys.executable, "-c", IN_TERMINAL, os.ttyname(seen_by_daemon)]
    with (
        os.fdopen(terminal, "wb", buffering=0) as terminal_file,
        running_stack(tmp_path, SCRIPTED, apart=apart, wrapped=wrapped) as processes,
    ):
        os.close(seen_by_daemon)
        gateway = processes["gateway"]
        answers: list[Answer] = []
        caller = threading.Thread(
            target=lambda: answers.append(call(gateway.port, "POST", "/v1/iterate", ASK))
        )
        caller.start()
        wait_until(lambda: b'"slow"' in _written(tmp_path), "the session's started line")
        terminal_file.close()
        assert gateway.wait() == 0
        caller.join()
        assert [(answer.status, answer.json()["verdict"]) for answer in answers] == [
            (200, "accepted")
        ]


def test_a_hangup_that_was_switched_off_stays_so(tmp_path: Path) -> None:
    """`nohup lakehouse up &` outlives its terminal."""
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    with running_stack(tmp_path, SCRIPTED, apart=False, wrapped=["nohup"]) as processes:
        gateway = processes["gateway"]
        os.kill(gateway.pid, signal.SIGHUP)
        assert call(gateway.port, "GET", "/livez").status == 200
        assert gateway.stop(signal.SIGTERM) == 0


def _written(directory: Path) -> bytes:
    active = directory / "log" / "active"
    return b"".join(file.read_bytes() for file in active.iterdir() if file.suffix == ".jsonl")
