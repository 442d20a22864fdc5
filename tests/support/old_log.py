"""A project whose log an earlier version wrote, and what commands say of a log.

`told` asks a log by the commands that users have, so that the same questions can be put to the
version that wrote it, once, and to every later one.
"""

import hashlib
import json
import math
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from lakehouse.config.load import load_config
from support.stack import untraced

OLD_PROJECTS: Final = Path(__file__).parents[1] / "fixtures" / "upgrade"
LOG: Final = "log"
_VIEWS: Final = {
    "sessions": "row_id",
    "attempts": "row_id, iteration",
    "findings": "row_id, iteration, code, path",
    "replays": "row_id, replay_row_id",
    "feedback": "feedback_id",
    "log_bad_lines": "file, line",
}
_SETTINGS: Final = ("lakehouse", "smallest", "every_setting")
ALL_ROWS: Final = ("tail", "-n", "200", "--json")
"""The command that prints the rows' own lines, those of replays aside."""
_RUNNER: Final = """
import contextlib, io, json, sys
from lakehouse.cli.main import main

done = []
for command in json.load(sys.stdin):
    sys.argv = ["lakehouse", *command]
    said = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    try:
        with contextlib.redirect_stdout(said):
            main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    done.append((code, said.buffer.getvalue().decode()))
print(json.dumps(done))
"""
_RATES: Final = "kind,model,verdict,daemon,door,api_key,offered"


def unpacked(version: str, directory: Path) -> Path:
    """Lay the project of a version into a directory, with its log as that version left it."""
    project = directory / "project"
    project.mkdir(parents=True)
    for file in (OLD_PROJECTS / version / "project").iterdir():
        (project / file.name).write_bytes(file.read_bytes())
    with tarfile.open(OLD_PROJECTS / version / "log.tar.gz") as packed:
        packed.extractall(project, filter="data")
    return project


def expected(version: str) -> dict[str, Any]:
    """Give what the version that wrote the log said of it."""
    known: dict[str, Any] = json.loads((OLD_PROJECTS / version / "expected.json").read_text())
    return known


def run(project: Path, *commands: Sequence[str]) -> list[str]:
    """Run commands of `lakehouse` in a project, one after the other; what each printed.

    All in one process: most of the time of a command is its start.
    """
    done = subprocess.run(
        (sys.executable, "-c", _RUNNER),
        input=json.dumps(commands),
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed: list[str] = []
    for command, (code, text) in zip(commands, json.loads(done.stdout), strict=True):
        assert code in {0, 1}, (command, text, done.stderr)
        printed.append(text)
    return printed


def environment(project: Path) -> dict[str, str]:
    """Give the variables under which the project's own Python types are found."""
    paths = (str(project), os.environ.get("PYTHONPATH", ""))
    return {**untraced(os.environ), "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def told(project: Path) -> dict[str, Any]:
    """Ask the commands that read a log; everything in an order that does not change."""
    lines, views, listed, *others = run(
        project,
        ALL_ROWS,
        ("query", "--json", _of_all_views()),
        ("sessions", "--json", "--limit", "200"),
        ("log", "verify", "--json"),
        ("stats", "--by", _RATES, "--json"),
        ("replay", "list", "--json"),
    )
    verified, rates, replays = map(json.loads, others)
    [answer] = json.loads(views)
    return {
        "settings": {name: settings(project, name) for name in _SETTINGS},
        "rows": {
            row_id: hashlib.sha256(line.encode()).hexdigest()
            for row_id, line in by_row_id(lines).items()
        },
        "views": {view: answer[view] for view in _VIEWS},
        "columns": {view: members_of(answer[f"{view}_type"]) for view in _VIEWS},
        "verified": verified,
        "listed": sorted([one["row_id"], one["verdict"]] for one in json.loads(listed)["sessions"]),
        "rates": rates,
        "replays": replays,
    }


def by_row_id(lines: str) -> dict[str, str]:
    """Give the lines of rows, as `tail --json` prints them, by the rows' ids."""
    return {str(json.loads(line)["row_id"]): line for line in lines.rstrip("\n").split("\n")}


def settings(project: Path, name: str) -> dict[str, Any]:
    """Give what a configuration means, by section and setting, without where it stands."""
    config = load_config(project / f"{name}.toml", {})
    found: dict[str, Any] = json.loads(msgspec.json.encode(config, enc_hook=str))
    return {section: found[section] for section in found.keys() - {"source", "base", "digest"}}


def _of_all_views() -> str:
    """Write a query for the rows of each view, and for each one's columns with their types."""
    lists = (
        f"(SELECT list(v ORDER BY {order}) FROM {view} AS v) AS {view}"
        for view, order in _VIEWS.items()
    )
    types = (f"typeof({view}) AS {view}_type" for view in _VIEWS)
    return f"SELECT *, {', '.join(types)} FROM (SELECT {', '.join(lists)})"


def members_of(sql_type: str) -> Any:
    """Read a type as DuckDB writes it: a struct as its members' types, any other as it stands."""
    inner = re.fullmatch(r"STRUCT\((?P<members>.*)\)(?P<lists>(?:\[\])*)", sql_type)
    if inner is None:
        return sql_type
    parts, depth = [""], 0
    for letter in inner["members"]:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    named = (part.strip().partition(" ") for part in parts)
    members = {name.strip('"'): members_of(member) for name, _, member in named}
    return {"list of" if inner["lists"] else "struct of": members}


def differences(known: Any, found: Any, place: str = "") -> Iterator[str]:
    """Say where something found lacks what is known, or has it otherwise.

    An object may have members that are not known: a later version adds some. A list may not.
    """
    if isinstance(known, dict) and isinstance(found, dict):
        for name, value in known.items():
            if name in found:
                yield from differences(value, found[name], f"{place}/{name}")
            else:
                yield f"{place}/{name} is missing"
    elif isinstance(known, list) and isinstance(found, list):
        if len(known) != len(found):
            yield f"{place} has {len(found)} elements, not {len(known)}"
        for number, (one, other) in enumerate(zip(known, found, strict=False)):
            yield from differences(one, other, f"{place}/{number}")
    elif isinstance(known, float) and isinstance(found, float):
        if not math.isclose(known, found, rel_tol=1e-9):
            yield f"{place} is {found!r}, not {known!r}"
    elif type(known) is not type(found) or known != found:
        yield f"{place} is {found!r}, not {known!r}"
