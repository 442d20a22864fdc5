"""Writes a log with everything that a log can have, and what the version that wrote it says of it.

    python tools/build_upgrade_fixture.py 0.1 /srv/lakehouse

Later versions must read it: tests/reality/test_upgrade.py. Run it with the code of a release, once,
when that release is made, never again: a fixture that later code wrote proves nothing. The project
under tests/fixtures/upgrade/VERSION/project must be there. The second argument is a directory that
is not there yet, in which the stack runs: the compacted table tells where it was made. To run it
with other code than that of this checkout, put that code's `src` first on PYTHONPATH.
"""

import gzip
import io
import json
import os
import shutil
import signal
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import run as run_program
from typing import Any

from lakehouse.gateway.auth import new_key
from support.old_log import LOG, OLD_PROJECTS, environment, run, told, unpacked
from support.stack import Answer, Process, call, free_port

TRACE = "0af7651916cd43dd8448eb211c80319c"
PYTHON_CALLS = """
import lakehouse
from lakehouse import Exhausted, Reject
from shop import Order

with lakehouse.open("lakehouse.toml") as lake:

    @lake.check(Order)
    def few(order):
        if order.desks > 9:
            raise Reject("too many", path="/desks")

    lake.create(Order, "Two desks for Oslo.", metadata={"team": "blue"})
    try:
        lake.create(dict[str, int], "prose for a mapping", max_retries=1)
    except Exhausted:
        pass
"""


def main() -> None:
    version, project = sys.argv[1], Path(sys.argv[2])
    target = OLD_PROJECTS / version
    shutil.copytree(target / "project", project)
    _first_life(project)
    _second_life(project)
    _by_hand(project)
    _replays(project)
    _third_life(project)
    _pack(project, target / "log.tar.gz")
    with tempfile.TemporaryDirectory() as scratch:  # of a log that was moved
        known = told(unpacked(version, Path(scratch)))
    text = json.dumps(known, indent=1, ensure_ascii=False, sort_keys=True)
    (target / "expected.json").write_text(text + "\n")
    print(f"{len(known['rows'])} rows")


@contextmanager
def _stack(project: Path, end: int, **variables: str) -> Iterator[int]:
    port = free_port()
    listen = {"LAKEHOUSE_GATEWAY__LISTEN": f'"127.0.0.1:{port}"'}
    process = Process(
        "up", project / "lakehouse.toml", port, {**environment(project), **listen, **variables}
    )
    try:
        yield port
    finally:
        process.stop(end)


def _first_life(project: Path) -> None:
    """Sessions of every outcome and every door; then the process is killed, and a line damaged."""
    with _stack(project, signal.SIGKILL) as port:
        _ask(port, "first shot: it is delayed, in London", headers=_traced())
        _ask(port, "retry: it is delayed", conversation_id="c-1", metadata={"team": "blue"})
        _ask(port, "prose, and no JSON at all")
        _ask(port, "malformed answer of the endpoint")
        _ask(port, "slow: over its deadline", deadline_ms=300)
        _ask(port, "counted: delayed", temperature=0.2, top_p=0.9, seed=7, stop=["END"])
        _ask(port, "tour to OSL", kind="tour")
        _ask(port, "two desks, please", kind="order", candidates="off")
        _ask(port, "numbers", kind=None, schema={"type": "object", "required": ["n"]})
        narrower = {"properties": {"code": {"enum": ["LHR", "OSL"]}}}
        _ask(port, "first shot: delayed, for a caller's schema", output_schema=narrower)
        for _ in range(2):
            _ask(port, "first shot: delayed, by key", headers={"Idempotency-Key": "old-1"})
        answer = {"model": "event", "messages": [_user("first shot: delayed, by OpenAI's client")]}
        assert call(port, "POST", "/v1/chat/completions", answer).status == 200
        answer = {"model": "event", "input": "prose, by OpenAI's other API"}
        assert call(port, "POST", "/v1/responses", answer).status == 400
        to_forget = _ask(port, "first shot: delayed, to be forgotten")
        labelled = [_ask(port, f"first shot: delayed, labelled {number}") for number in range(3)]
        _label(port, labelled)
        _leave_unfinished(project, port)
    _in_python(project)
    with _newest_segment(project).open("ab") as segment:
        segment.write(b'\n{"event":"session.iterate.v1","row_id":"damaged\n')
    run(project, ("log", "reap"), ("log", "seal"), ("log", "compact"))
    run(project, ("log", "forget", to_forget["session_id"]))


def _second_life(project: Path) -> None:
    """A stack with API keys that ends as it should; its files are sealed, and not compacted."""
    key = new_key("ana")
    own = {"Authorization": f"Bearer {key.secret}"}
    variables = {"LAKEHOUSE_GATEWAY__API_KEYS_ENV": "OLD_KEYS", "OLD_KEYS": key.entry}
    with _stack(project, signal.SIGTERM, **variables) as port:
        _ask(port, "first shot: delayed, for ana", headers=own)
        _ask(port, "prose, for ana", headers=own)
        _ask(port, "first shot: delayed, ana's", headers={**own, "Idempotency-Key": "old-2"})
        assert call(port, "GET", "/ui/sessions.json", headers=own).status == 200
    run(project, ("log", "seal"))


def _by_hand(project: Path) -> None:
    """A row that another program appended, without a crc."""
    [line] = run(project, ("tail", "-n", "1", "--json"))
    row = json.loads(line)
    row |= {"row_id": "0" * 31 + "1", "session_id": "0" * 31 + "2"}
    row["prompt"] = "first shot: delayed, by hand"
    row.pop("crc", None)
    with (project / LOG / "inbox.jsonl").open("ab") as inbox:
        inbox.write(b"\n" + json.dumps(row).encode() + b"\n")


def _replays(project: Path) -> None:
    """Two replays: with another model, and of the judgement alone."""
    chosen = ("--kind", "event", "--json")
    run(project, ("replay", "--model", "other", *chosen))
    run(project, ("replay", "--rejudge", "--limit", "5", *chosen))


def _third_life(project: Path) -> None:
    """A process that is killed: its file and the session under way stay as they were."""
    with _stack(project, signal.SIGKILL) as port:
        _ask(port, "first shot: delayed, in the last file")
        _ask(port, "retry: delayed, in the last file")
        _leave_unfinished(project, port)


def _ask(
    port: int, prompt: str, *, headers: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    body = {"kind": "event", "prompt": prompt, **more}
    answer: Answer = call(port, "POST", "/v1/iterate", body, headers)
    assert answer.status in {200, 422, 502, 504}, answer.body
    given: dict[str, Any] = answer.json()
    return given


def _leave_unfinished(project: Path, port: int) -> None:
    """Begin a session that does not end, and wait until its first line is in the log."""
    child = os.fork()
    if child == 0:
        try:
            call(port, "POST", "/v1/iterate", {"kind": "event", "prompt": "slow: never ends"})
        finally:
            os._exit(0)
    until = time.monotonic() + 60
    while b"slow: never ends" not in _newest_segment(project).read_bytes():
        assert time.monotonic() < until, "the session does not begin"
        time.sleep(0.02)


def _in_python(project: Path) -> None:
    run_program(
        (sys.executable, "-c", PYTHON_CALLS), cwd=project, env=environment(project), check=True
    )


def _newest_segment(project: Path) -> Path:
    segments = (project / LOG / "active").glob("*.jsonl")
    return max(segments, key=lambda path: path.stat().st_mtime_ns)


def _label(port: int, sessions: list[dict[str, Any]]) -> None:
    corrected = {"code": "OSL", "city": "Oslo", "quote": "delayed"}
    labels: tuple[dict[str, Any], ...] = (
        {"label": "right"},
        {"label": "wrong", "comment": "It was on time.", "author": "ana"},
        {"label": "corrected", "artifact": corrected},
    )
    for session, label in zip(sessions, labels, strict=True):
        body = {"session_id": session["session_id"], **label}
        answer = call(port, "POST", "/v1/feedback", body)
        assert answer.status < 300, answer.body


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _traced() -> dict[str, str]:
    return {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "rojo=00f067aa0ba902b7"}


def _pack(project: Path, target: Path) -> None:
    """Pack the log with its empty directories and modes, and without owners."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(project / LOG, LOG, filter=_anonymous)
    target.write_bytes(gzip.compress(packed.getvalue(), mtime=0))


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main()
