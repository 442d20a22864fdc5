"""The commands as a user runs them: processes, exit codes, and what stands on the screen."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import CONFIG, SCHEMA, SCRIPT, lakehouse, lines, project, run, write_inputs
from support.filled_log import fill
from support.forked_commands import run_command
from support.rows import make_row
from support.stack import call, running_stack
from support.waiting import wait_until

__all__ = ["project"]  # a fixture


def test_a_file_runs_through_a_kind(project):
    """Accepted artifacts in one file, the rest with findings in the other."""
    write_inputs(project, "good 1", "prose", "good 2")

    assert "accepted 2, rejected 1, infra_error 0" in run(project, code=1)

    accepted = sorted(lines(project / "out.jsonl"), key=lambda line: line["index"])
    [rejected] = lines(project / "out.jsonl.rejects.jsonl")
    assert [line["index"] for line in accepted] == [0, 2]
    assert accepted[0]["artifact"] == {"city": "Oslo"}
    assert (rejected["index"], rejected["verdict"]) == (1, "max_iter_exhausted")
    assert [finding["code"] for finding in rejected["findings"]] == ["no_json"]


def test_a_second_run_does_only_what_is_left(project):
    """Outages are tried again; a torn last line is done again; nothing is done twice."""
    write_inputs(project, "good 1", "outage", "good 2")
    assert "infra_error 1" in run(project, code=3)
    output = project / "out.jsonl"
    output.write_bytes(output.read_bytes()[:-9])
    (project / "script.json").write_text('["{\\"city\\": \\"Bergen\\"}"]')

    assert "accepted 2, rejected 0, infra_error 0; done before 1" in run(project, code=0)

    assert sorted(line["index"] for line in lines(output)) == [0, 1, 2]
    rows = json.loads(lakehouse(project, "stats", "--json").stdout)
    assert rows["sessions"] == 5


def test_a_changed_input_is_noticed(project):
    """The rows that are done are no longer what they were: a clear error, nothing mixed."""
    write_inputs(project, "good 1")
    run(project, code=0)
    write_inputs(project, "other 1")

    done = lakehouse(
        project,
        *("run", "--kind", "city", "--input", "in.csv", "--column", "text"),
        *("--output", "out.jsonl"),
        code=2,
    )

    assert "row 0 is not the same text as in the earlier run" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_keeps_what_is_done_and_the_next_one_goes_on(project, number):
    """A signal in the middle: exit 3, whole lines only, and every input once in the end.

    What was under way ended: no session of the log is an outage.
    """
    write_inputs(project, *(f"slow {number}" for number in range(8)))
    arguments = ["run", "--kind", "city", "--input", "in.csv", "--column", "text"]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "lakehouse", *arguments),
            *("--output", "out.jsonl", "--concurrency", "2"),
        ],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    output = project / "out.jsonl"
    wait_until(lambda: output.exists() and output.stat().st_size, "a first line")
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 3
    assert "Stopping: waiting for running sessions to end" in errors
    assert "Run the same command to continue" in errors
    assert 0 < len(lines(output)) < 8
    run(project, code=0)
    assert sorted(line["index"] for line in lines(output)) == list(range(8))
    assert json.loads(lakehouse(project, "stats", "--json").stdout)["infra_error"] == 0


@pytest.mark.parametrize(
    "content",
    [
        '{"precious":1}',
        '{"index":0,"text":"mine"}',
        '{"index":0,"text":"mine"}\n{"index":1,"text":"cut o',
        "no JSON at all",
        '{"in":',
    ],
)
@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.rejects.jsonl"])
def test_a_file_of_others_is_never_cut(project, name, content):
    """A last line without an end is cut off only where a run began it."""
    write_inputs(project, "good 1")
    (project / name).write_text(content)
    arguments = ("--kind", "city", "--input", "in.csv", "--column", "text")

    done = lakehouse(project, "run", *arguments, "--output", "out.jsonl", code=2)

    assert "not a result of `lakehouse run`" in done.stderr
    assert (project / name).read_text() == content


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (("--output", "in.csv"), "--input and --output are the same file"),
        (("--output", "o", "--rejects", "in.csv"), "--input and --rejects are the same file"),
        (("--output", "o", "--rejects", "./o"), "--output and --rejects are the same file"),
        (("--output", "o", "--rejects", "o.run.json"), "--rejects and the record of the run"),
        (("--output", "/dev/null"), "not a regular file"),
        (("--output", "o", "--url", "127.0.0.1:1"), "Such as http://"),
    ],
)
def test_files_that_are_one_and_places_that_are_none_are_refused(project, files, told):
    write_inputs(project, "good 1")
    before = (project / "in.csv").read_bytes()
    arguments = ("--kind", "city", "--input", "in.csv", "--column", "text")

    assert told in lakehouse(project, "run", *arguments, *files, code=2).stderr
    assert (project / "in.csv").read_bytes() == before


def test_results_whose_record_is_missing_are_not_added_to_silently(project):
    write_inputs(project, "good 1")
    run(project, code=0)
    (project / "out.jsonl.run.json").unlink()
    write_inputs(project, "good 1", "good 2")
    arguments = ("--kind", "city", "--input", "in.csv", "--column", "text", "--output", "out.jsonl")

    assert "is missing" in lakehouse(project, "run", *arguments, code=2).stderr
    done = lakehouse(project, "run", *arguments, "--mixed", code=0)
    assert "is missing" in done.stderr
    assert len(lines(project / "out.jsonl")) == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--kind", "nope", "--column", "text"), ["'nope'", "'city'"]),
        (("--kind", "city", "--column", "txt"), ["'txt'", "id, text"]),
    ],
)
def test_a_run_names_what_is_wrong(project, arguments, expected):
    """An unknown kind or column: exit 2, one message with what there is, and no empty files."""
    write_inputs(project, "x")
    done = lakehouse(project, "run", *arguments, "--input", "in.csv", "--output", "o.jsonl", code=2)

    for part in expected:
        assert part in done.stderr
    assert list(project.glob("o.jsonl*")) == []


def test_a_run_that_has_nothing_to_do_says_why_it_is_not_all_right(project):
    """How many of those done before were rejected, and in which file; told the first time too."""
    write_inputs(project, "good 1", "prose")
    named = "1 rejected in all, with their findings: out.jsonl.rejects.jsonl"

    assert named in run(project, code=1)

    told = run(project, code=1)
    assert "accepted 0, rejected 0, infra_error 0; done before 2, 1 of them rejected" in told
    assert named in told


def test_iterate_speaks_to_a_running_gateway(tmp_path):
    """0 accepted, 1 not, 3 nobody there; the reply as it came with --json."""
    (tmp_path / "city.schema.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    with running_stack(tmp_path, CONFIG, apart=False) as processes:
        url = processes["gateway"].url
        good = ("iterate", "--kind", "city", "--url", url)
        told = lakehouse(tmp_path, *good, "--prompt", "good").stdout
        reply = json.loads(lakehouse(tmp_path, *good, "--prompt", "good", "--json").stdout)
        lakehouse(tmp_path, *good, "--prompt", "prose", code=1)
        session = call(processes["gateway"].port, "GET", f"/v1/sessions/{reply['session_id']}")
        shown = lakehouse(tmp_path, "show", reply["session_id"]).stdout
        write_inputs(tmp_path, "good")
        assert "accepted 1," in run(tmp_path, code=0, extra=("--url", url))
        for wrong in (("--kind", "nope"), ("--model", "nope")):
            files = ("--output", "o.jsonl")
            run(tmp_path, code=2, extra=("--url", url, *wrong, *files))
        assert list(tmp_path.glob("o.jsonl*")) == []
    lakehouse(tmp_path, *good, "--prompt", "good", code=3)

    assert '{"city":"Oslo"}' in told
    assert reply["verdict"] == "accepted"
    assert session.json()["rows"][0]["row_id"] == reply["row_id"]
    assert "attempt 0: accepted" in shown


def test_a_table_that_is_not_there_is_named_at_the_start(tmp_path):
    """The daemon starts all the same: the table may come any moment."""
    tables = '[tables.cities]\npath = "cities.csv"\n[tables.there]\npath = "there.csv"\n'
    (tmp_path / "there.csv").write_text("name\nOslo\n")
    with running_stack(tmp_path, '[log]\npath = "log"\n' + tables, apart=False) as processes:
        output = processes["gateway"].output

    [line] = [line for line in output.read_text().splitlines() if line.startswith("warning: ")]
    assert line.startswith("warning: tables.cities.path: ")
    assert "cities.csv does not exist" in line


def test_init_writes_a_project_that_works_and_overwrites_nothing(tmp_path):
    """Every file, then a refusal that names the file; doctor finds no fault with its files."""
    lakehouse(tmp_path, "init", "p")
    done = lakehouse(tmp_path, "init", "p", code=2)
    assert "lakehouse.toml already exists" in done.stderr

    checks = json.loads(
        run_command(
            ["doctor", "--json"],
            cwd=tmp_path / "p",
            timeout=60,
        ).stdout
    )["checks"]
    states = {check["name"]: check["state"] for check in checks}
    assert {states[name] for name in ("config", "kinds", "rules", "table airports", "daemon")} == {
        "ok"
    }


def test_doctor_says_what_is_missing_and_how_to_fix_it(project):
    """A table that is not there: exit 1, its name, and what to do."""
    with (project / "lakehouse.toml").open("a") as file:
        file.write('[tables.t]\npath = "gone.csv"\n')

    done = lakehouse(project, "doctor", code=1)

    assert "table t" in done.stdout
    assert "gone.csv" in done.stdout
    assert "fix:" in done.stdout


def checks_of(directory: Path, *, code: int) -> dict[str, dict[str, str]]:
    found = json.loads(lakehouse(directory, "doctor", "--json", code=code).stdout)["checks"]
    return {check["name"]: check for check in found}


def test_doctor_names_its_checks_when_none_is_meant(project):
    """A check that does not exist is not a check that passed."""
    done = lakehouse(project, "doctor", "nothing", code=2)

    assert "'nothing'" in done.stderr
    assert "config, kinds, rules, keys, log space" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("schema", "rule", "broken", "fix"),
    [
        ({"type": "objekt"}, "SELECT TRUE", "kinds", "JSON Schema 2020-12"),
        (SCHEMA, "SELEC TRUE", "rules", "[[kinds.city.rules]]"),
    ],
)
def test_doctor_tells_a_cause_once(project, schema, rule, broken, fix):
    """One problem with its fix; what depends on it is skipped, and says because of what."""
    (project / "city.schema.json").write_text(json.dumps(schema))
    (project / "t.csv").write_text("name\nOslo\n")
    with (project / "lakehouse.toml").open("a") as file:
        file.write(f'[[kinds.city.rules]]\nsql = "{rule}"\nmessage = "m"\n')
        file.write('[tables.t]\npath = "t.csv"\n')

    checks = checks_of(project, code=1)

    assert [name for name in checks if checks[name]["state"] == "problem"] == [broken]
    assert fix in checks[broken]["fix"]
    for name in ("table t", "daemon", "model small"):
        assert checks[name]["state"] == "skipped"
        assert checks[name]["detail"] == f"needs '{broken}' to be fixed first"


def test_doctor_says_when_an_embedded_model_is_loaded(project):
    """At the start of a daemon, unless `preload` says otherwise."""
    (project / "m.gguf").write_bytes(b"GGUF")
    model = f'provider = "llama_cpp"\nmodel = "{project / "m.gguf"}"\n'
    with (project / "lakehouse.toml").open("a") as file:
        file.write(f"[models.early]\n{model}[models.late]\n{model}preload = false\n")

    checks = checks_of(project, code=0)

    assert "a daemon loads it when it starts" in checks["model early"]["detail"]
    assert "a daemon loads it at its first call" in checks["model late"]["detail"]


def test_doctor_lays_missing_keys_to_the_keys(project):
    """The daemon that needs them is skipped, not a second problem."""
    with (project / "lakehouse.toml").open("a") as file:
        file.write('[gateway]\napi_keys_env = "NOT_SET_ANYWHERE"\n')

    checks = checks_of(project, code=1)

    assert [name for name in checks if checks[name]["state"] == "problem"] == ["keys"]
    assert "'keys'" in checks["daemon"]["detail"]


def test_doctor_says_where_to_mend_a_column_that_is_not_there(project):
    """The columns there are, and the kind that asks for another; never to run doctor again."""
    (project / "t.csv").write_text("name\nOslo\n")
    with (project / "lakehouse.toml").open("a") as file:
        file.write('[[kinds.city.grounding]]\npath = "/city"\ncolumn = "t.nome"\n')
        file.write('[tables.t]\npath = "t.csv"\n')

    check = checks_of(project, code=1)["table t"]

    assert check["state"] == "problem"
    told = "'nome': there is no such column (did you mean 'name'?); its columns are name"
    assert told in check["detail"]
    assert "kinds.city" in check["fix"]
    assert "doctor" not in check["fix"]


def test_stats_shows_what_clients_sent_again_only_where_there_is_any(project):
    """In a column for each group, and in JSON."""
    log = project / "log"
    fill(log, make_row(metadata={"door": "openai.chat"}))
    assert "repeated" not in lakehouse(project, "stats", "--by", "door").stdout
    assert "repeated" not in lakehouse(project, "stats", "--json").stdout

    fill(log, make_row(), make_row(metadata={"door": "openai.chat", "client_retry": "2"}))
    shown = lakehouse(project, "stats", "--by", "door").stdout
    found = json.loads(lakehouse(project, "stats", "--json").stdout)

    heading, *rows = shown.splitlines()
    assert "repeated by clients" in heading
    ends = {row.split()[0]: row.rstrip().rsplit("  ", 1)[-1] for row in rows}
    assert ends == {"(none)": "0 (0.0 %)", "openai.chat": "1 (50.0 %)", "all": "1 (33.3 %)"}
    assert (found["sessions"], found["repeated"]) == (3, 1)
    assert round(found["repeated_rate"], 3) == 0.333


def test_the_log_commands_answer_on_an_empty_log(project):
    """No directory yet: empty tables and null rates, not errors."""
    stats = json.loads(lakehouse(project, "stats", "--json").stdout)
    assert (stats["sessions"], stats["first_shot_rate"]) == (0, None)
    assert json.loads(lakehouse(project, "sessions", "--json").stdout)["sessions"] == []
    assert json.loads(lakehouse(project, "query", "--json", "SELECT 1 AS n").stdout) == [{"n": 1}]
    lakehouse(project, "tail")
    lakehouse(project, "show", "nothing", code=1)
    done = lakehouse(project, "query", "SELEC 1", code=2)
    assert len(done.stderr.splitlines()) <= 2


def test_a_verdict_that_does_not_exist_is_refused(project):
    """The three that there are, not an empty table."""
    done = lakehouse(project, "sessions", "--verdict", "ok", code=2)

    for verdict in ("accepted", "max_iter_exhausted", "infra_error"):
        assert verdict in done.stderr


def test_an_empty_answer_from_the_wrong_directory_says_so(tmp_path, project):
    """Without a configuration and a log: one line with where the log would be; else nothing."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for command in (("sessions",), ("stats", "--json"), ("tail",), ("query", "SELECT 1")):
        [told] = lakehouse(elsewhere, *command).stderr.splitlines()
        assert told.startswith("No lakehouse.toml here: using built-in defaults")
        assert str(elsewhere / "lakehouse-data" / "sessions") in told
        assert lakehouse(project, *command).stderr == ""
