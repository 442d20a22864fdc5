"""Runs in parts: refused rows, rejects run again, columns kept, changes told, stacks used."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.commands import SCHEMA, SCRIPT, lakehouse, lines, project
from support.stack import SCRIPTED, running_stack

__all__ = ["project"]  # a fixture

GROUNDED = (
    SCRIPTED
    + """
[tables.cities]
path = "cities.csv"

[kinds.city]
schema = "city.schema.json"

[[kinds.city.grounding]]
path = "/city"
column = "cities.name"
"""
)
ARGUMENTS = ("run", "--kind", "city", "--input", "in.jsonl", "--output", "out.jsonl")
TEXT = (*ARGUMENTS, "--column", "text")


def write(directory: Path, *rows: object) -> None:
    (directory / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def results(directory: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    found = (lines(directory / name) for name in ("out.jsonl", "out.jsonl.rejects.jsonl"))
    accepted, rejected = (sorted(part, key=lambda line: line["index"]) for part in found)
    return accepted, rejected


def grounded(directory: Path, *cities: str) -> None:
    (directory / "lakehouse.toml").write_text(GROUNDED)
    (directory / "cities.csv").write_text("name\n" + "".join(f"{city}\n" for city in cities))
    (directory / "city.schema.json").write_text(json.dumps(SCHEMA))
    (directory / "script.json").write_text(json.dumps(SCRIPT))


def test_refused_rows_are_told_in_the_rejects_and_cost_no_session(project):
    """The run goes on; each refused row has its number, its reason and the kept columns."""
    write(project, {"text": "good", "id": 7}, {"text": None, "id": 8}, {"text": " ", "id": 9})

    done = lakehouse(project, *TEXT, "--keep", "id", "--metadata", "id", code=1)

    assert "accepted 1, rejected 0, infra_error 0, refused 2" in done.stdout
    (accepted,), rejected = results(project)
    assert accepted["kept"] == {"id": 7}
    assert [line["index"] for line in rejected] == [1, 2]
    assert rejected[0] == {
        "index": 1,
        "refused": "row 1 (line 2): 'text' is null; it must be text or a number",
        "kept": {"id": 8},
    }
    (row,) = json.loads(lakehouse(project, "query", "FROM sessions", "--json").stdout)
    assert json.loads(json.dumps(row["metadata"])) in ({"id": "7"}, '{"id":"7"}')
    again = lakehouse(project, *TEXT, "--keep", "id", code=1)
    assert "done before 3, 2 of them rejected" in again.stdout


def test_rejects_are_run_again_on_request_and_leave_the_file_when_they_pass(project):
    """A row that passes moves to the output, one that does not stays, once."""
    write(project, {"text": "prose 1"}, {"text": None}, {"text": "good"}, {"text": "prose 2"})
    lakehouse(project, *TEXT, code=1)
    assert [line["index"] for line in results(project)[1]] == [0, 1, 3]
    write(
        project, {"text": "good now"}, {"text": "good too"}, {"text": "good"}, {"text": "prose 2"}
    )

    changed = lakehouse(project, *TEXT, code=2)
    assert "--retry-rejects" in changed.stderr
    done = lakehouse(project, *TEXT, "--retry-rejects", code=1)

    assert "accepted 2, rejected 1, infra_error 0; done before 1" in done.stdout
    accepted, rejected = results(project)
    assert [line["index"] for line in accepted] == [0, 1, 2]
    assert [line["index"] for line in rejected] == [3]


def test_a_template_makes_prompts_of_several_columns(project):
    """The session's prompt is what the template says."""
    (project / "p.j2").write_text("{{ word }} is good no {{ n }}")
    write(project, {"word": "this", "n": 1.50})

    lakehouse(project, *ARGUMENTS, "--template", "p.j2")

    (row,) = json.loads(lakehouse(project, "query", "FROM sessions", "--json").stdout)
    assert row["prompt"] == "this is good no 1.5"
    both = lakehouse(project, *TEXT, "--template", "p.j2", code=2)
    assert "exactly one of --column and --template" in both.stderr
    assert "exactly one of" in lakehouse(project, *ARGUMENTS, code=2).stderr


@pytest.mark.parametrize("what", ["kind", "model", "table", "system"])
def test_what_changed_since_the_first_part_is_told(tmp_path, what):
    """Exit 2 and nothing run, unless --mixed goes on; then it is told and noted."""
    grounded(tmp_path, "Oslo")
    write(tmp_path, {"text": "good 1"})
    lakehouse(tmp_path, *TEXT)
    write(tmp_path, {"text": "good 1"}, {"text": "good 2"})
    extra: tuple[str, ...] = ()
    if what == "kind":
        (tmp_path / "city.schema.json").write_text(json.dumps({**SCHEMA, "title": "City"}))
    elif what == "model":
        configured = (tmp_path / "lakehouse.toml").read_text()
        assert 'model = "' in configured
        changed = configured.replace('model = "', 'model = "other-', 1)
        (tmp_path / "lakehouse.toml").write_text(changed)
    elif what == "table":
        (tmp_path / "cities.csv").write_text("name\nOslo\nBergen\n")
    else:
        extra = ("--system", "Another.")

    refused = lakehouse(tmp_path, *TEXT, *extra, code=2)

    assert what in refused.stderr
    assert "--mixed" in refused.stderr
    assert len(lines(tmp_path / "out.jsonl")) == 1
    mixed = lakehouse(tmp_path, *TEXT, *extra, "--mixed")
    assert what in mixed.stderr
    assert "accepted 1," in mixed.stdout
    parts = json.loads((tmp_path / "out.jsonl.run.json").read_text())["parts"]
    assert len(parts) == 2
    lakehouse(tmp_path, *TEXT, *extra)  # the last part is the measure now


def test_a_stack_that_is_up_is_used_and_its_tables_are_watched(tmp_path):
    """Found by the configuration; --url is the same; a table that changed is told there too."""
    grounded(tmp_path, "Oslo")
    write(tmp_path, {"text": "good 1"})
    with running_stack(tmp_path, GROUNDED, apart=False) as processes:
        address = processes["gateway"].url
        listen = address.removeprefix("http://")
        (tmp_path / "lakehouse.toml").write_text(GROUNDED + f'\n[gateway]\nlisten = "{listen}"\n')
        found = lakehouse(tmp_path, *TEXT)
        assert f"Using the running stack at {address}." in found.stderr
        (tmp_path / "cities.csv").write_text("name\nOslo\nBergen\n")
        write(tmp_path, {"text": "good 1"}, {"text": "good 2"})
        refused = lakehouse(tmp_path, *TEXT, "--url", address, code=2)
        assert "the table 'cities' changed" in refused.stderr
        assert len(lines(tmp_path / "out.jsonl")) == 1
        lakehouse(tmp_path, *TEXT, "--url", address, "--mixed")
        other = (*TEXT[:-3], "other.jsonl", *TEXT[-2:])
        changed = json.dumps({**SCHEMA, "title": "City"})
        (tmp_path / "city.schema.json").write_text(changed)
        own = lakehouse(tmp_path, *other)
        assert "Using the running stack" not in own.stderr
    away = lakehouse(tmp_path, *TEXT, "--url", address, code=3)
    assert address in away.stderr


def test_outages_are_told_with_their_cause(project):
    """Not only how many, but why the last one was."""
    write(project, {"text": "outage"})
    assert "upstream_malformed" in lakehouse(project, *TEXT, code=3).stderr
