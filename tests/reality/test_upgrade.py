"""A log and configurations of an earlier version, read and carried on by this one.

The fixtures were written by that version, with what it said of them beside: `tools/
build_upgrade_fixture.py`. Members and columns may be added; none may go, or mean something else.
"""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.old_log import (
    ALL_ROWS,
    LOG,
    OLD_PROJECTS,
    by_row_id,
    differences,
    environment,
    expected,
    members_of,
    run,
    told,
    unpacked,
)
from support.stack import Process, call, free_port
from support.waiting import wait_until

VERSIONS = sorted(path.name for path in OLD_PROJECTS.iterdir())
KEYED = {"kind": "event", "prompt": "first shot: delayed, by key"}


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def project(version: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An old project that tests only read."""
    return unpacked(version, tmp_path_factory.mktemp("old"))


@pytest.fixture(scope="module")
def carried_on(
    version: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, int]]:
    """An old project in which a stack of this version runs; with its port."""
    project = unpacked(version, tmp_path_factory.mktemp("carried_on"))
    port = free_port()
    listen = {"LAKEHOUSE_GATEWAY__LISTEN": f'"127.0.0.1:{port}"'}
    process = Process("up", project / "lakehouse.toml", port, {**environment(project), **listen})
    try:
        yield project, port
    finally:
        process.stop(signal.SIGTERM)


def test_every_row_column_rate_and_setting_is_what_it_was(version: str, project: Path):
    assert list(differences(expected(version), told(project))) == []


def test_a_file_of_rows_that_is_lost_is_told(version: str, project: Path, tmp_path: Path):
    damaged = shutil.copytree(project, tmp_path / "damaged")
    in_table = json.loads((damaged / LOG / "compacted" / "1.json").read_bytes())["segments"]
    for file in (damaged / LOG / "sealed").glob("*.jsonl"):
        if file.name not in in_table:
            file.unlink()

    [lines] = run(damaged, ALL_ROWS)

    known = {"rows": dict.fromkeys(expected(version)["rows"])}
    found = {"rows": dict.fromkeys(by_row_id(lines))}
    assert any("is missing" in told for told in differences(known, found))


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({"n": 1.0, "more": 1}, "/n is 1.0, not 1"),
        ({"more": 1}, "/n is missing"),
        ({"n": "1"}, "/n is '1', not 1"),
    ],
)
def test_a_member_that_means_something_else_is_told(found: dict[str, Any], why: str):
    assert list(differences({"n": 1}, found)) == [why]
    assert list(differences([found, found], [found])) == [" has 1 elements, not 2"]
    assert list(differences({"n": 1}, {"n": 1, "more": 1})) == []


def test_the_doctor_finds_nothing_wrong_and_a_session_is_shown(version: str, project: Path):
    rejected = next(
        row["row_id"]
        for row in expected(version)["views"]["sessions"]
        if row["verdict"] == "max_iter_exhausted" and row["daemon"] == "validatord"
    )

    checked, shown = run(project, ("doctor", "--json"), ("show", rejected))

    assert {check["state"] for check in json.loads(checked)["checks"]} == {"ok"}
    assert "attempt 0" in shown
    assert "attempt 1" in shown


def test_columns_are_told_apart_by_name_and_type():
    old = members_of('STRUCT("a" BIGINT, b STRUCT(c DECIMAL(3,1), d VARCHAR[])[])[]')
    new = members_of(
        'STRUCT(z JSON, b STRUCT(e JSON, d VARCHAR[], c DECIMAL(3,1))[], "a" BIGINT)[]'
    )
    wrong = members_of('STRUCT("a" DOUBLE, b STRUCT(d VARCHAR[])[])[]')

    assert list(differences(old, new)) == []
    assert list(differences(old, wrong)) == [
        "/list of/a is 'DOUBLE', not 'BIGINT'",
        "/list of/b/list of/c is missing",
    ]


def test_old_sessions_stand_in_the_pages(version: str, carried_on: tuple[Path, int]):
    _, port = carried_on
    known = expected(version)["views"]
    rejected = known["findings"][0]["row_id"]
    for page in ("/ui", "/ui/findings", "/ui/kinds", f"/ui/sessions/{rejected}"):
        assert call(port, "GET", page, headers={"Accept": "text/html"}).status == 200, page
    rows = "/ui/sessions.jsonl"
    wait_until(lambda: call(port, "GET", rows).status == 200, "the index of the whole log")
    listed = call(port, "GET", rows).body.decode()
    for row in known["sessions"]:
        assert (row["row_id"] in listed) is (row["daemon"] != "replay")


def test_an_old_idempotency_key_still_finds_its_session(version: str, carried_on: tuple[Path, int]):
    _, port = carried_on
    old = {
        row["row_id"]: row
        for row in expected(version)["views"]["sessions"]
        if row["prompt"] == KEYED["prompt"] and row["daemon"] != "replay"
    }

    answer = call(port, "POST", "/v1/iterate", KEYED, {"Idempotency-Key": "old-1"})

    assert answer.headers["x-lakehouse-replayed"] == "true"
    assert answer.json()["row_id"] in old


def test_a_new_session_of_an_old_kind_has_the_digest_of_old_ones(
    version: str, carried_on: tuple[Path, int]
):
    project, port = carried_on
    old = {
        row["kind"]: row["kind_digest"]
        for row in expected(version)["views"]["sessions"]
        if row["kind"] is not None
    }
    assert len(old) == 3
    prompts = {"event": "first shot: delayed, again", "tour": "tour again", "order": "desks again"}

    made = [
        call(port, "POST", "/v1/iterate", {"kind": kind, "prompt": prompts[kind]}).json()["row_id"]
        for kind in old
    ]

    [lines] = run(project, ALL_ROWS)
    new = [json.loads(by_row_id(lines)[row_id]) for row_id in made]
    assert {row["kind"]: row["kind_digest"] for row in new} == old


def test_old_answers_are_judged_as_they_were(carried_on: tuple[Path, int]):
    project, _ = carried_on

    [printed] = run(project, ("replay", "--rejudge", "--json"))

    done = json.loads(printed)
    assert done["counts"]["judged"] > 20
    [accepted] = [metric for metric in done["metrics"] if metric["name"] == "accepted"]
    assert (accepted["mcnemar"]["lost"], accepted["mcnemar"]["gained"]) == (0, 0)


def test_the_log_is_reaped_sealed_and_compacted_further(version: str, tmp_path: Path):
    project = unpacked(version, tmp_path)
    known = expected(version)["rows"]

    further = (("log", name) for name in ("reap", "seal", "compact"))
    *_, lines, printed = run(project, *further, ALL_ROWS, ("log", "verify", "--json"))

    left = by_row_id(lines)
    assert known.keys() <= left.keys()
    [crashed] = [json.loads(line) for row_id, line in left.items() if row_id not in known]
    assert crashed["error"]["code"] == "crashed"
    verified = json.loads(printed)
    assert verified["compacted"] == verified["rows"]
    assert verified["unfinished"] == 0


def test_the_fixture_names_no_place_of_the_machine_that_made_it(version: str, project: Path):
    files = [path for path in (project / LOG).rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in (*files, OLD_PROJECTS / version / "expected.json"):
        content = path.read_bytes()
        assert not any(place in content for place in (b"/tmp/", b"/home/", b"/root/")), path
