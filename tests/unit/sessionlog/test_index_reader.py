"""The process that reads a log: bounded, kept from writing, right whatever happens meanwhile."""

import asyncio
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.core.errors import Refusal
from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.index import questions as ask
from lakehouse.sessionlog.index.builder import build
from lakehouse.sessionlog.index.filters import LogFilter
from lakehouse.sessionlog.index.packs import INDEX, Heads
from lakehouse.sessionlog.index.reader import LogReader, ReadFailed, index_place
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.forgetting import forget
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.reading.reader import find_rows
from lakehouse.sessionlog.reading.stats import stats
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.dead_writer import dead_writer
from support.filled_log import fill
from support.indexed_log import BIG, answering, desk_of, waiting_log
from support.rows import make_row
from support.waiting import wait_until


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return waiting_log(tmp_path)


@pytest.fixture
def reader(root: Path) -> Iterator[LogReader]:
    with LogReader(root, builds=False) as one:
        yield one


def test_an_answer_says_what_it_lacks_until_the_index_is_there(root: Path):
    with LogReader(root) as reader:
        first = reader.sessions()
        assert (first.progress.files_missing, first.progress.complete) == (2, False)
        assert first.progress.bytes_missing > 2 * BIG
        assert [line.prompt_start for line in first.sessions] == ["live"]
        wait_until(lambda: reader.rates().progress.complete, "the whole index")
        assert reader.rates().total.sessions == 11
        assert reader.sessions(limit=1).progress.rows == 11
        row = reader.sessions(LogFilter(text="1x"), limit=1).sessions[0]
        assert [bytes(one.line) for one in reader.session(row.trace_id).rows] == find_rows(
            root, row.row_id
        )


def test_a_session_is_found_in_what_the_index_lacks(reader: LogReader, root: Path):
    row_id = json.loads(
        next(iter((root / "sealed").glob("*.jsonl"))).read_bytes().split(b"\n")[-2]
    )["row_id"]
    assert [one.row_id for one in reader.session(row_id).rows] == [row_id]
    assert reader.session("none").rows == ()


def test_a_question_that_takes_too_long_ends_its_process_and_the_next_gets_another(
    reader: LogReader, root: Path
):
    reader.rates()
    stopped = answering(reader)
    os.kill(stopped, signal.SIGSTOP)
    impatient = LogReader(root, builds=False, timeout_ms=1)
    with impatient, pytest.raises(ReadFailed, match=r"within 0\.001 s"):
        impatient.rates()
    assert impatient.process_id is None
    reader._timeout_s = 0.05
    with pytest.raises(ReadFailed, match="within"):
        reader.rates()
    wait_until(lambda: not Path(f"/proc/{stopped}").exists(), "its end")
    reader._timeout_s = 60
    assert reader.rates().total.sessions == 1


def test_it_can_write_nowhere_but_to_its_spill(reader: LogReader, root: Path):
    """It has the limits of a query (decision 0020): the kernel says so of the process itself."""
    reader.rates()
    status = Path(f"/proc/{answering(reader)}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert not (root / INDEX).exists()
    assert "Nice" not in status  # it is in `stat`
    assert os.getpriority(os.PRIO_PROCESS, answering(reader)) >= 10


def test_more_groups_than_an_answer_holds_are_still_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("lakehouse.sessionlog.index.answers.PARTS_MAX", 3)
    fill(tmp_path, *(make_row(timestamp=f"2026-01-0{day}T00:00:00.000000Z") for day in range(1, 6)))
    overview = desk_of(tmp_path).answer(ask.AskOverview(bucket="day"))
    assert isinstance(overview, ask.Overview)
    assert overview.rates.more
    assert len(overview.rates.groups) == 3
    assert overview.rates.total.sessions == 5
    assert overview.rates.first == "2026-01-01T00:00:00.000000Z"
    assert overview.rates.last == "2026-01-05T00:00:00.000000Z"


def test_bad_questions_are_refused(reader: LogReader):
    with pytest.raises(Refusal, match="`limit` is 0"):
        reader.sessions(limit=0)
    with pytest.raises(Refusal, match="`cursor` is invalid"):
        reader.sessions(cursor="x")
    with pytest.raises(Refusal, match="did you mean 'kind'"):
        reader.rates(by=("kinds",))
    with pytest.raises(Refusal, match="did you mean 'api_key'"):
        reader.latency(by=("metadata.kinds", "api_keys"))
    with pytest.raises(Refusal, match="`limit` is 2001"):
        reader.rows(limit=2_001)
    with pytest.raises(Refusal, match="`bucket` is 'minutely'"):
        reader.overview(bucket="minutely")  # type: ignore[arg-type]
    with pytest.raises(Refusal, match="NUL"):
        reader.sessions(LogFilter(text="\0"))


def test_questions_of_many_threads_each_get_their_own_answer(reader: LogReader):
    told: dict[int, int] = {}

    def ask(number: int) -> None:
        told[number] = len(reader.sessions(LogFilter(text="live" if number % 2 else "no")).sessions)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == {number: number % 2 for number in range(8)}


def test_sealing_compacting_and_forgetting_change_no_answer_of_a_reader_that_runs(root: Path):
    with LogReader(root, builds=False) as reader:
        build(root, root / INDEX)
        row = reader.sessions(LogFilter(text="1x")).sessions[0]
        for change in (
            lambda: seal(root),
            lambda: build(root, root / INDEX),
            lambda: compact(root, retention_h=24),
            lambda: compact(root, retention_h=0),
            lambda: build(root, root / INDEX),
        ):
            change()
            assert reader.rates().total.sessions == 11, change
            assert len(reader.session(row.row_id).rows) == 1
        # A pack may go while a question runs: it is asked again.
        forget(root, row.session_id)
        assert reader.session(row.row_id).rows == ()
        build(root, root / INDEX)
        assert reader.rates().total.sessions == 10
        assert reader.rates().progress.complete


def test_questions_are_right_while_packs_are_made_and_removed(root: Path):
    """Packs of other sizes, again and again: every answer is whole or says that it is not."""
    build(root, root / INDEX)
    ended = threading.Event()
    rounds = 0

    def rebuild() -> None:
        nonlocal rounds
        while not ended.is_set():
            for pack in Heads(root / INDEX).packs():
                pack.remove()
            build(root, root / INDEX, pack_rows=1 + rounds % 3 * 10)
            rounds += 1

    thread = threading.Thread(target=rebuild)
    seen = set()
    with LogReader(root, builds=False) as reader:
        thread.start()
        try:
            while rounds < 5:
                answer = reader.rates()
                seen.add(answer.total.sessions)
                assert (answer.total.sessions == 11) == answer.progress.complete
        finally:
            ended.set()
            thread.join()
        assert reader.rates().total.sessions == 11
    assert seen


def test_a_complete_answer_has_every_row_acknowledged_before(tmp_path: Path):
    """While segments rotate, are sealed, packed, compacted and removed."""
    acknowledged = rounds = 0
    ended = threading.Event()

    def write() -> None:
        nonlocal acknowledged
        writer = SessionLogWriter.open(tmp_path, daemon="validatord", segment_bytes_max=20_000)
        while not ended.is_set() and acknowledged < 2_000:
            asyncio.run(writer.append(make_row()))
            acknowledged += 1
            if acknowledged % 50 == 0:
                seal(tmp_path, own=writer.tend(), on_sealed=writer.sealed)
        writer.close()

    def tend() -> None:
        nonlocal rounds
        while not ended.is_set():
            if rounds % 3 == 2:
                compact(tmp_path, retention_h=0)
            build(tmp_path, tmp_path / INDEX, pack_rows=40)
            rounds += 1

    threads = [threading.Thread(target=one) for one in (write, tend)]
    complete = 0
    with LogReader(tmp_path, builds=False) as reader:
        for thread in threads:
            thread.start()
        try:
            while rounds < 12 or complete < 10:
                before = acknowledged
                answer = reader.rates()
                assert answer.total.sessions <= acknowledged + 1
                if answer.progress.complete:
                    complete += 1
                    assert answer.total.sessions >= before
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        build(tmp_path, tmp_path / INDEX)
        assert reader.rates().total.sessions == acknowledged == stats(tmp_path).sessions


def test_a_log_that_cannot_be_written_is_read_all_the_same(root: Path, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    with LogReader(root, place=elsewhere) as reader:
        reader.rates()
        wait_until(lambda: reader.rates().progress.complete, "the whole index")
    assert Heads(elsewhere).packs()
    assert not (root / INDEX).exists()


def test_an_index_that_cannot_be_built_is_told_to_the_operator(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Answers go on, and say what they lack."""
    (tmp_path / "taken" / "build.lock").mkdir(parents=True)
    with LogReader(root, place=tmp_path / "taken") as reader:
        assert not reader.rates().progress.complete
        builder = reader._builder.child
        assert builder is not None
        wait_until(lambda: builder.process.poll() is not None, "the builder's end")
        assert reader.rates().total.sessions == 1
    assert "was not built (exit 1)" in caplog.text
    assert "build.lock" in caplog.text


def test_the_index_is_in_the_cache_where_the_log_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert index_place(tmp_path) == tmp_path / INDEX
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert index_place(tmp_path).is_relative_to(tmp_path / "cache")


BUILD = (
    "import sys, pathlib; from lakehouse.sessionlog.index import builder, packs; "
    "from lakehouse.files import disk; root = pathlib.Path(sys.argv[1]); "
    "import os, signal; calls = [0]; "
    "def_ = lambda old: lambda *a, **k: (calls.__setitem__(0, calls[0] + 1), "
    "os.kill(os.getpid(), signal.SIGKILL) if calls[0] == int(sys.argv[2]) else None, "
    "old(*a, **k))[2]; "
    "os.fsync = def_(os.fsync); pathlib.Path.replace = def_(pathlib.Path.replace); "
    "pathlib.Path.unlink = def_(pathlib.Path.unlink); builder._without = def_(builder._without); "
    "builder.build(root, root / 'index', pack_rows=int(sys.argv[3]))"
)


def test_a_builder_that_is_killed_anywhere_leaves_no_wrong_answer(root: Path):
    """At every sync, rename, removal and batch; the next builder completes what is left."""
    python = os.sys.executable  # type: ignore[attr-defined]
    killed = 0
    with LogReader(root, builds=False) as reader:
        for point in range(1, 200):
            done = subprocess.run(
                [python, "-c", BUILD, str(root), str(point), str(1 + 9 * (point % 2))], check=False
            )
            answer = reader.rates()
            assert answer.total.sessions <= 11
            assert (answer.total.sessions == 11) == answer.progress.complete
            if done.returncode == 0:
                break
            assert done.returncode == -signal.SIGKILL
            killed += 1
            if answer.progress.complete:
                for pack in Heads(root / INDEX).packs()[:1]:
                    pack.remove()
        assert killed >= 5
        build(root, root / INDEX)
        assert reader.rates().total.sessions == 11
    kept = {path for pack in Heads(root / INDEX).packs() for path in (pack.path, pack.head_path)}
    assert {path for path in (root / INDEX).iterdir() if path.name != "build.lock"} == kept


def test_a_pack_that_cannot_be_read_is_left_out_told_and_made_again(root: Path):
    build(root, root / INDEX)
    (pack,) = Heads(root / INDEX).packs()
    data = bytearray(pack.path.read_bytes())
    data[4:-2_000] = bytes(len(data) - 2_004)
    pack.path.write_bytes(data)
    with LogReader(root) as reader:
        assert not reader.rates(by=("kind",)).progress.complete
        wait_until(lambda: reader.rates(by=("kind",)).progress.complete, "a new pack")
        assert reader.rates().total.sessions == 11


def test_what_a_dead_writer_left_needs_no_sealing(tmp_path: Path):
    """A log that no daemon runs over any more; its pack stays when it is sealed after all."""
    dead_writer(tmp_path, rows=[make_row(prompt="x" * (BIG // 4)) for _ in range(5)])
    build(tmp_path, tmp_path / INDEX)
    packs = Heads(tmp_path / INDEX).packs()
    with LogReader(tmp_path, builds=False) as reader:
        for change in (lambda: None, lambda: seal(tmp_path)):
            change()
            assert build(tmp_path, tmp_path / INDEX).sources == 0
            answer = reader.rates()
            assert (answer.total.sessions, answer.progress.complete) == (5, True)
    assert Heads(tmp_path / INDEX).packs() == packs != []


def test_packs_of_another_version_are_spared_for_a_week(root: Path):
    build(root, root / INDEX)
    other, old = (root / INDEX / f"{name}.v0.parquet" for name in ("other", "old"))
    for path in (other, old):
        path.write_bytes(b"")
    os.utime(old, (0, 0))
    build(root, root / INDEX)
    assert (other.exists(), old.exists()) == (True, False)
    assert Heads(root / INDEX).packs()


def test_an_index_is_never_trusted_over_the_log(root: Path):
    """A line that changed under the index's back is not shown as it was, nor as it is."""
    build(root, root / INDEX)
    path = next(iter(sorted((root / "sealed").glob("*.jsonl"))))
    row_id = json.loads(path.read_bytes().split(b"\n")[-2])["row_id"]
    status = path.stat()
    path.write_bytes(path.read_bytes().replace(b"xxx", b"xyx"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with LogReader(root, builds=False) as reader:
        assert reader.session(row_id).rows == ()
    path.write_bytes(path.read_bytes().replace(b"xyx", b"xxx") + b"\n" + encode_line(make_row()))
    with LogReader(root, builds=False) as reader:
        assert reader.rates().progress.files_missing == 1  # it grew: its pack is not of it any more
