"""`lakehouse doctor` warns of checks that never apply, and of names that clients act on."""

import json
from pathlib import Path

import msgspec
import pytest

from lakehouse.core.json_text import NULL
from lakehouse.core.row_codec import encode_line
from support.doctor import SCHEMA, Doctor, write_project
from support.rows import make_row


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_project(tmp_path, monkeypatch)
    return tmp_path


def logged(project: Path, *artifacts: object, grounded: bool | None) -> None:
    """A log of another writer, with accepted sessions of the kind."""
    (project / "log").mkdir()
    rows = []
    for number, artifact in enumerate(artifacts):
        one = make_row(
            session_id=f"{number:032x}",
            row_id=f"{number:032x}",
            kind="city",
            verdict="accepted",
            error=None,
            artifact=NULL if artifact is None else msgspec.Raw(json.dumps(artifact).encode()),
            grounded=grounded,
        )
        rows.append(encode_line(one).strip())
    (project / "log" / "inbox.jsonl").write_bytes(b"\n".join([*rows, b""]))


def open_schema(project: Path) -> None:
    schema = SCHEMA | {"additionalProperties": True, "required": []}
    (project / "city.json").write_text(json.dumps(schema))


@pytest.mark.parametrize(
    ("artifacts", "grounded", "words"),
    [
        ([{"people": 1}] * 3, None, ["no grounding rule of kinds.city applied", "last 3 accepted"]),
        ([{"city": "Oslo"}] * 12, True, ["kinds.city.rules[0].sql: $people", "last 12 accepted"]),
    ],
)
def test_checks_that_never_applied_are_told_from_the_log(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    artifacts: list[object],
    grounded: bool | None,
    words: list[str],
) -> None:
    open_schema(project)
    logged(project, *artifacts, grounded=grounded)
    ran = Doctor(capsys, monkeypatch)
    assert ran.code == 0
    [told] = [line for line in ran.faults if "in the log" in line]
    for word in ["kind city", *words]:
        assert word in told


def test_checks_that_applied_once_are_not_told(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged(project, *[{"city": "Oslo"}] * 11, {"city": "Oslo", "people": 1}, grounded=True)
    ran = Doctor(capsys, monkeypatch)
    assert [line for line in ran.faults if "in the log" in line] == []


def test_what_a_schema_leaves_open_is_a_warning(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = {"type": "object", "properties": {"people": {"type": "integer"}}}
    (project / "city.json").write_text(json.dumps(schema))
    ran = Doctor(capsys, monkeypatch)
    assert ran.code == 0
    [told] = [line for line in ran.faults if "checks:" in line]
    assert "kinds.city.grounding[0].path: '/city'" in told


@pytest.mark.parametrize("content", ["name,people\n", 'name,people\n,"7"\n,8\n'])
def test_a_column_without_a_value_is_a_warning(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    content: str,
) -> None:
    """An export that broke off: every answer would be rejected, and no model could help it."""
    (project / "cities.csv").write_text(content)
    found = Doctor(capsys, monkeypatch)
    assert found.code == 0
    [fault] = found.faults
    assert "warning" in fault
    assert "cities.name: empty" in fault
    assert "kinds.city" in fault
    assert "fill the table" in found.text


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (("[models.small]", "[models.o3-local]"), ["models.o3-local", "begins with o3"]),
        (("[models.small]", "[models.gpt-5-mini]"), ["models.gpt-5-mini", "begins with gpt-5"]),
        (("kinds.city", "kinds.gpt-6-city"), ["kinds.gpt-6-city", "begins with gpt-6"]),
        (("[log]", '[gateway.openai]\nunchecked = "pass"\n[log]'), ["gateway.openai.unchecked"]),
    ],
)
def test_what_openai_clients_meet_is_told(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    changed: tuple[str, str],
    words: list[str],
) -> None:
    """A warning, with its fix, and no problem; other names are not told."""
    config = (project / "lakehouse.toml").read_text()
    (project / "lakehouse.toml").write_text(config.replace(*changed))

    doctor = Doctor(capsys, monkeypatch)

    [told] = [line for line in doctor.faults if "openai" in line]
    assert told.strip().startswith("warning")
    assert all(word in told for word in words)
    assert doctor.code == 0
