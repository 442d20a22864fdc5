"""Pages and the process that reads for them: killed, hung, and stopped while pages wait."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lakehouse.core.errors import InfraError
from lakehouse.process.children import Child
from lakehouse.sessionlog.index.reader import LogReader
from lakehouse.sessionlog.reading.query import QueryFailed
from lakehouse.ui.filter_sql import filter_sql
from lakehouse.ui.queries import Queries
from lakehouse.ui.reading import LogReadings
from lakehouse.ui.replay_reading import ReplayReadings
from support.indexed_log import answering
from support.processes import wait_ended
from support.rows import make_row
from support.stack import SCRIPTED
from support.ui_pages import pages_over, write_log
from support.ui_server import ui_server, unread_bytes
from support.waiting import wait_until


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_log(tmp_path / "log", [make_row()])


def test_a_reader_that_is_killed_while_idle_costs_no_page(log: Path):
    """And the operator is told how it ended."""
    with ui_server(log) as server:
        assert server.get()[0] == 200
        killed = server.reader()
        os.kill(killed, signal.SIGKILL)
        assert wait_ended({killed}) == set()
        status, text = server.get("/ui/sessions.json")
        assert (status, len(json.loads(text)["sessions"]["sessions"])) == (200, 1)
        assert server.reader() != killed
        assert "ended by signal 9 (SIGKILL), maybe because the system had no memory" in (
            server.said()
        )


def test_pages_that_wait_for_a_hung_reader_are_told_when_the_server_stops(log: Path):
    """At once, though the process is deaf; it goes too."""
    with ui_server(log) as server, ThreadPoolExecutor(4) as pool:
        assert server.get()[0] == 200
        hung = server.reader()
        os.kill(hung, signal.SIGSTOP)
        paths = ["/ui/sessions.json", "/ui/findings.json", "/ui/values.json", "/ui/latency"]
        waiting = [pool.submit(server.get, path) for path in paths]
        wait_until(lambda: unread_bytes(hung) > 0, "a question that waits")
        wait_until(lambda: _connections(server.port) >= len(paths), "pages that wait")
        begun = time.monotonic()
        server.process.terminate()
        answers = [one.result() for one in waiting]
        server.process.wait(60)
        assert time.monotonic() - begun < 30  # a question may take a minute
        assert [status for status, _ in answers] == [503] * len(paths), answers
        assert all("The server is stopping." in text for _, text in answers)
        assert wait_ended({hung}) == set()


def _connections(port: int) -> int:
    """Count the connections to a port of this machine that have been made."""
    local, made = f"0100007F:{port:04X}", "01"
    lines = map(str.split, Path("/proc/net/tcp").read_text().splitlines())
    return sum(words[1] == local and words[3] == made for words in lines)


def test_questions_that_wait_and_later_ones_are_told_that_the_server_stops(log: Path):
    async def stopped() -> None:
        readings = LogReadings(log)
        await readings.ask(LogReader.rates)
        hung = answering(readings._reader)
        os.kill(hung, signal.SIGSTOP)
        asked = [
            asyncio.ensure_future(readings.ask(lambda reader: reader.rates())) for _ in range(3)
        ]
        while unread_bytes(hung) == 0:
            await asyncio.sleep(0)
        readings.stop()
        for one in (*asked, readings.ask(LogReader.rates)):
            with pytest.raises(InfraError, match="The server is stopping") as told:
                await one
            assert told.value.code == "shutdown"
        readings.close()
        assert wait_ended({hung}) == set()
        with pytest.raises(InfraError, match="The server is stopping"):
            await readings.ask(LogReader.rates, "shared")

    asyncio.run(stopped())


def test_replays_and_queries_that_run_are_told_that_the_server_stops(
    log: Path, monkeypatch: pytest.MonkeyPatch
):
    runs = threading.Event()

    def run(*_, stopped, **__):
        runs.set()
        wait_until(stopped, "the stop")
        raise QueryFailed("The query was stopped.")

    monkeypatch.setattr("lakehouse.ui.queries.query", run)

    async def gone() -> bool:
        return False

    async def stopped() -> None:
        replays, queries = ReplayReadings(log), Queries(log)
        asked = [
            asyncio.ensure_future(replays.replays()),
            asyncio.ensure_future(replays.replays(before="0")),
            asyncio.ensure_future(queries.first_rows("SELECT 1", gone)),
        ]
        await asyncio.to_thread(wait_until, lambda: runs.is_set() and replays._children, "both")
        replays.stop()
        queries.stop()
        for one in (*asked, queries.first_rows("SELECT 1", gone), replays.replays(before="1")):
            with pytest.raises(InfraError, match="The server is stopping"):
                await one
        replays.close()

    asyncio.run(stopped())


_DIES = "import sys; sys.stdin.buffer.read(4); sys.stderr.write('no luck today'); sys.exit(3)"


@pytest.mark.parametrize(
    ("path", "starts"),
    [
        ("/ui/sessions", "lakehouse.sessionlog.index.reader"),
        ("/ui/replays", "lakehouse.ui.replay_reading"),
        ("/ui/query?sql=SELECT%201", "lakehouse.sessionlog.reading.query"),
        ("/ui/query.csv?sql=SELECT%201", "lakehouse.sessionlog.reading.query"),
    ],
)
def test_why_a_process_ended_is_told_to_the_operator_alone(
    log: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path, starts
):
    def dying(_, **options):
        return Child([sys.executable, "-c", _DIES], **options)

    monkeypatch.setattr(f"{starts}.Child", dying)
    with pages_over(log) as client:
        answer = client.get(path)
    assert answer.status_code == 503
    assert "without an answer" in answer.text
    assert "luck" not in answer.text
    assert "ended with exit code 3; it said: no luck today" in caplog.text


@pytest.mark.parametrize("path", ["/ui/query.json?text=k", "/ui/sessions.sql?text=k"])
def test_the_sql_of_a_filter_is_written_in_a_thread(
    log: Path, monkeypatch: pytest.MonkeyPatch, path
):
    """The first with a text takes 0.2 s, which a session must not wait for."""
    threads = []

    def noted(where):
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        threads.append(threading.current_thread())
        return filter_sql(where)

    for module in ("query_page", "exports"):
        monkeypatch.setattr(f"lakehouse.ui.{module}.filter_sql", noted)
    with pages_over(log) as client:
        assert client.get(path).status_code == 200
    assert len(threads) == 1


def test_the_values_of_a_log_are_written_in_a_thread(log: Path, monkeypatch: pytest.MonkeyPatch):
    """Thousands of them take longer than a session may wait."""
    written = []

    def noted(lines):
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        written.append(lines)
        return b"path"

    monkeypatch.setattr("lakehouse.ui.values_page._csv", noted)
    with pages_over(log) as client:
        assert client.get("/ui/values.csv").content == b"path"
    assert len(written) == 1


_SERVES = """
import asyncio, gc, sys
from pathlib import Path
from lakehouse.cli import daemon
from lakehouse.config.load import load_config

async def told(*_, **__):
    print(gc.isenabled() and gc.get_freeze_count() > len(gc.get_objects()))

gc.disable()  # as `main` does for a start
daemon.serve = told
asyncio.run(daemon._serve_alone(lambda: load_config(Path(sys.argv[1]), {}), "up"))
"""


def test_a_daemon_that_serves_looks_for_garbage_among_new_objects_only(tmp_path: Path):
    """A page of many objects sets off a search, in which no session goes on."""
    (tmp_path / "script.json").write_text('["{}"]')
    listens = '[gateway]\nlisten = "127.0.0.1:0"\n'
    (tmp_path / "lakehouse.toml").write_text(SCRIPTED + listens)
    done = subprocess.run(
        [sys.executable, "-c", _SERVES, str(tmp_path / "lakehouse.toml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "True\n", done.stderr
