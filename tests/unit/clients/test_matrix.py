"""The client matrix tells a difference plainly, and leaves no cell without an outcome."""

import asyncio
import sys
from pathlib import Path

import pytest

from clients import environments, matrix
from clients.matrix import Result, Told, counted, differences, run, table
from clients.running_door import RunningDoor, rows_by_mark
from clients.situations import CLIENTS, HELD, OBJECT, SITUATIONS, cells
from support.filled_log import fill
from support.rows import make_row


def result(outcome: dict[str, object], rows: int = 1) -> Result:
    return Result("a client | chat schema", "down", outcome, rows)


def test_a_cell_says_what_the_user_sees_and_how_many_sessions_it_took():
    """An object that is not the one of the session is shown."""
    failure = {"outcome": "raised", "class": "APIError", "status": 502, "code": "connect"}
    assert result({"outcome": "parsed", "object": OBJECT}).seen == "parsed"
    assert result({"outcome": "parsed", "object": {}}).seen == "parsed {}"
    assert result(failure).seen == "APIError 502 connect"
    assert result(failure, rows=3).seen == "APIError 502 connect ×3"
    assert result({"outcome": "raised", "class": "Timeout"}, rows=0).seen == "Timeout ×0"


def test_a_changed_outcome_is_told_with_its_cell_and_both_values():
    """Clients that did not run are left alone."""
    expected = {"a client | chat schema": {"down": "A 502"}, "another | chat schema": {"down": "B"}}
    seen = table([result({"outcome": "raised", "class": "A", "status": 500})])
    assert differences(expected, seen) == [
        "a client | chat schema | down: expected 'A 502', seen 'A 500'"
    ]
    assert differences(expected, {"a client | chat schema": {"down": "A 502"}}) == []


def test_a_cell_that_is_missing_on_either_side_is_a_difference():
    seen = table([result({"outcome": "raised", "class": "A"})])
    [unexpected] = differences({}, seen)
    assert unexpected.endswith("| down: expected 'no such cell', seen 'A'")
    [unseen] = differences({"a client | chat schema": {"down": "A", "accepted": "parsed"}}, seen)
    assert unseen.endswith("| accepted: expected 'parsed', seen 'no such cell'")


def test_a_program_that_dies_leaves_cells_that_say_so(monkeypatch, capsys):
    """And the end of what it wrote is shown."""
    dying = [sys.executable, "-c", "import sys; sys.stdin.read(); sys.exit('it died')"]
    monkeypatch.setattr(matrix, "command", lambda *_: dying)

    stacks = {one.stack: "http://127.0.0.1:1" for one in SITUATIONS}

    told = asyncio.run(run(cells(CLIENTS[:1]), RunningDoor(stacks, "a key")))

    results = counted(told, {})
    assert len(results) == len(cells(CLIENTS[:1]))
    assert {one.seen for one in results} == {"no outcome ×0"}
    assert "it died" in capsys.readouterr().out


def test_rows_are_found_by_the_mark_of_their_prompt(tmp_path):
    """Sessions of other cells, and the one that is held, are not counted for a cell."""
    marked = [make_row(prompt=f"[a client/{n}] late", metadata={"n": str(n)}) for n in (1, 12, 1)]
    fill(tmp_path, make_row(prompt=HELD), *marked)
    assert rows_by_mark(tmp_path) == {
        "[a client/1]": [{"n": "1"}, {"n": "1"}],
        "[a client/12]": [{"n": "12"}],
    }


def test_a_row_that_belongs_to_no_cell_fails_the_run(tmp_path):
    fill(tmp_path, make_row(prompt=HELD), make_row(prompt="Who asked?"))
    with pytest.raises(AssertionError, match="without a mark"):
        rows_by_mark(tmp_path)


def test_a_row_of_another_door_fails_the_run():
    """And the table says how rows name a client, if they do so in several ways too."""
    [cell] = [one for one in cells(CLIENTS[:1]) if one.row.endswith("chat schema")][:1]
    told = [Told(cell, "[1]", {"outcome": "parsed", "object": OBJECT})]
    rows = [{"door": "openai.chat", "client": name} for name in ("b", "a")]
    [result] = counted(told, {"[1]": rows})
    assert table([result, result._replace(clients=frozenset("ac"))])[cell.row] == {
        "accepted": "parsed ×2",
        "client": "a or b or c",
    }
    with pytest.raises(AssertionError, match=r"\[1\]"):
        counted(told, {"[1]": [{"door": "openai.responses", "client": "a"}]})


@pytest.fixture
def installs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record what would be run to install, in an empty home."""
    commands: list[list[str]] = []

    def recorded(words: list[str], directory: Path = tmp_path) -> None:
        commands.append(words)
        (tmp_path / "openai-3").mkdir(exist_ok=True)

    monkeypatch.setattr(environments, "HOME", tmp_path)
    monkeypatch.setattr(environments, "_run", recorded)
    return commands


def test_an_environment_is_made_once_and_again_when_its_versions_change(installs, monkeypatch):
    environments.installed(["openai-3"])
    made = len(installs)
    assert [words for words in installs if environments.pinned().python["openai-3"][0] in words]
    environments.installed(["openai-3"])
    assert len(installs) == made
    moved = environments.pinned()._replace(as_of="2030-01-01")
    monkeypatch.setattr(environments, "pinned", lambda: moved)
    environments.installed(["openai-3"])
    assert len(installs) == 2 * made
