"""The plugin of pytest, in runs of their own: its fixture, its errors, what loading it costs."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TESTS = """
import pytest
from lakehouse.testing import Outage, scripted

CITY = {"type": "object", "required": ["city"]}


def test_passes(lakehouse_scripted):
    lake = lakehouse_scripted([{}, {"city": "Oslo"}])
    other = lakehouse_scripted(lambda call: {"city": call.prompt})
    assert lake.iterate(schema=CITY, prompt="Where?").iterations == 2
    assert other.iterate(schema=CITY, prompt="Rome").artifact == {"city": "Rome"}


def test_leaves_one_over(lakehouse_scripted):
    lakehouse_scripted([{"city": "Bergen"}])


def test_fails_with_its_own_error(lakehouse_scripted):
    lake = lakehouse_scripted([{"city": "Bergen"}])
    assert lake.prompts == ["never asked"]


def test_asks_once_too_often(lakehouse_scripted):
    lake = lakehouse_scripted([])
    lake.iterate(schema=CITY, prompt="Which city is it?")


def test_hides_that_it_asks_once_too_often(lakehouse_scripted):
    lake = lakehouse_scripted([])
    try:
        lake.iterate(schema=CITY, prompt="Which city is it?")
    except Exception:
        pass


@pytest.mark.parametrize("number", range(4))
def test_many(lakehouse_scripted, number):
    lake = lakehouse_scripted([{"city": str(number)}])
    assert lake.iterate(schema=CITY, prompt="x").artifact == {"city": str(number)}
"""


def run(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of the directory with our plugin and those that are named, and no others."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "lakehouse.testing.plugin", *options],
        cwd=directory,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-p", "no:cacheprovider", "-W", "error"),
        ("-p", "xdist", "-n", "2", "--import-mode=importlib"),
    ],
)
def test_the_fixture_works_and_its_errors_are_told(tmp_path: Path, options):
    """Alone, without a cache, and in parallel."""
    (tmp_path / "test_cities.py").write_text(TESTS)
    out = run(tmp_path, *options).stdout
    assert "2 failed, 7 passed, 2 errors" in out, out
    assert "1 of 1 answer left over; the model was called 0 times. Left over:" in out
    assert "{'city': 'Bergen'}" in out
    assert "['never asked']" in out
    assert "the test gives 0 answers. The last question was:" in out
    assert "Which city is it?" in out
    errors = [line for line in out.splitlines() if line.startswith("ERROR test_")]
    names = sorted(line.split("::")[1].split(" ")[0] for line in errors)
    assert names == ["test_hides_that_it_asks_once_too_often", "test_leaves_one_over"]


def test_the_plugin_loads_nothing_of_the_library():
    """Every run of pytest in the environment pays for it: only its own three small modules."""
    script = (
        "import sys, pytest; before = set(sys.modules); import lakehouse.testing.plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    ).stdout.split()
    assert loaded == ["lakehouse", "lakehouse.testing", "lakehouse.testing.plugin"]


def test_pytest_finds_the_plugin():
    """By the entry point of the package."""
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["entry-points"] == {
        "pytest11": {"lakehouse": "lakehouse.testing.plugin"}
    }
