"""`lakehouse doctor --production`: each check has a case that it finds, with its fix."""

import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lakehouse.cli import doctor_production
from lakehouse.cli.doctor_check import Check
from lakehouse.cli.doctor_production import production_checks
from lakehouse.cli.main import main
from lakehouse.config.load import load_config
from lakehouse.core.limits import DESCRIPTORS_RESERVED
from lakehouse.sessionlog.layout import prepare
from support.doctor import write_project

READY = """
[log]
path = "log"
table = "s3://lakehouse/sessions"
[gateway]
api_keys_file = "keys.txt"
[models.large]
provider = "openai"
base_url = "http://127.0.0.1:9/v1"
model = "large"
max_tokens = 500
first_byte_timeout_ms = 30000
[kinds.city]
schema = "city.json"
"""


Change = Callable[[Path, pytest.MonkeyPatch], object]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write what is ready for production, and give it a machine that is."""
    (tmp_path / "lakehouse.toml").write_text(READY)
    (tmp_path / "city.json").write_text('{"type": "object"}')
    (tmp_path / "keys.txt").write_text("tester:" + "0" * 64 + "\n")
    (tmp_path / "lakehouse.toml").chmod(0o600)
    (tmp_path / "keys.txt").chmod(0o600)
    prepare(tmp_path / "log")
    identity = {"log_id": "0" * 32, "table": "s3://lakehouse/sessions"}
    (tmp_path / "log" / "log.json").write_text(json.dumps(identity))
    monkeypatch.setattr(doctor_production, "file_system", lambda _: "ext4")
    monkeypatch.setattr(doctor_production, "_clock_state", lambda: 0)
    monkeypatch.setattr(doctor_production, "_FREE_SHARE_MIN", 0.0)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return tmp_path


def found(project: Path) -> list[Check]:
    config = load_config(project / "lakehouse.toml", {})
    return [check for check in production_checks(config) if check.state != "ok"]


def test_what_is_ready_has_no_finding(project: Path) -> None:
    """Else every case below could pass for another reason."""
    assert found(project) == []


def changed(old: str, new: str) -> Change:
    """Return what changes a text of the configuration."""

    def change(project: Path, _: pytest.MonkeyPatch) -> None:
        text = READY.replace(old, new)
        assert text != READY
        (project / "lakehouse.toml").write_text(text)

    return change


def fewer_descriptors(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1024))


def mode(name: str, bits: int) -> Change:
    return lambda project, _: (project / name).chmod(bits)


def given(name: str, value: object) -> Change:
    return lambda _, monkeypatch: monkeypatch.setattr(doctor_production, name, value)


CASES: list[tuple[str, str, Change, str]] = [
    ("production keys", "problem", changed('api_keys_file = "keys.txt"', ""), "keys new"),
    (
        "production address",
        "warning",
        changed("[gateway]", '[gateway]\nlisten = "0.0.0.0:4110"'),
        "TLS",
    ),
    (
        "production model large",
        "problem",
        changed(
            'provider = "openai"\nbase_url = "http://127.0.0.1:9/v1"',
            'provider = "scripted"\nscript = "script.json"',
        ),
        "another model",
    ),
    (
        "production model large",
        "problem",
        changed(
            'provider = "openai"\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "large"',
            'provider = "llama_cpp"\nmodel = "smollm2-135m-instruct"',
        ),
        "use-an-openai-endpoint",
    ),
    ("production kind city", "warning", changed("max_tokens = 500", ""), "max_tokens"),
    (
        "production model large waits",
        "warning",
        changed("first_byte_timeout_ms = 30000", "first_byte_timeout_ms = 120000"),
        "first_byte_timeout_ms",
    ),
    (
        "production durability",
        "problem",
        changed('path = "log"', 'path = "log"\ndurability = "os"'),
        "commit",
    ),
    ("production log disk", "problem", given("file_system", lambda _: "overlay"), "volume"),
    ("production log space", "warning", given("_FREE_SHARE_MIN", 1.1), "free some"),
    (
        "production log table",
        "warning",
        lambda project, _: (project / "log" / "log.json").unlink(),
        "log compact",
    ),
    (
        "production log table",
        "warning",
        lambda project, _: (project / "log" / "log.json").write_text(
            json.dumps({"log_id": "0" * 32, "table": "table"})
        ),
        "copies",
    ),
    (
        "production log table",
        "problem",
        lambda project, _: (project / "log" / "log.json").write_text("{"),
        "restore it",
    ),
    (
        "production descriptors",
        "problem",
        fewer_descriptors,
        str(2 * 1000 + DESCRIPTORS_RESERVED),
    ),
    ("production clock", "warning", given("_clock_state", lambda: 5), "chrony"),
    (
        "production user",
        "warning",
        lambda _, monkeypatch: monkeypatch.setattr(os, "geteuid", lambda: 0),
        "user of its own",
    ),
    ("production log rights", "warning", mode("log", 0o750), "chmod go-rwx"),
    ("production file rights", "problem", mode("lakehouse.toml", 0o662), "chmod go-w"),
    ("production file rights", "problem", mode("keys.txt", 0o620), "chmod go-w"),
    (
        "production tracing content",
        "warning",
        changed("[kinds.city]", "[tracing]\ncontent = true\n[kinds.city]"),
        "content = false",
    ),
]


@pytest.mark.parametrize(
    ("name", "state", "change", "fix"), CASES, ids=[f"{one[0]}: {one[3]}" for one in CASES]
)
def test_each_thing_that_is_not_ready_is_one_finding(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    state: str,
    change: Change,
    fix: str,
) -> None:
    change(project, monkeypatch)
    (check,) = found(project)
    assert (check.name, check.state) == (name, state)
    assert fix in check.fix
    assert check.detail
    assert check.why or state == "problem"


def test_without_a_file_the_defaults_are_no_configuration(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / "log")
    config = load_config(None, {})
    told = {check.name: check.state for check in production_checks(config)}
    assert told["production configuration"] == "problem"
    assert told["production keys"] == "problem"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked")
def test_the_kernel_answers_for_the_clock() -> None:
    assert doctor_production._clock_state() in {None, *range(6)}


@pytest.mark.parametrize(("option", "code"), [([], 0), (["--production"], 1)])
def test_the_command_asks_only_with_the_option(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: list[str],
    code: int,
) -> None:
    """Its project has a scripted model: a problem in production only."""
    write_project(tmp_path, monkeypatch)
    monkeypatch.setattr(sys, "argv", ["lakehouse", "doctor", *option])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().out
    assert ended.value.code == code
    assert ("production model small: its answers come from a file" in told) is bool(option)
    assert ("why: every session that asks it" in told) is bool(option)
