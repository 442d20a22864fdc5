"""Replays as pages read them: the numbers of `lakehouse replay show`, computed beside sessions."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from lakehouse.config.settings import Config
from lakehouse.core.clock import SystemClock
from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.row import Row
from lakehouse.core.row_codec import decode_row
from lakehouse.replay.run import RunPlan, at_work, read_lines
from lakehouse.sessionlog.forgotten import hide_session
from lakehouse.sessionlog.reading.reader import read_rows
from lakehouse.ui.replay_answers import ComputedReport
from lakehouse.ui.replay_reading import ReplayReadFailed, ReplayReadings
from support.forked_commands import run_command
from support.replays import begin_replay, log_sessions, run_replay, write_project

SESSIONS = 60
# Right where the old model is late or wrong, and wrong where it is right: flips of all four kinds.
NEW = {
    "matches": {
        r"[38]\.": ["no"],
        r"2\.": ["no", '{"city":"Bergen"}'],
    },
    "steps": ['{"city":"Bergen"}'],
}
GATE = ("accepted >= baseline - 0.02", "p50_latency_ms <= baseline * 50")

T = TypeVar("T")


class Project:
    """A log with one replay, made by the runner."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "log"
        self.config: Config = write_project(directory, new=NEW)
        log_sessions(self.config, SESSIONS)
        self.plan: RunPlan = begin_replay(self.config)
        run_replay(self.config, self.plan)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """For tests that change nothing in it."""
    return Project(tmp_path_factory.mktemp("replayed"))


def ask(root: Path, question: Callable[[ReplayReadings], Awaitable[T]], **members: Any) -> T:
    """Ask in a loop of its own, and end all processes."""

    async def whole() -> T:
        readings = ReplayReadings(root, **members)
        try:
            return await question(readings)
        finally:
            readings.close()

    return asyncio.run(whole())


async def report(
    readings: ReplayReadings, plan: RunPlan, conditions: tuple[str, ...] = ()
) -> ComputedReport:
    replay = await readings.replay(plan.run_id)
    found = await readings.report(replay, conditions, wait_s=120)
    assert found is not None
    return found


def shown(project: Project, *arguments: str, codes: tuple[int, ...] = (0,)) -> Any:
    """Give what `lakehouse replay show` says of the replay, as JSON."""
    done = run_command(
        ["replay", "show", project.plan.run_id, *arguments],
        cwd=project.directory,
        timeout=120,
    )
    assert done.returncode in codes, done.stderr
    return json.loads(done.stdout)


def test_a_log_without_replays_has_none(tmp_path: Path):
    found = ask(tmp_path / "log", lambda readings: readings.replays())
    assert (found.replays, found.total, found.next) == ((), 0, None)


def test_the_list_counts_what_the_lines_say(project: Project):
    found = ask(project.root, lambda readings: readings.replays())

    [replay] = found.replays
    lines = list(read_lines(project.root, project.plan.run_id))
    assert (replay.run_id, replay.state, replay.mode) == (project.plan.run_id, "whole", "replay")
    assert (replay.done, replay.sessions) == (SESSIONS, SESSIONS)
    assert replay.changed == "model new"
    assert replay.last_answer_at == max(line.timestamp for line in lines)
    for name in ("baseline", "candidate"):
        sides = [getattr(line, name) for line in lines]
        counted = getattr(replay, name)
        assert counted.accepted == sum(side.verdict == "accepted" for side in sides)
        assert counted.first_shot == sum(side.accepted_iteration == 0 for side in sides)


def test_the_report_is_that_of_the_command(project: Project):
    """Every number, every interval, every flip; only the moment of making differs."""
    found = ask(project.root, lambda readings: report(readings, project.plan))

    told = shown(project, "--json")
    ours = json.loads(msgspec.json.encode(found.report))
    flips = json.loads(msgspec.json.encode([held.flip for held in found.flips]))
    assert {one["change"] for one in told["flipped"]} == {
        "lost",
        "gained",
        "first_shot_lost",
        "first_shot_gained",
    }
    assert flips == told.pop("flipped")
    for one in (ours, told):
        assert one["run"].pop("made_at")
    ours.pop("flipped")
    assert ours == told
    assert sum(found.flip_counts.values()) == len(flips)


def test_each_flip_knows_the_row_of_its_replay(project: Project):
    found = ask(project.root, lambda readings: report(readings, project.plan))

    replays = {
        line.row_id: line.replay_row_id for line in read_lines(project.root, project.plan.run_id)
    }
    assert found.flips
    assert all(held.replay_row_id == replays[held.flip.row_id] for held in found.flips)


def test_a_gate_decides_as_that_of_the_command(project: Project):
    found = ask(project.root, lambda readings: report(readings, project.plan, GATE))

    options = [word for condition in GATE for word in ("--gate", condition)]
    told = shown(project, "--json", *options, codes=(0, 1, 3))
    assert told["judgement"]["outcome"] in {"pass", "regression"}
    assert json.loads(msgspec.json.encode(found.report.judgement)) == told["judgement"]


@pytest.mark.parametrize("gate", ["better", "accepted >= baseline - many", "acepted >= 0.5"])
def test_an_invalid_condition_is_refused_as_the_command_does(project: Project, gate: str):
    with pytest.raises(Refusal) as refused:
        ask(project.root, lambda readings: report(readings, project.plan, (gate,)))
    assert refused.value.code == "invalid_request"
    assert gate.split(maxsplit=1)[0] in refused.value.public


@pytest.mark.parametrize("wrong", ["ff", "../x", ""])
def test_a_replay_that_is_not_there_is_refused(project: Project, wrong: str):
    with pytest.raises(Refusal) as refused:
        ask(project.root, lambda readings: readings.replay(wrong))
    assert refused.value.code == "not_found"


def test_a_replay_under_way_is_seen_as_far_as_it_is(tmp_path: Path):
    """And one that was stopped; a report of both says how much is missing."""
    config = write_project(tmp_path)
    log_sessions(config, 10)
    plan = begin_replay(config)

    def refuse(row: Row) -> None:
        if row.prompt in {"Notice 3.", "Notice 4."}:
            raise Refusal("unknown_kind", "gone")

    run_replay(config, plan, before=refuse)

    async def look(readings: ReplayReadings) -> tuple[str, str, int]:
        with at_work(tmp_path / "log", plan.run_id):
            [running] = (await readings.replays()).replays
        stopped = await readings.replay(plan.run_id)
        return running.state, stopped.state, stopped.done

    assert ask(tmp_path / "log", look) == ("running", "partial", 8)
    found = ask(tmp_path / "log", lambda readings: report(readings, plan))
    assert found.report.counts.pairs == 8
    assert "2 of 10 sessions were not replayed." in found.report.run.warnings


def test_nobody_waits_for_a_report(project: Project):
    """It goes on, is computed once, and is then there at once."""

    async def look(readings: ReplayReadings) -> None:
        replay = await readings.replay(project.plan.run_id)
        assert readings.known_metrics(replay) == ()
        assert await readings.report(replay) is None
        first = await readings.report(replay, wait_s=120)
        assert first is not None
        assert await readings.report(replay) is first
        assert readings.known_metrics(replay) == first.report.metrics

    ask(project.root, look)


def test_a_report_is_computed_again_once_somebody_has_forgotten_a_session(tmp_path: Path):
    project = Project(tmp_path)
    session_id = decode_row(next(iter(read_rows(project.root)))).session_id

    async def look(readings: ReplayReadings) -> tuple[int, int]:
        first = await report(readings, project.plan)
        hide_session(project.root, session_id, SystemClock().now())
        second = await report(readings, project.plan)
        return first.report.counts.pairs, second.report.counts.pairs

    assert ask(project.root, look) == (SESSIONS, SESSIONS - 1)


def test_a_report_that_takes_too_long_is_ended_and_says_what_to_do(project: Project):
    async def look(readings: ReplayReadings) -> None:
        replay = await readings.replay(project.plan.run_id)
        for _ in range(2):
            with pytest.raises(ReplayReadFailed, match=r"within 0\.05 s") as failed:
                await readings.report(replay, wait_s=60)
            assert "lakehouse replay show" in failed.value.hint

    ask(project.root, look, report_timeout_ms=50)


def test_pages_that_end_do_not_wait_for_a_report(project: Project):
    """Its process is ended, and what waits for it is told so."""

    async def look(readings: ReplayReadings) -> None:
        replay = await readings.replay(project.plan.run_id)
        waiting = asyncio.create_task(readings.report(replay, wait_s=60))
        await asyncio.sleep(0)
        await asyncio.to_thread(readings.close)
        with pytest.raises(InfraError, match="The server is stopping"):
            await waiting

    ask(project.root, look)


def test_a_damaged_plan_hides_no_other_replay(tmp_path: Path):
    config = write_project(tmp_path)
    log_sessions(config, 4)
    plans = [begin_replay(config), begin_replay(config)]
    (tmp_path / "log" / "replays" / plans[1].run_id / "plan.json").write_text("{")

    found = ask(tmp_path / "log", lambda readings: readings.replays())

    assert [replay.run_id for replay in found.replays] == [plans[0].run_id]
    assert found.unreadable == (plans[1].run_id,)
    assert found.total == 2


def test_many_replays_are_read_page_by_page(tmp_path: Path, monkeypatch):
    config = write_project(tmp_path)
    log_sessions(config, 1)
    run_ids = [begin_replay(config).run_id for _ in range(23)][::-1]

    async def look(readings: ReplayReadings) -> list[str]:
        first = await readings.replays()
        assert first.next is not None
        second = await readings.replays(before=first.next)
        assert (second.next, first.total, second.total) == (None, 23, 23)
        return [replay.run_id for replay in (*first.replays, *second.replays)]

    assert ask(tmp_path / "log", look) == run_ids


@pytest.mark.parametrize("missing", ["numpy", "scipy"])
def test_what_a_report_lacks_is_named(project: Project, missing: str):
    readings = ReplayReadings(
        project.root, installed=lambda name: None if name == missing else object()
    )
    assert readings.report_needs == missing
    readings.close()


def test_the_list_needs_no_extra():
    """The module that the pages import, and the process that lists, load without numpy."""
    program = (
        "import sys; sys.modules['numpy'] = sys.modules['scipy'] = None; "
        "import lakehouse.ui.replay_child, lakehouse.ui.replay_reading"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
