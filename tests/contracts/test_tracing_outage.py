"""The receiver refuses, hangs, fails or forbids under load: no session notices, no row is lost."""

import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.forked_commands import run_command
from support.langfuse import LangfuseServer, Posted, langfuse
from support.metrics import samples
from support.stack import SCRIPTED, Process, call, free_port, running_stack, untraced
from support.waiting import wait_until

SESSIONS = 300
AT_ONCE = 8
KEYS = {"LANGFUSE_PUBLIC_KEY": "pk-lf-test", "LANGFUSE_SECRET_KEY": "sk-lf-canary"}
DROPPED = re.compile(r"(\d+) (queue_full|unreachable|refused|rejected|shutdown)")
SPANS_PER_SESSION = 7  # request, session, attempt, generation, extraction, schema, log append


def project(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "script.json").write_text(json.dumps(['{"n": 1}']))
    return directory


def load(process: Process) -> list[float]:
    """Run the sessions; each must be accepted. Gives the seconds of each."""

    def one(_: int) -> float:
        begun = time.perf_counter()
        body = {"schema": {"type": "object"}, "prompt": "x"}
        answer = call(process.port, "POST", "/v1/iterate", body)
        assert answer.status == 200, answer.body
        return time.perf_counter() - begun

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(SESSIONS)))


def rows(directory: Path) -> int:
    lines = b"\n".join(path.read_bytes() for path in (directory / "log").rglob("*.jsonl"))
    return lines.count(b'{"schema":"session.iterate.v1"')


def counted(process: Process, what: str) -> dict[str, int]:
    """What /metrics says became of the spans or scores, by reason; sent ones under ""."""
    return {
        sample.labels["reason"]: int(sample.value)
        for sample in samples(process.port)
        if sample.name == "lakehouse_tracing_items_total" and sample.labels["what"] == what
    }


def sent_by_metrics(process: Process, what: str) -> int:
    return counted(process, what).get("", 0)


def dropped_by_metrics(process: Process, what: str) -> int:
    return sum(count for reason, count in counted(process, what).items() if reason)


def dropped_by_log(process: Process, what: str) -> int:
    """What the daemon says, when it ends, that it could not deliver."""
    lines = [line for line in process.output.read_text().splitlines() if line.startswith("{")]
    told = [json.loads(line) for line in lines]
    ended = [one["message"] for one in told if one["logger"] == "lakehouse.tracing.tracer"]
    [last] = [message for message in ended if message.startswith(f"{what}: ")]
    return sum(int(count) for count, _ in DROPPED.findall(last))


def hang(_: Posted) -> None:
    time.sleep(30.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "before",
    [
        hang,
        lambda _: (503, {}, b""),
        lambda _: (429, {"retry-after": "60"}, b""),
        lambda _: (500, {}, b"oops"),
        lambda _: (401, {}, b"{}"),
    ],
    ids=["hangs", "503", "429 for a minute", "500", "401"],
)
def test_a_receiver_in_trouble_costs_no_session_and_no_row(before, tmp_path):
    """Every answer is given, every row written, and every span and score is accounted for."""
    directory = project(tmp_path / "s")
    with langfuse() as server:
        server.before = before
        with running_stack(
            directory, SCRIPTED, apart=False, environment=server.environment()
        ) as processes:
            seconds = load(processes["gateway"])
            begun = time.monotonic()
            assert processes["gateway"].stop() == 0
            stopped_s = time.monotonic() - begun
    assert rows(directory) == SESSIONS
    assert server.posted, "the receiver was never asked: nothing was in trouble"
    assert server.spans == {}
    assert dropped_by_log(processes["gateway"], "spans") == SESSIONS * SPANS_PER_SESSION
    assert dropped_by_log(processes["gateway"], "scores") == SESSIONS * 3
    assert stopped_s < 25.0  # a hung receiver answers after 30 s
    assert max(seconds) < 25.0


@pytest.mark.slow
def test_a_receiver_that_is_not_there_costs_no_session_and_no_row(tmp_path):
    """Nobody listens; the same."""
    directory = project(tmp_path / "s")
    environment = {"LANGFUSE_URL": f"http://127.0.0.1:{free_port()}", **KEYS}
    with running_stack(directory, SCRIPTED, apart=False, environment=environment) as processes:
        load(processes["gateway"])
        assert processes["gateway"].stop() == 0
    assert rows(directory) == SESSIONS
    assert dropped_by_log(processes["gateway"], "spans") == SESSIONS * SPANS_PER_SESSION


def test_drops_are_counted_while_the_daemon_runs(tmp_path):
    """/metrics tells them by reason, and what was sent once the receiver is well again."""
    forbidding = True

    def before(_: Posted):
        return (403, {}, b"{}") if forbidding else None

    with langfuse() as server:
        server.before = before
        with running_stack(
            project(tmp_path / "s"), SCRIPTED, apart=False, environment=server.environment()
        ) as processes:
            gateway = processes["gateway"]
            body = {"schema": {"type": "object"}, "prompt": "x"}
            call(gateway.port, "POST", "/v1/iterate", body)
            wait_until(lambda: dropped_by_metrics(gateway, "spans") == SPANS_PER_SESSION, "spans")
            wait_until(lambda: dropped_by_metrics(gateway, "scores") == 3, "scores")
            forbidding = False
            call(gateway.port, "POST", "/v1/iterate", body)
            # The receiver has a span before the daemon knows that it was taken, and counts it then.
            wait_until(lambda: sent_by_metrics(gateway, "spans") == SPANS_PER_SESSION, "sent spans")
            assert len(server.spans) == SPANS_PER_SESSION
            assert dropped_by_metrics(gateway, "spans") == SPANS_PER_SESSION


def test_sessions_that_the_receiver_missed_are_sent_from_the_log(tmp_path):
    """Under the ids that their rows have had all along, twice as good as once."""
    directory = project(tmp_path / "s")
    body = {"schema": {"type": "object"}, "prompt": "x"}
    with running_stack(directory, SCRIPTED, apart=False) as processes:
        replies = [
            call(processes["gateway"].port, "POST", "/v1/iterate", body).json() for _ in range(3)
        ]
    with langfuse() as server:
        for _ in range(2):
            done = resend(directory, server)
            assert done == {
                "sessions": 3,
                "sent": 3 * (SPANS_PER_SESSION + 3),
                "dropped": {},
                "unreadable": 0,
            }
        assert {trace for trace, _ in server.spans} == {reply["trace_id"] for reply in replies}
        assert len(server.spans) == 3 * SPANS_PER_SESSION
        assert len(server.scores) == 9
        attempts = {span.span_id for span in server.spans.values() if span.name == "attempt"}
        assert attempts == {reply["attempts"][0]["span_id"] for reply in replies}
        assert server.refusals == []


def resend(directory: Path, server: LangfuseServer) -> dict[str, Any]:
    done = run_command(
        [
            *("trace", "resend", "--json", "--since", "2026-01-01T00:00:00Z"),
        ],
        cwd=directory,
        env={**untraced(os.environ), **server.environment()},
        timeout=60,
    )
    done.check_returncode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found
