"""`lakehouse trace resend` and `lakehouse doctor tracing`: what is printed, and the exit codes."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from lakehouse.core.row import LoggedError
from lakehouse.core.row_codec import add_crc, encode_line
from support.dead_writer import dead_writer
from support.forked_commands import run_command
from support.langfuse import SECRET_KEY, LangfuseServer, langfuse
from support.rows import make_row, rejected_attempt
from support.stack import free_port, untraced

ENVIRONMENT = {
    **untraced(os.environ),
    "LAKEHOUSE_LOG__PATH": '"sessions"',
}
EARLY = ("--since", "2020-01-01T00:00:00Z")


def run(
    directory: Path, *arguments: str, code: int = 0, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = run_command(
        arguments,
        cwd=directory,
        env={**ENVIRONMENT, **(environment or {})},
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET_KEY not in done.stdout + done.stderr
    return done


def sessions_of(server: LangfuseServer) -> set[str]:
    return {span.attributes["lakehouse.row_id"] for span in server.spans.values()}


def test_rows_of_a_time_are_sent_and_no_others(tmp_path):
    """From --since on, before --until."""
    rows = [make_row(timestamp=f"2026-01-0{day}T00:00:00.000000Z") for day in (1, 2, 3)]
    dead_writer(tmp_path / "sessions", rows=rows)
    between = ("--since", "2026-01-02T00:00:00Z", "--until", "2026-01-03T00:00:00Z")
    with langfuse() as server:
        shown = run(tmp_path, "trace", "resend", *between, environment=server.environment())
        assert sessions_of(server) == {rows[1].row_id}
        assert server.refusals == []
        assert f"of 1 sessions to {server.url}/api/public/otel/v1/traces; 0 dropped" in shown.stdout


def test_one_session_is_sent_by_its_id(tmp_path):
    rows = [make_row(), make_row()]
    dead_writer(tmp_path / "sessions", rows=rows)
    with langfuse() as server:
        arguments = ("trace", "resend", "--session", rows[0].session_id, "--json")
        done = json.loads(run(tmp_path, *arguments, environment=server.environment()).stdout)
        assert done["sessions"] == 1
        assert sessions_of(server) == {rows[0].row_id}


def test_a_line_that_is_no_row_is_counted_and_costs_no_other(tmp_path):
    """It has a crc and lacks members: written by something that knows the form and not the rest."""
    row = make_row()
    dead_writer(tmp_path / "sessions", rows=[row])
    whole = msgspec.json.decode(encode_line(make_row()), type=dict[str, msgspec.Raw])
    broken = {name: whole[name] for name in ("schema", "session_id", "row_id", "timestamp")}
    line = add_crc(msgspec.json.encode(broken))
    (tmp_path / "sessions" / "inbox.jsonl").write_bytes(b"\n" + line + b"\n")
    with langfuse() as server:
        arguments = ("trace", "resend", *EARLY, "--json")
        done = json.loads(run(tmp_path, *arguments, environment=server.environment()).stdout)
        assert (done["sessions"], done["unreadable"]) == (1, 1)
        assert sessions_of(server) == {row.row_id}


def test_a_row_of_another_program_that_makes_no_trace_takes_no_other_along(tmp_path):
    """A time that is none, an id that is none, an outage without a code: what can be sent, is."""
    whole = make_row()
    attempts = (msgspec.structs.replace(whole.attempts[0], span_id="NOT-AN-ID"),)
    strange = [
        make_row(timestamp="2026-99-99T00:00:00.000000Z"),
        make_row(attempts=attempts),
        make_row(verdict="infra_error", attempts=(), error=None),
    ]
    dead_writer(tmp_path / "sessions", rows=[whole, *strange])
    with langfuse() as server:
        arguments = ("trace", "resend", *EARLY, "--json")
        shown = run(tmp_path, *arguments, code=1, environment=server.environment())
        done = json.loads(shown.stdout)
        assert done["sessions"] == 3  # what has no time is older than every `since`
        assert done["dropped"] == {"invalid": 5}
        assert sessions_of(server) == {row.row_id for row in (whole, *strange[1:])}
        undated = ("trace", "resend", "--session", strange[0].session_id, "--json")
        shown = run(tmp_path, *undated, code=1, environment=server.environment())
        assert json.loads(shown.stdout)["dropped"] == {"invalid": 1}
        assert server.refusals == []


def test_rows_are_placed_and_chosen_by_the_time_they_mean(tmp_path):
    """No zone is UTC, wherever this machine is; offsets count, and so does a row of 2^63-1 ms."""
    texts = ["2026-01-02T03:04:05", "2026-01-02T12:04:05+09:00", "2026-01-02T03:04:05.000000Z"]
    rows = [make_row(timestamp=text, duration_ms=1_000) for text in texts]
    longest = make_row(timestamp=texts[0], duration_ms=2**63 - 1)
    dead_writer(tmp_path / "sessions", rows=[*rows, longest])
    second = ("--since", "2026-01-02T03:04:05Z", "--until", "2026-01-02T03:04:06Z", "--json")
    with langfuse() as server:
        environment = {**server.environment(), "TZ": "Asia/Tokyo"}
        shown = run(tmp_path, "trace", "resend", *second, environment=environment)
        assert json.loads(shown.stdout)["sessions"] == 4
        ended = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp() * 1e9
        spans = [span for span in server.spans.values() if span.name.startswith("session")]
        assert len(spans) == 4
        assert {span.end_ns for span in spans} == {int(ended)}


def test_a_code_of_tomorrow_is_sent_as_it_stands(tmp_path):
    """Of an outage and of a finding."""
    error = LoggedError("one_of_tomorrow", "no")
    finding = rejected_attempt(code="one_of_tomorrow", finish_reason="one_of_tomorrow")
    rows = [
        make_row(verdict="infra_error", attempts=(), error=error, accepted_iteration=None),
        make_row(verdict="max_iter_exhausted", attempts=(finding,), accepted_iteration=None),
    ]
    dead_writer(tmp_path / "sessions", rows=rows)
    with langfuse() as server:
        shown = run(tmp_path, "trace", "resend", *EARLY, "--json", environment=server.environment())
        done = json.loads(shown.stdout)
        assert (done["sessions"], done["unreadable"], done["dropped"]) == (2, 0, {})
        values = [span.attributes for span in server.spans.values()]
        assert any(one.get("error.type") == "one_of_tomorrow" for one in values)
        assert any("one_of_tomorrow" in one.get("lakehouse.finding_codes", ()) for one in values)


def test_a_receiver_that_is_away_is_exit_code_3(tmp_path):
    """With the reason, and that sending again is safe."""
    dead_writer(tmp_path / "sessions", rows=[make_row()])
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    told = run(tmp_path, "trace", "resend", *EARLY, code=3, environment=away).stderr
    assert "cannot be reached" in told
    assert "Run the command again" in told


def test_a_receiver_that_refuses_is_exit_code_1(tmp_path):
    """A wrong key: nothing was taken, and the status is told."""
    dead_writer(tmp_path / "sessions", rows=[make_row()])
    with langfuse() as server:
        wrong = {**server.environment(), "LANGFUSE_PUBLIC_KEY": "pk-lf-wrong"}
        told = run(tmp_path, "trace", "resend", *EARLY, code=1, environment=wrong).stderr
        assert "401" in told
        assert server.spans == {}


def test_what_is_missing_on_the_command_line_is_told(tmp_path):
    """Neither which sessions nor where to is guessed."""
    assert "--since" in run(tmp_path, "trace", "resend", code=2).stderr
    assert "LANGFUSE_URL" in run(tmp_path, "trace", "resend", *EARLY, code=2).stderr
    where = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    bad = ("trace", "resend", "--since", "yesterday")
    assert "yesterday" in run(tmp_path, *bad, code=2, environment=where).stderr


def test_doctor_sends_a_test_span_and_says_what_came_back(tmp_path):
    """With the trace id to look it up by."""
    with langfuse() as server:
        done = run(tmp_path, "doctor", "tracing", "--json", environment=server.environment())
        [check] = json.loads(done.stdout)["checks"]
        [(trace_id, _)] = server.spans
    assert check["state"] == "ok"
    assert trace_id in check["detail"]
    assert "LANGFUSE_URL" in check["detail"]


def test_doctor_tells_a_wrong_key_from_a_receiver_that_is_away(tmp_path):
    """Each with what to do; exit code 1."""
    with langfuse() as server:
        wrong = {**server.environment(), "LANGFUSE_SECRET_KEY": SECRET_KEY + "-wrong"}
        told = run(tmp_path, "doctor", "tracing", code=1, environment=wrong).stdout
        assert "401" in told
        assert "check the keys" in told
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    told = run(tmp_path, "doctor", "tracing", code=1, environment=away).stdout
    assert "cannot be reached" in told
    assert "start the receiver" in told


def test_the_query_of_a_url_is_sent_and_never_printed(tmp_path):
    """It may be a receiver's key; which receiver it was is still told."""
    dead_writer(tmp_path / "sessions", rows=[make_row()])
    with langfuse() as server:
        where = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{server.url}/take?api_key={SECRET_KEY}"}
        for arguments in (("trace", "resend", *EARLY), ("doctor", "tracing")):
            told = run(tmp_path, *arguments, code=1, environment=where).stdout
            assert "".join(told.split()).count(f"{server.url}/take") == 1
            assert server.posted[-1].path == f"/take?api_key={SECRET_KEY}"
        assert len(server.posted) == 2


def test_doctor_says_that_tracing_is_off_and_what_is_half_set(tmp_path):
    assert "off" in run(tmp_path, "doctor", "tracing").stdout
    half = {"LANGFUSE_URL": "http://127.0.0.1:1"}
    told = run(tmp_path, "doctor", "tracing", code=1, environment=half).stdout
    assert "LANGFUSE_PUBLIC_KEY" in told


def test_the_exporter_is_loaded_only_where_it_is_configured(tmp_path):
    """A daemon without a receiver has no module of it, and nobody has opentelemetry's SDK."""
    code = (
        "import sys\n"
        "from lakehouse.stack import Stack\n"
        "from lakehouse.config.load import load_config\n"
        "Stack(load_config(None, {}), ENVIRONMENT, 'chatd')\n"
        "print([name for name in sys.modules if name.startswith(\n"
        "    ('lakehouse.tracing.', 'opentelemetry'))])\n"
    )

    def loaded(environment: dict[str, str]) -> list[str]:
        script = f"ENVIRONMENT = {environment!r}\n{code}"
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=True,
        )
        return sorted(json.loads(done.stdout.replace("'", '"')))

    words = ("destination", "intake", "langfuse", "otlp_receiver")
    assert loaded({}) == [f"lakehouse.tracing.{name}" for name in words]
    configured = loaded({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})
    assert "lakehouse.tracing.tracer" in configured
    assert not [name for name in configured if name.startswith("opentelemetry")]
