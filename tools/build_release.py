"""Builds what a release consists of, from the commit that is checked out: `make release`.

    python tools/build_release.py dist

dist gets the sdist, the wheel that is built from it, the bill of materials, and SHA256SUMS. Nothing
is signed or uploaded: docs/how-to/release.md. It refuses a checkout with changes, and one whose
commit does not have the tag of its version. The same commit gives the same bytes anywhere: files
come from git alone, their times from the commit, and the tools are those of requirements/dev.txt.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from build_sbom import NAME, ROOT, bill, package_version


def main() -> None:
    target = Path(sys.argv[1]).absolute()
    _check_checkout()
    epoch_s = int(_git("log", "-1", "--format=%ct", "HEAD"))
    os.environ["SOURCE_DATE_EPOCH"] = str(epoch_s)  # hatchling takes the times of files from it
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        _export(tree)
        _build("sdist", tree, target)
        [sdist] = target.glob("*.tar.gz")
        with tarfile.open(sdist) as packed:
            packed.extractall(Path(scratch), filter="data")
        _build("wheel", Path(scratch) / sdist.name.removesuffix(".tar.gz"), target)
    (target / f"{NAME}-{package_version()}.cdx.json").write_text(bill(epoch_s=epoch_s), "utf-8")
    sums = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(target.iterdir())
    ]
    (target / "SHA256SUMS").write_text("".join(sums))
    print("".join(sums), end="")


def _check_checkout() -> None:
    changes = _git("status", "--porcelain")
    if changes:
        sys.exit(f"The checkout has changes; commit or remove them:\n{changes}")
    tag = f"v{package_version()}"
    if tag not in _git("tag", "--points-at", "HEAD").split("\n"):
        sys.exit(
            f"The version is {package_version()}, but this commit does not have the tag {tag}: "
            f"check out the tag, or make it (docs/how-to/release.md)."
        )


def _export(tree: Path) -> None:
    """Write the commit's own files, without what git does not know."""
    archive = tree.with_suffix(".tar")
    _git("archive", f"--output={archive}", "HEAD")
    with tarfile.open(archive) as packed:
        packed.extractall(tree, filter="data")


def _build(sort: str, tree: Path, target: Path) -> None:
    subprocess.run(
        (sys.executable, "-m", "hatchling", "build", "--target", sort, "--directory", target),
        cwd=tree,
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ("git", *arguments), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


if __name__ == "__main__":
    main()
