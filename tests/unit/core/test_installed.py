"""What an installation without extras lacks is said plainly, and only where it is needed."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lakehouse.core.errors import SetupError
from lakehouse.core.installed import check_installed
from support.replays import write_project

ROOT = Path(__file__).parents[3]
# What extras install, by import name, and the modules that import it when they are loaded. The
# commands that load these check first: below, and in tests/unit/cli/test_replay.py.
EXTRAS = {
    "delta": {"deltalake"},
    "local": {"xllamacpp"},
    "ray": {"ray"},
    "replay": {"junitparser", "numpy", "scipy"},
}
NEED_DELTA = {
    f"sessionlog.keeping.{name}" for name in ("compaction", "durability", "forgetting", "table")
}
NEED_REPLAY = {
    *(f"comparison.{name}" for name in ("bootstrap", "conditions", "false_alarms", "fields")),
    *(f"comparison.{name}" for name in ("gate", "intervals", "power", "sample", "statistics")),
    "reports.junit",
}
IMPORT_ALL = """
import importlib, json, pkgutil, sys
for name in json.loads(sys.argv[1]):
    sys.modules[name] = None
import lakehouse
lacking = []
for module in pkgutil.walk_packages(lakehouse.__path__, "lakehouse."):
    if module.name.endswith(".__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        lacking.append((module.name.removeprefix("lakehouse."), error.name.partition(".")[0]))
print(json.dumps(lacking))
"""
RUN = """
import json, sys
for name in json.loads(sys.argv[1]):
    sys.modules[name] = None
sys.argv = ["lakehouse", *sys.argv[2:]]
from lakehouse.cli.main import main
main()
"""


def test_a_package_that_is_there_is_not_imported():
    check_installed("Tests", "antigravity")
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize("extra", [None, "delta"])
def test_a_missing_package_is_named_with_what_installs_it(extra: str | None):
    with pytest.raises(SetupError, match="Tests need the package 'not_there'") as raised:
        check_installed("Tests", "json", "not_there", extra=extra)

    told = "pip install 'lakehouse-stack[delta]'" if extra else "Install lakehouse-stack again"
    assert told in str(raised.value.hint)


def test_the_extras_are_those_of_the_package():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = {
        word.split(">=")[0].partition("[")[0]
        for words in declared["optional-dependencies"].values()
        for word in words
    }

    assert declared["optional-dependencies"].keys() == EXTRAS.keys()
    assert named == set().union(*EXTRAS.values()) | {"opentelemetry-api"}  # Ray's own need


def test_without_extras_only_modules_that_are_behind_a_check_cannot_be_loaded():
    missing = sorted(set().union(*EXTRAS.values()))
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, json.dumps(missing)],
        capture_output=True,
        text=True,
        check=True,
    )

    lacking = dict(json.loads(done.stdout))
    assert set(lacking.values()) <= set(missing)
    assert lacking.keys() == NEED_DELTA | NEED_REPLAY


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("log", "compact"), "delta"),
        (("doctor", "model embedded"), "local"),
    ],
)
def test_a_command_that_needs_an_extra_says_which(
    tmp_path: Path, arguments: tuple[str, ...], extra: str
):
    more = '[models.embedded]\nprovider = "llama_cpp"\nmodel = "smollm2-135m-instruct"\n'
    write_project(tmp_path, more=more)
    (tmp_path / "log" / "active").mkdir(parents=True)

    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(sorted(EXTRAS[extra])), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode in {1, 2}, done.stdout + done.stderr
    assert f"pip install 'lakehouse-stack[{extra}]'" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
