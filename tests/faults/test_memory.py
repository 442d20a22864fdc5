"""The memory of workers over many sessions: it does not grow."""

import asyncio
import importlib
import json
from pathlib import Path

import pytest

from faults.oracle import times
from support.processes import children_of
from support.stack import SCRIPTED, Process, call, free_port
from support.waiting import wait_until

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SESSIONS = times(5_000, 1_000_000)
PARTS = 10
GROWTH_MIB_MAX = 8  # of a process, from three tenths of the sessions to the end


@pytest.mark.timeout(times(300, 7_200))
def test_workers_do_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000,000 sessions in the long tier, with segments that are sealed on the way."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    load = importlib.import_module("load").load
    resident_mib = importlib.import_module("rig").resident_mib
    request = importlib.import_module("project").request_of("x", kind="any")
    port = free_port()
    (tmp_path / "script.json").write_text(json.dumps({"matches": {"": ["{}"]}}))
    (tmp_path / "any.json").write_text('{"type": "object"}')
    file = tmp_path / "lakehouse.toml"
    file.write_text(SCRIPTED + '[kinds.any]\nschema = "any.json"\n')
    listen = {"LAKEHOUSE_GATEWAY__LISTEN": f'"127.0.0.1:{port}"'}
    process = Process("up", file, port, listen, ("--workers", "2"))
    try:
        wait_until(lambda: len(children_of(process.pid)) == 2, "both workers")
        wait_until(lambda: _running(port) == 2, "both workers to serve")
        seen = []
        for _ in range(PARTS):
            asyncio.run(load(port, [request], SESSIONS // PARTS, in_flight=32))
            seen.append([resident_mib(pid) for pid in (process.pid, *children_of(process.pid))])
    finally:
        assert process.stop() == 0
    grown = [end - early for early, end in zip(seen[2], seen[-1], strict=True)]
    assert max(grown) <= GROWTH_MIB_MAX, seen


def _running(port: int) -> object:
    return call(port, "GET", "/readyz").json()["workers"]["running"]
