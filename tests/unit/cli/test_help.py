"""Help: quick to load, and with an example for every command."""

import os
import subprocess
import sys
from pathlib import Path

from support.commands import lakehouse


def test_help_is_quick_to_load_and_every_command_has_an_example():
    """The overview imports no command; each command's help shows one way to use it."""
    from lakehouse.cli.commands import COMMANDS  # noqa: PLC0415

    pages = set()
    for arguments in ([], ["-h"], ["--help"]):
        code = f"import atexit, sys; sys.argv = ['lakehouse', *{arguments}]\n"
        code += "heavy = ('duckdb', 'pyarrow', 'rich', 'httptools', 'lakehouse.config')\n"
        code += "atexit.register(lambda: print([m for m in heavy if m in sys.modules]))\n"
        code += "from lakehouse.cli.main import main\n"
        code += "main()"
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ,
        )
        *lines_of_it, loaded = (done.stderr + done.stdout).splitlines()
        assert loaded == "[]"
        pages.add("\n".join(lines_of_it))
    [page] = pages
    for summary in (summary for _, summary in COMMANDS.values()):
        assert summary in " ".join(page.split())
    groups: dict[str, list[str | None]] = {
        "kinds": [None, "show"],
        "models": ["pull"],
        "keys": ["new"],
        "log": ["verify", "seal", "reap", "compact", "forget"],
        "trace": ["resend"],
    }
    for name in groups:
        listed = lakehouse(Path.cwd(), name, "--help").stdout.partition("Commands:")[2]
        assert listed
        assert "..." not in listed
        assert "…" not in listed
    for name in COMMANDS:
        for inner in groups.get(name, [None]):
            arguments = [name, inner] if inner else [name]
            assert "Example:" in lakehouse(Path.cwd(), *arguments, "--help").stdout, arguments
