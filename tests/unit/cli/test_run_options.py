"""`lakehouse run` with sampling, a system text, a deadline and a limit of its own."""

import json

import pytest

from support.commands import lakehouse, lines, project, run, write_inputs

__all__ = ["project"]  # a fixture


def rows(directory):
    found = json.loads(lakehouse(directory, "query", "FROM sessions", "--json").stdout)
    return [(json.loads(row["settings"]) if isinstance(row["settings"], str) else row["settings"],
             row) for row in found]  # fmt: skip


def test_what_is_set_for_a_run_is_in_force_in_every_session(project):
    """Each option stands in the rows' settings; the system text replaces the kind's."""
    write_inputs(project, "good 1", "good 2")
    options = ("--temperature", "0.25", "--max-tokens", "77", "--seed", "5", "--deadline", "9000")

    other = ("--system", "Name the city.", "--candidates", "hint")
    nucleus = ("--top-p", "0.9", "--stop", "END", "--stop", "\n\n")

    run(project, code=0, extra=(*options, *other, *nucleus))

    found = rows(project)
    assert len(found) == 2
    for settings, row in found:
        assert float(settings["temperature"]) == 0.25
        told = (settings["max_tokens"], settings["seed"], settings["deadline_ms"])
        assert tuple(map(int, told)) == (77, 5, 9_000)
        assert row["system"] == "Name the city."
        assert settings["candidates"] == "hint"
        assert (float(settings["top_p"]), settings["stop"]) == (0.9, ["END", "\n\n"])


def test_a_limit_takes_the_first_rows_and_a_later_run_goes_on(project):
    """`--limit 2` of four rows judges two; without it the other two follow."""
    write_inputs(project, "good 1", "good 2", "good 3", "good 4")

    assert "accepted 2," in run(project, code=0, extra=("--limit", "2"))
    assert sorted(line["index"] for line in lines(project / "out.jsonl")) == [0, 1]

    assert "accepted 2, rejected 0, infra_error 0; done before 2" in run(project, code=0)


def test_a_deadline_of_a_run_ends_its_sessions(project):
    """700 ms of thinking do not fit into 200: an outage, not a rejection."""
    write_inputs(project, "slow 1")

    assert "infra_error 1" in run(project, code=3, extra=("--deadline", "200"))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--temperature", "2.5"),
        ("--temperature", "hot"),
        ("--temperature", "nan"),
        ("--top-p", "1.5"),
        ("--top-p", "nan"),
        ("--stop", ""),
        ("--max-tokens", "0"),
        ("--seed", "-1"),
        ("--candidates", "decod"),
        ("--deadline", "700000"),
        ("--limit", "0"),
    ],
)
def test_a_value_out_of_range_is_named_before_anything_runs(project, option, value):
    """Exit 2, the option named, and no file left behind."""
    write_inputs(project, "good 1")
    arguments = ("--kind", "city", "--input", "in.csv", "--column", "text", "--output", "o.jsonl")

    done = lakehouse(project, "run", *arguments, option, value, code=2)

    assert option in done.stderr
    assert list(project.glob("o.jsonl*")) == []
