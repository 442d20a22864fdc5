"""The builder of the parity fixtures: what its README promises, and that no slip passes unseen."""

import base64
import json
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from support.spec_files import SPEC

ROOT = Path(__file__).parents[3]
ABOUT = "about = 'a'\nwhy = 'w'\n"


def build(
    where: Path, suite: str, source: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run the builder over one file of sources, in a tree of its own."""
    sources = where / "spec" / "v1" / "parity" / "sources"
    (where / "tools").mkdir(exist_ok=True)
    (sources / suite).mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "tools" / "build_parity_fixtures.py", where / "tools")
    shutil.copy(SPEC / "parity" / "sources" / "base.toml", sources)
    (sources / suite / "cases.toml").write_text(source, "utf-8")
    return subprocess.run(
        [sys.executable, str(where / "tools" / "build_parity_fixtures.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def built(where: Path, suite: str, source: str, name: str = "one") -> dict[str, Any]:
    """Build, and give one fixture."""
    done = build(where, suite, source)
    assert done.returncode == 0, done.stderr
    path = where / "spec" / "v1" / "parity" / suite / "extended" / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def test_the_example_of_the_readme_builds(tmp_path: Path):
    """As it stands there."""
    readme = (SPEC / "parity" / "sources" / "README.md").read_text("utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    found = built(tmp_path, "session_log", example, "integer_with_point")
    assert json.loads(found["input"])["iterations"] == 1.0
    assert found["outcome"] == "errored"
    assert found["why"].startswith("Numbers of ours")


def test_a_row_is_the_base_with_its_changes_and_a_crc(tmp_path: Path):
    """Objects are changed member by member, markers stand behind their values, new ones last."""
    found = built(
        tmp_path,
        "session_log",
        f"[one]\n{ABOUT}came.x = '1'\ncame.prompt_truncated = '{{}}'\ncame.settings.seed = '7'\n"
        "came.attempts = [{ told = '\"t\"' }, {}]\ngoes = 'same'\n",
    )
    line = found["input"]
    assert '"prompt":"LIS: late","prompt_truncated":{},' in line
    assert '"max_tokens":256,"seed":7,"deadline_ms":120000}' in line
    assert line.endswith(f',"tables":{{}},"x":1,"crc":"{zlib.crc32(line[:-18].encode()):08x}"}}')
    assert [each["told"] for each in json.loads(line)["attempts"]] == ["t", None]
    assert found["expected"] == line


def test_an_edit_is_under_the_crc_and_damage_is_not(tmp_path: Path):
    """So a crc can be right or wrong as the case wants it."""
    edit = f"[one]\n{ABOUT}came = {{}}\nedit = [['late', 'soon']]\ngoes = 'refused'\n"
    edited = built(tmp_path, "session_log", edit)["input"]
    damaged = built(tmp_path, "session_log", edit.replace("edit", "damage"))["input"]
    assert edited[:-18] == damaged[:-18]
    assert edited[-10:-2] == f"{zlib.crc32(edited[:-18].encode()):08x}" != damaged[-10:-2]


def test_bytes_of_no_encoding_travel_as_base64(tmp_path: Path):
    """In the place of their mark."""
    found = built(
        tmp_path,
        "validator",
        f"[one]\n{ABOUT}came = 'a@b'\nbytes = {{ '@' = 'ff 00' }}\ngoes = 'refused'\n",
    )
    assert base64.b64decode(found["input_base64"]) == b"a\xff\x00b"
    assert "input" not in found


def test_a_reply_takes_the_output_and_is_rejected_by_findings(tmp_path: Path):
    """Members that are plain texts are written as JSON."""
    found = built(
        tmp_path,
        "validator",
        f"[one]\n{ABOUT}came.output = '\"é\"'\ngoes.findings = [{{ path = '/\"', got = '1' }}]\n",
    )
    assert found["input"] == r'{"schema":{},"output":"\"é\""}'
    assert found["expected"] == (
        '{"verdict":"rejected","artifact":"é","grounded":null,"findings":[{"code":"schema",'
        r'"path":"/\"","message":"","got":1}]}'
    )


def test_texts_are_joined_repeated_and_counted(tmp_path: Path):
    """By name too."""
    found = built(
        tmp_path,
        "session_log",
        "[texts]\nA = { repeat = { n = 3, modulo = 5 }, times = 4, between = ',' }\n"
        f"[one]\n{ABOUT}came.join = ['[', '$A', ']', {{ row = {{}}, crc = 'none' }}]\n"
        "goes = 'refused'\n",
    )
    assert found["input"].startswith('[0,3,1,4]{"schema"')
    assert found["input"].endswith('"tables":{}}')


@pytest.mark.parametrize(
    ("suite", "case", "told"),
    [
        ("session_log", "came = {}\ngose = 'same'\ngoes = 'same'", "unknown: gose"),
        ("session_log", "came = {}", "'goes'"),
        ("session_log", "came = {}\ngoes = 'ok'", "goes"),
        ("session_log", "came = '$NONE'\ngoes = 'refused'", "NONE"),
        ("session_log", "came = {}\nedit = [['nowhere', 'x']]\ngoes = 'same'", "0 times, not once"),
        ("session_log", "came = {}\nedit = [['null', 'x']]\ngoes = 'same'", "times, not once"),
        ("session_log", "came = {}\nbytes = { '@' = 'ff' }\ngoes = 'refused'", "'@' is there 0"),
        ("session_log", "came.artifact = { repaet = 'x' }\ngoes = 'same'", "not a text"),
        (
            "session_log",
            "came.artifact = { repeat = 'x', times = 'm' }\ngoes = 'same'",
            "invalid literal",
        ),
        ("session_log", "came = 'x'\ncrc = 'none'\ngoes = 'refused'", "crc and damage are for"),
        ("validator", "came.output = '1'\ndamage = []\ngoes = {}", "crc and damage are for"),
        ("validator", "came.output = '1'\ngoes.artefact = '1'", "artefact"),
        ("validator", "came.outptu = '1'\ngoes = 'refused'", "outptu"),
        ("validator", "came = ", "TOML"),
    ],
)
def test_a_slip_is_named_with_its_file_and_nothing_is_written(
    tmp_path: Path, suite: str, case: str, told: str
):
    """A member that nobody reads would be a check that nobody makes."""
    done = build(tmp_path, suite, f"[one]\n{ABOUT}{case}\n")
    assert done.returncode == 1
    assert done.stderr.startswith(f"sources/{suite}/cases.toml: ")
    assert told in done.stderr
    assert not list((tmp_path / "spec").rglob("*.json"))


def test_check_names_what_differs_and_a_case_that_is_gone_is_removed(tmp_path: Path):
    """Looking writes nothing."""
    source = f"[one]\n{ABOUT}came = {{}}\ngoes = 'same'\n"
    assert build(tmp_path, "session_log", source, "--check").returncode == 1
    assert not list((tmp_path / "spec").rglob("*.json"))
    assert build(tmp_path, "session_log", source).returncode == 0
    assert build(tmp_path, "session_log", source, "--check").returncode == 0
    done = build(tmp_path, "session_log", source.replace("[one]", "[two]"), "--check")
    assert done.returncode == 1
    assert done.stdout.count("differs") == 2
    build(tmp_path, "session_log", source.replace("[one]", "[two]"))
    assert [path.stem for path in (tmp_path / "spec").rglob("*.json")] == ["two"]
