"""The configuration read anew in a running daemon: what changes, what stays, and who is told."""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse.gateway.auth import new_key
from support.forked_commands import run_command
from support.stack import SCRIPTED, Answer, Process, call, running_stack
from support.waiting import wait_until

SCRIPT = {"matches": {"slow": [{"text": '{"a": 1}', "delay_ms": 1_500}], "": ['{"a": 1}']}}
KIND = '[kinds.{name}]\nschema = "{schema}"\n'
OBJECT, WITH_B = '{"type": "object"}', '{"type": "object", "required": ["b"]}'


class Served:
    """A stack of one process, whose configuration tests change."""

    def __init__(self, directory: Path, process: Process) -> None:
        self.directory = directory
        self.process = process
        self.port = process.port

    def write(self, text: str) -> None:
        (self.directory / "lakehouse.toml").write_text(SCRIPTED + text)

    def reload(self, **headers: str) -> Answer:
        return call(self.port, "POST", "/v1/reload", headers=headers)

    def ask(self, kind: str, prompt: str = "x", **headers: str) -> Answer:
        body = {"kind": kind, "prompt": prompt, "max_iterations": 1}
        return call(self.port, "POST", "/v1/iterate", body, headers)

    def ready(self) -> Any:
        return call(self.port, "GET", "/readyz").json()

    def rows(self) -> list[Any]:
        lines = b"".join(path.read_bytes() for path in (self.directory / "log/active").iterdir())
        read = [json.loads(line) for line in lines.split(b"\n") if line]
        return [row for row in read if row["schema"] == "session.iterate.v1"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    (tmp_path / "object.json").write_text(OBJECT)
    (tmp_path / "b.json").write_text(WITH_B)
    config = SCRIPTED + KIND.format(name="one", schema="object.json")
    with running_stack(tmp_path, config, apart=False) as processes:
        yield Served(tmp_path, processes["gateway"])


def test_a_reload_changes_kinds_and_a_session_under_way_ends_on_what_it_began_with(served: Served):
    """Its row has the former digest; the next one the new digest, and the new schema."""
    answers: list[Answer] = []
    caller = threading.Thread(target=lambda: answers.append(served.ask("one", "slow")))
    caller.start()
    active = served.directory / "log/active"
    wait_until(lambda: any(b'"slow"' in each.read_bytes() for each in active.iterdir()), "a start")
    kinds = [KIND.format(name=name, schema="b.json") for name in ("one", "two")]
    served.write("".join(kinds))

    told = served.reload()
    assert (told.status, told.json()["config"]) == (200, "current")
    assert served.ask("one").json()["verdict"] == "max_iter_exhausted"
    assert served.ask("two").json()["verdict"] == "max_iter_exhausted"
    caller.join()
    assert [answer.json()["verdict"] for answer in answers] == ["accepted"]
    before, after = (
        {row["config_digest"] for row in served.rows() if (row["prompt"] == "slow") is slow}
        for slow in (True, False)
    )
    assert after == {told.json()["digest"]} != before


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[kinds.one", "not valid TOML"),
        ('[kinds.one]\nschema = "nowhere.json"\n', "nowhere.json"),
        ('[kinds.one]\nschmea = "object.json"\n', "schmea"),
        ('[kinds.one]\nschema = "object.json"\nmodel = "larger"\n', "larger"),
        ('[log]\npath = "elsewhere"\n', "log.path"),
    ],
)
def test_a_bad_file_changes_nothing_and_is_told(served: Served, text: str, named: str):
    """In the answer, on `/readyz`, in the daemon's log; a good one ends that."""
    digest = served.reload().json()["digest"]
    if text.startswith("[log]"):
        (served.directory / "lakehouse.toml").write_text(
            SCRIPTED.replace('path = "log"', 'path = "elsewhere"')
        )
    else:
        served.write(text)
    told = served.reload()
    assert (told.status, told.json()["code"]) == (422, "invalid_config")
    assert named in told.json()["detail"]
    assert served.ready()["config"] == "stale"
    assert named in served.ready()["config_reason"]
    assert served.ready()["ready"] is True
    assert "the configuration was not reloaded" in served.process.output.read_text()
    assert served.ask("one").json()["verdict"] == "accepted"
    assert served.rows()[-1]["config_digest"] == digest

    served.write(KIND.format(name="one", schema="object.json"))
    assert served.reload().status == 200
    assert (served.ready()["config"], served.ready()["config_reason"]) == ("current", None)


def test_a_hangup_reloads(served: Served):
    """As `systemctl reload` sends it: the process stays, and tells of a bad file."""
    served.write(KIND.format(name="two", schema="object.json"))
    os.kill(served.process.pid, signal.SIGHUP)
    wait_until(lambda: served.ask("two").status == 200, "the new kind")
    assert served.ask("one").json()["code"] == "unknown_kind"
    served.write("[kinds")
    os.kill(served.process.pid, signal.SIGHUP)
    wait_until(lambda: served.ready()["config"] == "stale", "the failure")


def test_the_command_says_it_by_its_exit_code(served: Served):
    def run() -> subprocess.CompletedProcess[str]:
        argv = ["reload", "--url", served.process.url]
        return run_command(argv, cwd=served.directory, timeout=60)

    served.write(KIND.format(name="two", schema="object.json"))
    good = run()
    assert (good.returncode, good.stderr) == (0, "")
    assert re.search(r"serves the configuration sha256:[0-9a-f]{64}", good.stdout)
    served.write('[kinds.two]\nschema = "nowhere.json"\n')
    bad = run()
    assert bad.returncode == 2
    assert "nowhere.json" in bad.stderr


def test_keys_of_a_file_come_and_go_and_only_an_administrator_reloads(tmp_path: Path):
    """Without a restart; the file's names are those that the configuration may name."""
    ops, bob, eve = (new_key(name) for name in ("ops", "bob", "eve"))
    config = '[gateway]\napi_keys_file = "keys"\nadmin_keys = ["ops"]\n' + KIND.format(
        name="one", schema="object.json"
    )
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    (tmp_path / "object.json").write_text(OBJECT)
    (tmp_path / "keys").write_text(f"# administrators\n{ops.entry}\n\n{bob.entry}\n")
    with running_stack(tmp_path, SCRIPTED + config, apart=False) as processes:
        served = Served(tmp_path, processes["gateway"])
        as_ops, as_bob, as_eve = (
            {"Authorization": f"Bearer {key.secret}"} for key in (ops, bob, eve)
        )
        assert served.ask("one", **as_bob).status == 200
        assert served.ask("one", **as_eve).status == 401
        refused = served.reload(**as_bob)
        assert (refused.status, refused.json()["code"]) == (401, "unauthorized")
        assert "admin_keys" in refused.json()["hint"]
        assert served.reload().status == 401

        (tmp_path / "keys").write_text(f"{ops.entry}\n{eve.entry}\n")
        assert served.reload(**as_ops).status == 200
        assert served.ask("one", **as_bob).status == 401
        assert served.ask("one", **as_eve).status == 200
        for keys, named in ((eve.entry, "ops"), (f"{ops.entry}\nnonsense", "line 2"), ("", "none")):
            (tmp_path / "keys").write_text(keys)
            told = served.reload(**as_ops)
            assert told.status == 422
            assert named in told.json()["detail"]


def test_no_request_is_lost_over_reloads(served: Served):
    """Eight callers on connections that stay open, while good and bad files are read."""
    stop = threading.Event()
    lost: list[Answer] = []
    done: list[Answer] = []

    def ask() -> None:
        while not stop.is_set():
            answer = served.ask("one")
            (done if answer.status == 200 else lost).append(answer)

    callers = [threading.Thread(target=ask) for _ in range(8)]
    for caller in callers:
        caller.start()
    for turn in range(30):
        bad = turn % 3 == 2
        good = KIND.format(name="one", schema="object.json") + f"#{turn}"
        served.write("[kinds" if bad else good)
        assert served.reload().status == (422 if bad else 200)
    stop.set()
    for caller in callers:
        caller.join()
    assert lost == []
    assert len(done) >= 30
    assert len(served.rows()) == len(done)


def test_reloads_leave_nothing_behind(served: Served):
    """No descriptor, no thread, no child process."""

    def held() -> list[int]:
        base = Path(f"/proc/{served.process.pid}")
        children = (base / f"task/{served.process.pid}/children").read_text().split()
        return [*(len(list((base / each).iterdir())) for each in ("fd", "task")), len(children)]

    for _ in range(10):  # asyncio's pool of threads grows to its size
        served.reload()
        served.ask("one")
    before = held()
    for _ in range(20):
        assert served.reload().status == 200
        assert served.ask("one").status == 200
    wait_until(
        lambda: all(now <= then for now, then in zip(held(), before, strict=True)),
        "what reloads made to be closed",
    )
