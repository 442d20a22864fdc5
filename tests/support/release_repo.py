"""A repository with the files of this checkout, in which a release is tried."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_DATE: Final = "2026-12-01T12:00:00+00:00"


def release_repo(directory: Path) -> Path:
    """Make a repository of one commit; its tag is the caller's business."""
    directory.mkdir(parents=True)
    listed = _git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, directory / name)
    _git(directory, "init", "--quiet")
    _git(directory, "add", "--all")
    commit(directory, "A release")
    return directory


def commit(repository: Path, message: str) -> None:
    """Commit what was added, by an author who is the same everywhere."""
    _git(repository, "commit", "--quiet", "--allow-empty", "--message", message)


def tag(repository: Path, name: str) -> None:
    """Tag the newest commit."""
    _git(repository, "tag", "--annotate", "--message", name, name)


def build(repository: Path) -> subprocess.CompletedProcess[str]:
    """Run what `make release` runs."""
    return subprocess.run(
        (sys.executable, "tools/build_release.py", "dist"),
        cwd=repository,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def _git(directory: Path, *arguments: str) -> str:
    author = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "nobody"), ("EMAIL", "nobody@localhost"), ("DATE", _DATE))
    }
    done = subprocess.run(
        ("git", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false", *arguments),
        cwd=directory,
        env={**os.environ, **author},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
