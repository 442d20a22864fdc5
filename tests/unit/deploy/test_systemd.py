"""The units of systemd: it accepts them, and they fit the limits of the daemon."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.config.settings import GatewaySettings
from lakehouse.core.limits import (
    CONNECTIONS_MAX,
    DESCRIPTORS_RESERVED,
    DRAIN_MARGIN_MS,
    DRAIN_MS_DEFAULT,
)

ROOT = Path(__file__).parents[3]
UNITS = ROOT / "deploy" / "systemd"
NAMES = sorted(
    each.name for each in UNITS.iterdir() if each.suffix in {".service", ".socket", ".timer"}
)
PAGE = ROOT / "docs" / "how-to" / "run-as-a-service.md"


def settings(name: str) -> dict[str, str]:
    """Give the settings of a unit; of one that stands there twice, the last."""
    lines = (UNITS / name).read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Za-z]+=", line))


def analyze(*arguments: str, units: Path | None = None) -> str:
    """Run systemd-analyze; gives all that it says, which is nothing if it finds no fault."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.fail("systemd-analyze is not here: apt-get install systemd")
    environment = dict(os.environ)
    if units is not None:
        environment["SYSTEMD_UNIT_PATH"] = f"{units}:/lib/systemd/system"
    done = subprocess.run(
        [program, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else f"exit code {done.returncode}\n{done.stdout}"


def installed(directory: Path, *, change: tuple[str, str] = ("", "")) -> Path:
    """Put the units and what they run where a test may; gives the units' directory."""
    units = directory / "units"
    units.mkdir()
    for name in NAMES:
        text = (UNITS / name).read_text("utf-8").replace("/opt/lakehouse/", f"{directory}/")
        (units / name).write_text(text.replace(*change) if change[0] else text)
    shutil.copy(UNITS / "with-credentials", directory)
    return units


def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    assert NAMES
    assert analyze("verify", *NAMES, units=installed(tmp_path)) == ""


def test_systemd_finds_a_misspelt_setting(tmp_path: Path) -> None:
    """So that it has looked at all."""
    units = installed(tmp_path, change=("KillMode=", "KilMode="))
    assert "Unknown key 'KilMode'" in analyze("verify", "lakehouse.service", units=units)


@pytest.mark.parametrize("name", ["lakehouse.service", "lakehouse-compact.service"])
def test_the_page_tells_what_the_sandbox_leaves_open(name: str) -> None:
    """systemd's own figure, 0 to 10, of what a service could still do."""
    told = analyze("security", "--offline=true", str(UNITS / name))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told)
    assert found is not None, told
    assert f"{name}: {found[1]}" in PAGE.read_text("utf-8")


def sandbox(name: str) -> str:
    """Give what follows the user in a unit's service: the same for both."""
    return (UNITS / name).read_text("utf-8").split("\nUser=")[1].split("\n[Install]")[0].strip()


def test_both_services_have_one_sandbox() -> None:
    assert sandbox("lakehouse.service") == sandbox("lakehouse-compact.service")


def test_the_units_fit_the_daemon() -> None:
    service = settings("lakehouse.service")
    assert settings("lakehouse.socket")["ListenStream"] == GatewaySettings().listen
    assert int(service["LimitNOFILE"]) >= 2 * CONNECTIONS_MAX + DESCRIPTORS_RESERVED
    stop_ms = int(service["TimeoutStopSec"]) * 1000
    assert stop_ms > DRAIN_MS_DEFAULT + 2 * DRAIN_MARGIN_MS


def test_credentials_become_the_environment(tmp_path: Path) -> None:
    """Those in the directory that systemd calls `env`; the process stays the one it started."""
    (tmp_path / "env_A").write_text("one, with $HOME and 'quotes'\n")
    (tmp_path / "other").write_text("no")
    code = "import os; print(os.getpid(), os.environ['A'], 'other' in os.environ)"
    with subprocess.Popen(
        [str(UNITS / "with-credentials"), sys.executable, "-c", code],
        env={**os.environ, "CREDENTIALS_DIRECTORY": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read() == f"{process.pid} one, with $HOME and 'quotes' False\n"
    assert process.returncode == 0


def test_without_credentials_the_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    subprocess.run([str(UNITS / "with-credentials"), "true"], check=True)
