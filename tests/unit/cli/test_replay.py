"""`lakehouse replay` and `lakehouse feedback` as somebody runs them: exit codes, words, files."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from lakehouse.core.row_codec import decode_row
from lakehouse.replay.run import list_plans
from lakehouse.sessionlog.reading.reader import read_rows
from support.forked_commands import run_command
from support.replays import log_sessions, write_project
from support.waiting import wait_until

SESSIONS = 60


@pytest.fixture
def project(tmp_path: Path) -> Path:
    log_sessions(write_project(tmp_path), SESSIONS)
    return tmp_path


@pytest.fixture(scope="module")
def untouched(tmp_path_factory) -> Path:
    """For commands that are refused: whoever uses it shows that nothing was left."""
    directory: Path = tmp_path_factory.mktemp("untouched")
    log_sessions(write_project(directory), 10)
    return directory


def lakehouse(project: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, which must have this exit code and no traceback."""
    done = run_command(
        arguments,
        cwd=project,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    return done


def run_ids(project: Path) -> list[str]:
    return [
        run["run_id"] for run in json.loads(lakehouse(project, "replay", "list", "--json").stdout)
    ]


def test_a_better_model_passes_and_the_reports_are_written(project: Path):
    gate = ["--gate", "accepted >= baseline - 0.02", "--gate", "first_shot >= baseline"]
    files = ["--html", "report.html", "--junit", "gate.xml"]

    done = lakehouse(project, "replay", "--model", "new", *gate, *files)

    assert f"{SESSIONS} of {SESSIONS} pairs judged on both sides" in done.stdout
    assert "gate: pass" in done.stdout
    assert "<svg" in (project / "report.html").read_text()
    suite = ET.parse(project / "gate.xml").getroot()  # ours
    assert len(list(suite.iter("testcase"))) == 2
    assert list(suite.iter("failure")) == []
    [run_id] = run_ids(project)
    shown = json.loads(lakehouse(project, "replay", "show", run_id[:20], "--json").stdout)
    assert shown["counts"]["judged"] == SESSIONS
    assert shown["run"]["run_id"] == run_id


def test_a_gate_tells_how_often_it_is_wrong_on_these_sessions(project: Path):
    """The sides are exchanged at random; a thousand times, an equal candidate is stopped seldom."""
    lakehouse(project, "replay", "--model", "new")
    [run_id] = run_ids(project)
    gate = ["--gate", "accepted >= baseline", "--aa", "--json"]

    report = json.loads(lakehouse(project, "replay", "show", run_id, *gate).stdout)

    alarms = report["judgement"]["false_alarms"]
    assert alarms["runs"] == 1_000
    assert alarms["rate"]["low"] <= 0.05


def test_a_worse_model_is_a_regression(project: Path):
    (project / "new.json").write_text(json.dumps(["no"]))
    done = lakehouse(
        project, "replay", "--model", "new", "--gate", "accepted >= baseline - 0.02", code=1
    )
    assert "regression" in done.stdout


def test_too_few_sessions_decide_nothing(project: Path):
    gate = ["--gate", "accepted >= baseline", "--limit", "10"]
    done = lakehouse(project, "replay", "--model", "new", *gate, code=3)
    assert "10 pairs were judged" in done.stdout


def test_judging_again_says_how_many_verdicts_are_as_logged(project: Path):
    done = lakehouse(project, "replay", "--rejudge")
    assert f"{SESSIONS} of {SESSIONS} verdicts equal the logged ones" in done.stderr


def test_two_runs_are_compared(project: Path):
    for model in ("old", "new"):
        lakehouse(project, "replay", "--model", model)
    second, first = run_ids(project)

    done = lakehouse(project, "replay", "compare", first, second, "--json")

    report = json.loads(done.stdout)
    sides = {metric["name"]: metric for metric in report["metrics"]}["first_shot"]
    assert (sides["baseline"]["value"], sides["candidate"]["value"]) == (0.7, 1.0)
    assert (report["run"]["baseline"], report["run"]["candidate"]) == ("model old", "model new")


def test_another_system_prompt_and_other_settings_reach_the_model(project: Path):
    (project / "prompt.txt").write_text("Say the city.")
    changes = ["--set", "temperature=0.5", "--set", "max_iterations=1", "--set", "constrain=off"]

    lakehouse(project, "replay", "--system", "prompt.txt", *changes, "--limit", "5")

    rows = [decode_row(line) for line in read_rows(project / "log")]
    [system] = {row.system for row in rows if row.daemon == "replay"}
    [settings] = {
        (bytes(row.settings.temperature), row.settings.constrain, row.max_iterations)
        for row in rows
        if row.daemon == "replay"
    }
    assert system == "Say the city."
    assert settings == (b"0.5", "off", 1)


def test_a_replay_compares_what_the_model_was_offered(tmp_path: Path):
    """As logged, in the schema; with `--set`, in the prompt or not at all; the report says so."""
    table = '[tables.cities]\npath = "cities.csv"\n'
    rule = '[[kinds.city.grounding]]\npath = "/city"\ncolumn = "cities.name"\n'
    (tmp_path / "cities.csv").write_text("name\nOslo\nBergen\n")
    log_sessions(write_project(tmp_path, more=table + rule), 3, prompt="Late in Oslo.")

    for mode in (None, "hint", "off"):
        changes = [] if mode is None else ["--set", f"candidates={mode}"]
        done = lakehouse(tmp_path, "replay", *changes)
        assert ("against candidates" in done.stdout) is (mode is not None)
        assert mode is None or f"against candidates {mode}" in done.stdout

    rows = [decode_row(line) for line in read_rows(tmp_path / "log")]
    found = Counter(
        (
            row.daemon,
            row.settings.candidates or None,
            tuple(one.mode for one in attempt.narrowed or ()),
        )
        for row in rows
        for attempt in row.attempts
    )
    assert found == {
        ("validatord", None, ("decode",)): 3,
        ("replay", None, ("decode",)): 3,
        ("replay", "hint", ("hint",)): 3,
        ("replay", "off", ()): 3,
    }


def test_a_changed_kind_is_what_is_tried(project: Path):
    """The sessions had the kind's own system text: they get its new one."""
    config = project / "lakehouse.toml"
    config.write_text(config.read_text().replace("Name the city.", "Which city?"))

    lakehouse(project, "replay", "--limit", "5")

    rows = [decode_row(line) for line in read_rows(project / "log")]
    assert {row.system for row in rows if row.daemon == "replay"} == {"Which city?"}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--model", "big"], 2, "'big' is not configured"),
        (["--as-kind", "town"], 2, "'town' is not configured"),
        (["--set", "temprature=1"], 2, "temprature"),
        (["--set", "max_tokens=many"], 2, "max_tokens"),
        (["--set", "candidate=off"], 2, "did you mean 'candidates'"),
        (["--set", "candidates=hnit"], 2, "auto, decode, hint, off (did you mean 'hint'?)"),
        (["--set", "constrain="], 2, "constrain is one of auto, off"),
        (["--rejudge", "--set", "candidates=off"], 2, "--rejudge"),
        (["--set", "temperature=9"], 2, "temperature"),
        (["--deadline", "soon"], 2, "--deadline"),
        (["--where", "no such column"], 2, "error:"),
        (["--sample", "stratified"], 2, "--limit"),
        (["--gate", "better than before"], 2, "--gate"),
        (["--rejudge", "--model", "new"], 2, "--rejudge"),
        (["--model", "new", "--aa"], 2, "--aa"),
        (["--kind", "town"], 2, "0 were chosen"),
        (["--resume", "ffff"], 1, "There is no run"),
        (["--resume", "ffff", "--model", "new"], 2, "--resume"),
        (["show", "ffff"], 1, "There is no run"),
        (["--model", "new", "--system", "nosuch.txt"], 2, "nosuch.txt"),
    ],
)
def test_what_cannot_be_run_is_one_clear_message(untouched: Path, arguments, code, says):
    done = lakehouse(untouched, "replay", *arguments, code=code)
    assert says in done.stderr
    assert list_plans(untouched / "log") == []


@pytest.mark.parametrize(
    ("missing", "extra"), [("scipy", "replay"), ("junitparser", "replay"), ("ray", "ray")]
)
def test_an_extra_that_is_not_installed_is_named(untouched: Path, missing: str, extra: str):
    """Before anything is begun."""
    program = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv[0] = 'lakehouse'; "
        "from lakehouse.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "replay", "--model", "new", "--engine", "ray"],
        cwd=untouched,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert f"lakehouse-stack[{extra}]" in done.stderr
    assert list_plans(untouched / "log") == []


def test_a_log_that_is_not_there_yet_has_nothing_to_replay(tmp_path: Path):
    write_project(tmp_path)
    assert "0 were chosen" in lakehouse(tmp_path, "replay", "--model", "new", code=2).stderr
    assert run_ids(tmp_path) == []


def start(project: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lakehouse", "replay", *arguments],
        cwd=project,
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_lines(project: Path) -> None:
    wait_until((project / "log" / "replay_runs.jsonl").exists, "a first replayed session")


@pytest.mark.parametrize("how", ["signal", "deadline"])
def test_a_stopped_run_goes_on_where_it_stopped(tmp_path: Path, how: str):
    """Ctrl-C, or its deadline: what is under way ends and is kept, and the rest is left."""
    slow = [{"text": '{"city":"Bergen"}', "delay_ms": 800}]
    log_sessions(write_project(tmp_path, new=slow), SESSIONS)
    # Long enough for a first session on a busy machine; all of them take 24 s.
    deadline = ["--deadline", "5s"] if how == "deadline" else []
    process = start(tmp_path, "--model", "new", "--concurrency", "2", *deadline)
    if how == "signal":
        wait_for_lines(tmp_path)
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 3
    assert ("Stopped by SIGINT" if how == "signal" else "Stopped at the deadline") in errors
    [run_id] = run_ids(tmp_path)
    assert f"--resume {run_id}" in errors
    rows = [decode_row(line) for line in read_rows(tmp_path / "log")]
    stopped = [row for row in rows if row.daemon == "replay"]
    assert 0 < len(stopped) < SESSIONS
    assert all(row.verdict == "accepted" for row in stopped)
    gated = lakehouse(tmp_path, "replay", "show", run_id, "--gate", "accepted >= 0.5", code=3)
    assert "sessions were not replayed" in gated.stdout

    lakehouse(tmp_path, "replay", "--resume", run_id, "--concurrency", "32")

    found = json.loads(lakehouse(tmp_path, "replay", "list", "--json").stdout)
    assert [(run["run_id"], run["done"]) for run in found] == [(run_id, SESSIONS)]


def test_a_run_is_not_resumed_under_another_configuration(project: Path):
    lakehouse(project, "replay", "--model", "new", "--limit", "5")
    [run_id] = run_ids(project)
    config = project / "lakehouse.toml"
    text = config.read_text()
    config.write_text(text.replace("new-1", "new-2"))
    done = lakehouse(project, "replay", "--resume", run_id, code=2)
    assert "was changed after run" in done.stderr
    config.write_text(text)
    (project / "city.json").write_text("{}")
    done = lakehouse(project, "replay", "--resume", run_id, code=2)
    assert "was changed after run" in done.stderr


def test_a_table_that_changed_is_warned_of(tmp_path: Path):
    """Before the run, and in its report."""
    table = '[tables.cities]\npath = "cities.csv"\n[[kinds.city.grounding]]\npath = "/city"\n'
    more = table + 'column = "cities.name"\n'
    (tmp_path / "cities.csv").write_text("name\nOslo\nBergen\n")
    log_sessions(write_project(tmp_path, more=more), 10)
    (tmp_path / "cities.csv").write_text("name\nOslo\n")

    done = lakehouse(tmp_path, "replay", "--rejudge")

    assert "table 'cities' changed after these sessions were judged" in done.stderr
    assert "Table 'cities' changed for 10 pairs" in done.stdout


def test_a_corrected_session_is_what_replays_are_scored_against(project: Path):
    """Both sides, whole and field by field."""
    rows = [decode_row(line) for line in read_rows(project / "log")]
    (project / "right.json").write_text('{"city": "Bergen"}')
    corrected = [row.session_id for row in rows if row.verdict == "accepted"][:3]
    for session_id in corrected:
        arguments = ["feedback", session_id, "corrected", "--artifact", "right.json"]
        lakehouse(project, *arguments, "--author", "ana")

    done = lakehouse(project, "replay", "--model", "new", "--json")

    report = json.loads(done.stdout)
    assert report["checked_fields"] == [
        {"path": "/city", "pairs": 3, "baseline_right": 0, "candidate_right": 3}
    ]


@pytest.mark.parametrize(
    ("text", "label", "code", "says"),
    [
        ('{"city": 5}', "corrected", 2, "schema"),
        ("{", "corrected", 2, "JSON"),
        ('{"city": "Bergen"}', "wrong", 2, "artifact"),
        (None, "corrected", 2, "artifact"),
    ],
)
def test_feedback_that_has_no_form_is_refused(untouched: Path, text, label, code, says):
    project = untouched
    session_id = decode_row(next(iter(read_rows(project / "log")))).session_id
    artifact = []
    if text is not None:
        (project / "right.json").write_text(text)
        artifact = ["--artifact", "right.json"]
    done = lakehouse(project, "feedback", session_id, label, *artifact, code=code)
    assert says in done.stderr
    assert not (project / "log" / "feedback.jsonl").exists()


def test_a_session_that_was_replayed_is_not_ambiguous(project: Path):
    """Its replays are rows of the same session; nobody means them unless by their id."""
    lakehouse(project, "replay", "--model", "new", "--limit", "1")
    rows = [decode_row(line) for line in read_rows(project / "log")]
    [replay] = [row for row in rows if row.daemon == "replay"]

    said = json.loads(lakehouse(project, "feedback", replay.session_id, "right", "--json").stdout)

    assert said["session_id"] == replay.session_id
    assert said["row_id"] != replay.row_id
    arguments = ["feedback", replay.session_id, "wrong", "--row-id", replay.row_id, "--json"]
    assert json.loads(lakehouse(project, *arguments).stdout)["row_id"] == replay.row_id


def test_a_terminal_is_shown_how_far_it_is_and_both_rates(project: Path):
    """Of baseline and candidate, with the rate and the time left."""
    terminal, inside = pty.openpty()
    termios.tcsetwinsize(inside, (24, 160))
    process = subprocess.Popen(
        [sys.executable, "-m", "lakehouse", "replay", "--model", "new"],
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=inside,
    )
    os.close(inside)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal, on Linux
        while block := os.read(terminal, 4096):
            shown += block
    os.close(terminal)

    assert process.wait(60) == 0
    text = shown.decode()
    assert "first shot 70.0 % → 100.0 %" in text
    assert f"{SESSIONS}/{SESSIONS}" in text
    assert "/s" in text
