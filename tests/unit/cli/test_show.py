"""What `lakehouse kinds` and `lakehouse show` say of candidates."""

import json
import sys
from pathlib import Path

import msgspec
import pytest

from lakehouse.cli.main import main
from lakehouse.core.row_codec import encode_line
from lakehouse.core.session import Narrowed
from support.doctor import write_project
from support.rows import make_attempt, make_row


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_project(tmp_path, monkeypatch)
    return tmp_path


class Lakehouse:
    """The command, in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str, code: int = 0) -> str:
        self._monkeypatch.setattr(sys, "argv", ["lakehouse", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code
        return self._capsys.readouterr().out


@pytest.fixture
def lakehouse(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Lakehouse:
    return Lakehouse(capsys, monkeypatch)


def offered(shown: str) -> list[str]:
    return [line.strip() for line in shown.splitlines() if "offered: " in line]


def test_what_a_session_was_offered_stands_before_its_answer(
    project: Path, lakehouse: Lakehouse
) -> None:
    """The model answers wrong, then right; what it was offered is what its text names."""
    answers = ['{"city": "Rome", "people": 1}', '{"city": "Oslo", "people": 1}']
    (project / "script.json").write_text(json.dumps({"matches": {".": answers}}))
    (project / "texts.csv").write_text("text\nBergen or Oslo?\n")
    ran = ("--kind", "city", "--input", "texts.csv", "--column", "text", "--output", "out.jsonl")
    lakehouse("run", *ran)
    reply = json.loads((project / "out.jsonl").read_text())
    shown = lakehouse("show", reply["session_id"])
    assert offered(shown) == ["offered: /city: 2 values of cities.name, in the schema"] * 2
    assert shown.index("attempt 0") < shown.index("offered") < shown.index("Rome")
    shown = json.loads(lakehouse("show", reply["session_id"], "--json"))
    assert [one["mode"] for one in shown["rows"][0]["attempts"][0]["narrowed"]] == ["decode"]


def test_every_place_has_its_line_and_a_mode_of_tomorrow_is_shown_as_it_is(
    project: Path, lakehouse: Lakehouse
) -> None:
    records = (
        ("", "t.c", "hint", 1, "the whole answer: 1 value of t.c, in the prompt"),
        ("/quote", "source", "decode", 3, "/quote: 3 quotes of the text, in the schema"),
        ("/none", "t.c", "decode", 0, "/none: 0 values of t.c, in the schema"),
        ("/later", "t.c", "by_letter", 1_234, "/later: 1,234 values of t.c, by_letter"),
    )
    narrowed = tuple(
        Narrowed(path=path, column=column, mode=mode, candidates=count, digest=f"sha256:{'0' * 64}")
        for path, column, mode, count, _ in records
    )
    row = make_row(attempts=(make_attempt(narrowed=narrowed),), accepted_iteration=0, iterations=1)
    (project / "log").mkdir()
    (project / "log" / "inbox.jsonl").write_bytes(encode_line(row))
    told = offered(lakehouse("show", row.session_id))
    assert told == [f"offered: {words}" for *_, words in records]


@pytest.mark.parametrize(
    ("kind", "schema", "told"),
    [
        ("city", b"null", "city"),
        ("city", b'{"type":"object"}', "city, and an inline schema"),
        (None, b"{}", "(inline schema)"),
    ],
)
def test_a_session_tells_by_which_schemas_it_was_judged(
    project: Path, lakehouse: Lakehouse, kind: str | None, schema: bytes, told: str
) -> None:
    row = make_row(kind=kind, inline_schema=msgspec.Raw(schema))
    (project / "log").mkdir()
    (project / "log" / "inbox.jsonl").write_bytes(encode_line(row) + b"\n")
    assert f"kind: {told}\n" in lakehouse("show", row.session_id)


RULES = """
[[kinds.city.grounding]]
path = "/city"
match = "quote"
candidates = "decode"
[[kinds.city.grounding]]
path = "/people"
column = "cities.name"
candidates = "auto"
"""


def test_the_kinds_are_listed_with_what_is_set_of_candidates(
    project: Path, lakehouse: Lakehouse
) -> None:
    """A rule's own setting wins, what is `auto` is not said, and a quote has its own only."""
    config = project / "lakehouse.toml"
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "people": {}}}
    (project / "city.json").write_text(json.dumps(schema))
    config.write_text(config.read_text() + RULES)
    plain = " ".join(lakehouse("kinds").split())
    assert "/city: cities.name, /city: quote (candidates decode), /people: cities.name" in plain
    config.write_text(
        config.read_text().replace("[kinds.city]", '[kinds.city]\ncandidates = "off"')
    )
    told = " ".join(lakehouse("kinds").split())
    assert "/city: cities.name (candidates off), /city: quote (candidates decode), /people" in told
    [kind] = json.loads(lakehouse("kinds", "--json"))["kinds"]
    assert kind["candidates"] == "off"
    assert [one["candidates"] for one in kind["grounding"]] == [None, "decode", "auto"]
