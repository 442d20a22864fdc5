"""The plain form of a daemon's command line: it means what Typer takes it to mean."""

from collections.abc import Sequence

import pytest

from lakehouse.cli import serve
from lakehouse.cli.commands import app
from lakehouse.cli.daemon_line import DaemonLine, LogLevel, daemon_line

PLAIN = (
    ["up"],
    ["gateway"],
    ["validatord"],
    ["chatd"],
    ["up", "--config", "a.toml"],
    ["up", "--config=a.toml"],
    ["up", "--config", "a=b.toml"],
    ["up", "--config=a=b.toml"],
    ["up", "--config", "ein Ort/ä.toml"],
    ["chatd", "--log-level", "debug"],
    ["chatd", "--log-level=error"],
    ["gateway", "--log-level", "warning", "--config", "a.toml"],
    ["gateway", "--config=a.toml", "--log-level=info"],
)
# Right or wrong: what is not of the plain form is Typer's to read, or to refuse.
OTHER: tuple[list[str], ...] = (
    [],
    [""],
    ["--config", "a.toml", "up"],
    ["--help"],
    ["up", "--help"],
    ["up", "-h"],
    ["up", "a.toml"],
    ["up", "--config"],
    ["up", "--config", ""],
    ["up", "--config="],
    ["up", "--config", "--log-level"],
    ["up", "--config", "-"],
    ["up", "--config", "a.toml", "--config", "b.toml"],
    ["up", "--conf", "a.toml"],
    ["up", "-config", "a.toml"],
    ["up", "--log-level", "INFO"],
    ["up", "--log-level", "loud"],
    ["up", "--port", "80"],
    ["up", "--", "a.toml"],
    ["doctor"],
    ["doctor", "--config", "a.toml"],
    ["upp"],
)


def read_by_typer(arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> DaemonLine:
    read: list[DaemonLine] = []
    monkeypatch.setattr(serve, "run_daemon", read.append)
    with pytest.raises(SystemExit) as ended:
        app(arguments, prog_name="lakehouse")
    assert ended.value.code == 0
    (line,) = read
    return line


@pytest.mark.parametrize("arguments", PLAIN, ids=" ".join)
def test_a_plain_line_means_the_same_without_typer(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line = daemon_line(arguments)

    assert line is not None
    assert line == read_by_typer(arguments, monkeypatch)


@pytest.mark.parametrize("arguments", OTHER, ids=" ".join)
def test_any_other_line_is_left_to_typer(arguments: list[str]) -> None:
    assert daemon_line(arguments) is None


def test_typer_takes_the_configuration_before_the_command_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = read_by_typer(["--config", "a.toml", "up", "--log-level", "error"], monkeypatch)

    assert line == DaemonLine("up", "a.toml", LogLevel.ERROR)
