"""`lakehouse parity` as its user meets it: exit codes, reports, a running stack."""

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import lakehouse
from support.forked_commands import run_command
from support.stack import free_port, running_stack

HELPER = Path(__file__).parents[2] / "support" / "drifting_helper.py"
SOURCE = Path(lakehouse.__file__).parent.parent


def parity(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = run_command(
        ["parity", *arguments],
        cwd=Path.cwd(),
        timeout=120,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def helper(drift: str, name: str = "other") -> str:
    return f"{name}:session_log={sys.executable} {HELPER} '{drift}'"


class Page(HTMLParser):
    """What a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag in {"script", "link", "img", "iframe"} or any(
            name in {"src", "href"} or name.startswith("on") for name, _ in attrs
        ):
            self.fetched.append(tag)


def test_our_own_runtime_holds_the_required_fixtures():
    """4 of 4 and 6 of 6."""
    shown = parity().stdout
    assert "4/4" in shown
    assert "6/6" in shown
    assert shown.endswith("parity holds\n")


def test_a_drift_is_exit_code_1_with_its_place(tmp_path: Path):
    """In the terminal, in the JSON and in a page that fetches nothing."""
    page = tmp_path / "report.html"
    done = parity("--peer", helper("float rounding"), "--html", str(page), code=1)
    told = json.loads(parity("--peer", helper("float rounding"), "--json", code=1).stdout)

    assert "differs at /artifact" in done.stdout
    assert done.stdout.endswith("parity is broken\n")
    assert told["passed"] is False
    assert any(check["difference"] for check in told["checks"] if check["status"] == "failed")
    parser = Page()
    parser.feed(page.read_text())
    assert parser.fetched == []
    assert "differs at /artifact" in page.read_text()


def test_a_running_stack_is_probed_and_the_report_is_kept(tmp_path: Path):
    """Its validator answers 6 of 6; one JSON and one HTML file with the date in their names."""
    with running_stack(tmp_path / "stack", '[log]\npath = "log"\n', apart=False) as stack:
        done = parity("--url", stack["gateway"].url, "--save", str(tmp_path / "reports"))

    assert "python = stack" in done.stdout
    assert "6/6" in done.stdout
    saved = sorted(path.name for path in (tmp_path / "reports").iterdir())
    assert [name.rpartition(".")[2] for name in saved] == ["html", "json"]
    assert saved[0].startswith("parity-2")


def test_what_cannot_be_run_is_exit_code_3():
    """Neither a difference nor a success: nobody was there to ask."""
    for arguments, says in [
        (["--url", f"http://127.0.0.1:{free_port()}"], "The stack stack cannot be reached"),
        (["--peer", "go=./nothing-here"], "The helper of go cannot be started"),
    ]:
        done = parity(*arguments, code=3)
        assert says in done.stderr
        assert "hint: " in done.stderr
        assert "Traceback" not in done.stderr


def test_one_suite_can_be_asked_alone():
    """What was not asked for is not missed."""
    shown = parity("--suite", "session_log").stdout
    assert "validator" not in shown
    assert shown.endswith("parity holds\n")


def test_bad_options_are_one_message():
    """Exit code 2, and what is allowed."""
    for arguments, says in [
        (["--peer", "go"], "NAME=COMMAND"),
        (["--peer", "go:rows=x"], "session_log or validator"),
        (["--suite", "rows"], "allowed are session_log, validator"),
        (["--peer", helper("none", "python")], "given twice"),
        (["--url", "ftp://x"], "not an http"),
        (["--url", "http://x", "--api-key-env", "NO_SUCH_KEY"], "$NO_SUCH_KEY is named by"),
    ]:
        done = parity(*arguments, code=2)
        assert says in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
