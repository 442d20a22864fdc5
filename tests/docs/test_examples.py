"""Every code block of the documentation runs, or is loaded as what it says it is.

The `sh` blocks of a page run in their order, as one script in one fresh directory; a block whose
fence names a file (`toml lakehouse.toml`) is written there first. A how-to page begins with the
files of the tutorial's project. Whatever a page starts in the background ends with it.
"""

import json
import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from lakehouse.config.load import load_config
from support.doc_pages import (
    CLIENT_PAGES,
    COME_FROM_PAGES,
    FROM_PYTHON,
    README,
    ROOT,
    TUTORIAL,
    Block,
    blocks,
    files_of_the_tutorial,
    written,
)
from support.page_shell import Ran, sh
from support.weights import pulled_weights

PAGES = [README, *sorted((ROOT / "docs").rglob("*.md")), ROOT / "CONTRIBUTING.md"]
FENCE = re.compile(r"^\s*(```|~~~)", re.MULTILINE)
pytestmark = pytest.mark.timeout(400)
PROGRAMS = ("delays.py", "ask.py")  # of the README
# Blocks that cannot run here, by page and first line: CI runs `make`, and pip needs an index.
ELSEWHERE = {
    ("README.md", "make demo"),
    (
        "CONTRIBUTING.md",
        "make check   # ruff, mypy --strict (src, tests, tools, benchmarks), import-linter",
    ),
    (
        "README.md",
        "python3 -m venv .venv && . .venv/bin/activate && pip install '.[local,delta,replay]'",
    ),
    # Need root, systemd, packages and a certificate; each page says how it was carried out.
    (
        "docs/how-to/run-as-a-service.md",
        "apt-get install --no-install-recommends git python3-venv nginx-light curl",
    ),
    (
        "docs/how-to/run-as-a-service.md",
        "git clone ADDRESS /srv/lakehouse",
    ),
    (
        "docs/how-to/run-as-a-service.md",
        "cd /srv/lakehouse/deploy/systemd",
    ),
    (
        "docs/how-to/run-as-a-service.md",
        "install -d -m 755 /etc/lakehouse",
    ),
    (
        "docs/how-to/run-as-a-service.md",
        "install -d -m 700 /etc/lakehouse/credentials",
    ),
    (
        "docs/how-to/run-as-a-service.md",
        "systemctl enable --now lakehouse.socket lakehouse.service",
    ),
    (
        "docs/how-to/run-as-a-service.md",
        "systemd-run --quiet --pipe --wait -p User=lakehouse \\",
    ),
    (
        "docs/how-to/run-as-a-service.md",
        "systemctl enable --now lakehouse-compact.timer",
    ),
    (
        "docs/how-to/run-as-a-service.md",
        "apt-get install certbot",
    ),
    (
        "docs/how-to/run-as-a-service.md",
        "cd /etc/nginx/conf.d",
    ),
    (
        "docs/how-to/run-as-a-service.md",
        "systemctl reload lakehouse.service",
    ),
    (
        "docs/how-to/run-as-a-service.md",
        "systemctl restart lakehouse.service",
    ),
    (
        "docs/how-to/run-as-a-service.md",
        "cd /srv/lakehouse",
    ),
    (
        "docs/how-to/run-as-a-service.md",
        "systemctl reset-failed lakehouse.service lakehouse.socket",
    ),
    (
        "docs/how-to/run-as-a-service.md",
        "journalctl -u lakehouse.service -o cat -f",
    ),
    (
        "docs/how-to/put-it-behind-a-proxy.md",
        "curl -sf https://lakehouse.example/readyz",
    ),
    # Need tools of other languages: make parity runs them.
    ("docs/how-to/compare-runtimes.md", "make parity"),
    (
        "docs/how-to/compare-runtimes.md",
        (
            "lakehouse parity --peer go:session_log=sdk/go/bin/session-log-helper "
            "--peer go:validator=sdk/go/bin/validator-helper"
        ),
    ),
    (
        "docs/how-to/add-a-runtime.md",
        (
            "lakehouse parity --suite session_log --peer "
            '"node:session_log=node examples/node_runtime/session_log_helper.mjs"'
        ),
    ),
    # Runs in a clone: tests/unit/spec/test_extended_fixtures.py.
    ("docs/how-to/compare-runtimes.md", "python tools/build_parity_fixtures.py"),
    # Need an engine, a cluster: make container, make chart, tests/deploy.
    ("docs/how-to/run-in-a-container.md", "docker build -f Containerfile -t lakehouse ."),
    (
        "docs/how-to/run-in-a-container.md",
        (
            "docker run --detach --name lakehouse --read-only --tmpfs /tmp --cap-drop ALL "
            "--security-opt no-new-privileges \\"
        ),
    ),
    ("docs/how-to/run-in-a-container.md", "cd deploy/compose"),
    (
        "docs/how-to/run-in-a-container.md",
        (
            "helm install lakehouse deploy/helm/lakehouse --values values.yaml --set "
            "image.repository=registry.example.com/lakehouse"
        ),
    ),
    # Needs a session of that id: tests/unit/cli/test_log.py.
    ("docs/how-to/keep-the-log.md", "lakehouse log forget 0af7651916cd43dd8448eb211c80319c"),
    (
        "docs/reference/installation.md",
        "python3 -m venv .venv && . .venv/bin/activate && pip install .",
    ),
    # Runs in a clone with tags, and a key to sign with: tests/reality/test_release.py.
    ("docs/how-to/release.md", 'git tag --sign v1.0.0 --message "Lakehouse 1.0.0"'),
    ("docs/how-to/release.md", "git config gpg.format ssh"),
    ("docs/how-to/release.md", "git config gpg.ssh.allowedSignersFile allowed_signers"),
    ("docs/how-to/release.md", "git checkout v1.0.0"),
    # Need a receiver: tests/unit/cli/test_trace.py, tests/contracts/test_tracing_phoenix.py.
    ("docs/how-to/trace-sessions.md", "export LANGFUSE_URL=https://langfuse.example.com"),
    (
        "docs/how-to/trace-sessions.md",
        "unset LANGFUSE_URL LANGFUSE_PUBLIC_KEY LANGFUSE_SECRET_KEY",
    ),
    (
        "docs/how-to/trace-sessions.md",
        "lakehouse trace resend --since 2026-11-01T00:00:00Z",
    ),
}
# The README speaks to a stack that is up, and of a file that the reader has.
UP = """
lakehouse up &
curl -sf --retry 90 --retry-all-errors --retry-delay 1 http://127.0.0.1:4110/readyz
"""
REAL_STACK = f"lakehouse init .\n{UP}"
README_STACK = (
    r"""
lakehouse init .
cat > script.json <<'END'
{"matches": {
  "MAD": ["{\"airport\": \"MAD\", \"city\": \"Madrid\", \"minutes\": 35}"],
  "minutes\\.": ["{\"quote\": \"BCN Barcelona: flight VY3901 delayed 25 minutes.\", \"airport\": \"BCN\", \"city\": \"Barcelona\", \"event\": \"delayed\"}"],
  "BCN": ["{\"quote\": \"BCN Barcelona: flight VY3901 delayed 25 minutes, late inbound aircraft.\", \"airport\": \"BCN\", \"city\": \"Barcelona\", \"event\": \"delayed\"}"],
  "LHR": ["{\"quote\": \"LHR London: flight BA117 delayed 40 minutes, fog.\", \"airport\": \"LHR\", \"city\": \"London\", \"event\": \"delayed\"}"]}}
END
export LAKEHOUSE_MODELS__SMALL__PROVIDER=scripted LAKEHOUSE_MODELS__SMALL__SCRIPT=script.json
"""  # noqa: E501  one JSON text on one line
    + UP
)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def key_of(page: Path, block: Block) -> tuple[str, str]:
    return name_of(page), block.body.split("\n", 1)[0]


def script_of(page: Path) -> str:
    """Join what a reader of the page would do, in order."""
    return "\n".join(
        written(block) if block.file else block.body
        for block in blocks(page)
        if block.file or (block.language == "sh" and key_of(page, block) not in ELSEWHERE)
    )


def run_page(page: Path, directory: Path, before: str = "") -> Ran:
    script = before + script_of(page)
    if "curl " in script and shutil.which("curl") is None:
        pytest.skip("the page uses curl, which is not here")
    ran = sh(directory, script)
    assert ran.code == 0, f"{page}\n{ran.out}\n{ran.err}"
    return ran


def test_there_are_blocks_to_run():
    """A pattern that finds nothing would let everything pass."""
    found = [block for page in PAGES for block in blocks(page)]
    assert len(found) > 35
    assert sum(block.language == "sh" for block in found) > 15


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_of_a_language_that_is_checked(page: Path, tmp_path: Path):
    """toml loads as a configuration, json parses, a program has a name; no fence escapes."""
    found = blocks(page)
    assert len(FENCE.findall(page.read_text("utf-8"))) == 2 * len(found)
    for block in found:
        if block.language == "toml":
            example = tmp_path / "example.toml"
            example.write_text(block.body)
            load_config(example, {})
        elif block.language == "json":
            json.loads(block.body)
        elif block.language in {"python", "js"}:
            assert block.file, f"{page}: a program names its file, so that the page can run it"
        else:
            assert block.language in {"", "text", "sh", "sql", "csv"}, f"{page}: {block.language}"


def test_every_exemption_names_a_block_that_is_there():
    """A block that changed is no longer exempt."""
    assert {key_of(page, block) for page in PAGES for block in blocks(page)} >= ELSEWHERE


@pytest.mark.parametrize(
    "page",
    [
        page
        for page in PAGES  # those not here print what they say: tests of their own run them
        if page not in {README, TUTORIAL, FROM_PYTHON, *CLIENT_PAGES, *COME_FROM_PAGES}
        and script_of(page)
    ],
    ids=name_of,
)
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path):
    """In their order, every one with exit code 0, in the tutorial's project."""
    run_page(page, tmp_path, files_of_the_tutorial())


def test_the_sql_of_the_pages_runs_on_an_empty_log(tmp_path: Path):
    """Each sql block is one question of `lakehouse query`."""
    asked = [b.body for page in PAGES for b in blocks(page) if b.language == "sql"]
    assert asked
    ran = sh(tmp_path, "\n".join(f"lakehouse query --json {shlex.quote(sql)}" for sql in asked))
    assert ran.code == 0, ran.err


def test_the_readme_runs(tmp_path: Path):
    """Its programs print what it says; all is accepted, by a script in place of the model."""
    ran = run_page(README, tmp_path, README_STACK)
    printed = [told.body for asked, told in pairwise(blocks(README)) if asked.file in PROGRAMS]
    assert len(printed) == len(PROGRAMS)
    assert "".join(printed) in ran.out
    counts = json.loads(sh(tmp_path, "lakehouse stats --json").out)
    assert (counts["sessions"], counts["accepted"]) == (4, 4)


@pytest.mark.model
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_readme_prints_the_same_with_the_real_model(tmp_path: Path, program: str):
    """The model that its reader has pulled, not the script."""
    pulled_weights()
    [(asked, printed)] = [pair for pair in pairwise(blocks(README)) if pair[0].file == program]
    ran = sh(tmp_path, f"{REAL_STACK}\n{written(asked)}\npython {program} > printed.txt")
    assert ran.code == 0, ran.err
    assert (tmp_path / "printed.txt").read_text("utf-8") == printed.body


def test_the_tutorial_ends_as_it_says(tmp_path: Path):
    """Two attempts, the invented id named with its nearest real one, one accepted artifact."""
    ran = run_page(TUTORIAL, tmp_path)
    reply = json.loads((tmp_path / "shop" / "reply.json").read_text("utf-8"))
    assert (reply["verdict"], reply["iterations"]) == ("accepted", 2)
    assert reply["artifact"] == {"sku": "A-200", "count": 2}
    assert "ungrounded at /sku" in ran.out
    counts = json.loads(sh(tmp_path / "shop", "lakehouse stats --json").out)
    assert (counts["sessions"], counts["accepted"], counts["first_shot"]) == (2, 2, 0)
