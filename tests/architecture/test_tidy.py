"""The shape of the code, held by a test: sizes, names, and what may not be committed."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "src").rglob("*.py"))
BESIDE = sorted(
    path for name in ("tests", "tools", "benchmarks") for path in (ROOT / name).rglob("*.py")
)
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}


def test_there_are_modules_to_look_at():
    """A wrong path would let every check below pass."""
    assert len(MODULES) > 80
    assert {path.relative_to(ROOT).parts[0] for path in BESIDE} == {"tests", "tools", "benchmarks"}
    assert len(BESIDE) > 200


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_a_module_is_short_named_by_a_noun_and_says_why_it_exists(module: Path):
    """At most 400 lines, functions at most 60, a docstring first, no catch-all names."""
    text = module.read_text("utf-8")
    tree = ast.parse(text)
    too_long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    ]

    assert text.count("\n") <= MODULE_LINES_MAX
    assert too_long == []
    assert ast.get_docstring(tree)
    assert module.stem not in BANNED_NAMES


@pytest.mark.parametrize("module", BESIDE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_beside_the_source_is_short_and_says_why_it_exists(module: Path):
    """Tests, tools and benchmarks are read like the source: at most 400 lines."""
    text = module.read_text("utf-8")

    assert text.count("\n") <= MODULE_LINES_MAX
    assert ast.get_docstring(ast.parse(text))
    assert module.stem not in BANNED_NAMES


@pytest.mark.parametrize(
    ("text", "package"),
    [
        ("fcntl.flock(", "files"),
        ("os.O_DIRECTORY", "files"),
        ('.replace("\'", "\'\'")', "sql"),
        (".replace('\"', '\"\"')", "sql"),
    ],
)
def test_what_is_easily_done_wrong_is_done_in_one_package(text: str, package: str):
    """Locks, synced directories and quoted SQL: everybody else calls the package that has them."""
    home = ROOT / "src/lakehouse" / package
    found = {module.parent for module in MODULES if text in module.read_text("utf-8")}

    assert found == {home}


def test_every_suppression_gives_its_reason():
    """`noqa`, `type: ignore` and `pragma` end in a reason, in the code that ships."""
    bare = re.compile(r"#\s*(noqa(: [A-Z0-9, ]+)?|type: ignore(\[[^\]]*\])?|pragma: [a-z ]+)\s*$")
    found = [
        f"{module.relative_to(ROOT)}:{number}"
        for module in MODULES
        for number, line in enumerate(module.read_text("utf-8").splitlines(), start=1)
        if bare.search(line)
    ]

    assert found == []


def test_the_readme_is_short():
    """A newcomer reads it whole."""
    assert (ROOT / "README.md").read_text("utf-8").count("\n") < 150


def test_nothing_of_a_machine_is_committed():
    """No lock file that names an index, no absolute path of a home or work directory."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    suspicious = re.compile(r"(/home/\w+/|/Users/\w+/|(?<![\w.])/work/\w+|(?<![\w.])/root/\w+)")
    found = []
    for name in tracked:
        assert Path(name).name not in {"uv.lock", "Cargo.lock"}
        data = (ROOT / name).read_bytes()
        if b"\0" not in data[:1024] and suspicious.search(data.decode("utf-8", "replace")):
            found.append(name)

    assert tracked
    assert [name for name in found if name != "tests/architecture/test_tidy.py"] == []
