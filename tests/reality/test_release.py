"""What `make release` builds: the same bytes anywhere, whole, installable, with its ingredients."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.metadata import Metadata
from packaging.utils import canonicalize_name

import lakehouse
from support.release_repo import ROOT, build, commit, release_repo, tag

VERSION = lakehouse.__version__
WHEEL = f"lakehouse_stack-{VERSION}-py3-none-any.whl"
SDIST = f"lakehouse_stack-{VERSION}.tar.gz"
BILL = f"lakehouse-stack-{VERSION}.cdx.json"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release_repo(tmp_path_factory.mktemp("release") / "repository")


@pytest.fixture(scope="module")
def dist(repository: Path) -> Path:
    """The files of a release, built from a tagged commit."""
    tag(repository, f"v{VERSION}")
    done = build(repository)
    assert done.returncode == 0, done.stdout + done.stderr
    return repository / "dist"


@pytest.fixture(scope="module")
def components(dist: Path) -> dict[str, Any]:
    """What the bill of materials lists, by name and version."""
    document = json.loads((dist / BILL).read_bytes())
    return {f"{one['name']}=={one['version']}": one for one in document["components"]}


def test_a_build_elsewhere_by_another_umask_zone_and_language_gives_the_same_bytes(
    dist: Path, repository: Path, tmp_path: Path
):
    """And the wheel that is built from the sdist is the one that is built from the tree."""
    tree = tmp_path / "another place"
    with tarfile.open(fileobj=_archive(repository)) as packed:
        packed.extractall(tree, filter="data")
    for path in tree.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
        os.utime(path)
    epoch_s = _told(repository, "log", "-1", "--format=%ct").strip()
    subprocess.run(
        (sys.executable, "-m", "hatchling", "build", "--directory", tmp_path / "dist"),
        cwd=tree,
        env={**os.environ, "TZ": "Asia/Tokyo", "LC_ALL": "C", "SOURCE_DATE_EPOCH": epoch_s},
        umask=0o077,
        check=True,
        capture_output=True,
    )

    for name in (SDIST, WHEEL):
        assert (tmp_path / "dist" / name).read_bytes() == (dist / name).read_bytes(), name


def test_the_checksums_are_those_of_all_other_files(dist: Path):
    lines = (dist / "SHA256SUMS").read_text().splitlines()

    assert sorted(line.split("  ")[1] for line in lines) == sorted([BILL, SDIST, WHEEL])
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((dist / name).read_bytes()).hexdigest() == digest


def test_the_sdist_has_all_that_git_has_and_nothing_else(dist: Path, repository: Path):
    listed = set(filter(None, _told(repository, "ls-files", "-z").split("\0")))

    with tarfile.open(dist / SDIST) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}

    assert names == listed | {"PKG-INFO"}


def test_the_metadata_is_valid_and_says_what_the_package_is(dist: Path):
    with zipfile.ZipFile(dist / WHEEL) as wheel:
        [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Metadata.from_email(wheel.read(name), validate=True)

    assert (metadata.name, str(metadata.version)) == ("lakehouse-stack", VERSION)
    assert metadata.license_expression == "Apache-2.0 AND 0BSD"
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description == (ROOT / "README.md").read_text("utf-8")
    assert "Development Status :: 5 - Production/Stable" in (metadata.classifiers or ())


def test_the_wheel_installs_by_name_and_starts(dist: Path, tmp_path: Path):
    where = ("--no-index", "--find-links", dist, "--no-deps", "--target", tmp_path)
    subprocess.run(
        (
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-compile",
            *where,
            "lakehouse-stack",
        ),
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_FIND_LINKS": ""},
        check=True,
    )

    done = subprocess.run(
        (tmp_path / "bin" / "lakehouse", "--version"),
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, f"lakehouse {VERSION}\n"), done.stderr


def test_the_changelog_tells_of_this_version():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"\n## {VERSION} - " in text


def test_a_checkout_with_changes_is_refused(repository: Path, dist: Path):
    assert dist.is_dir()
    (repository / "left over").write_text("")
    try:
        done = build(repository)
    finally:
        (repository / "left over").unlink()

    assert done.returncode == 1
    assert "The checkout has changes" in done.stderr


def test_a_commit_without_the_tag_of_its_version_is_refused(tmp_path: Path):
    repository = tmp_path / "repository"
    (repository / "src" / "lakehouse").mkdir(parents=True)
    (repository / "tools").mkdir()
    for name in ("tools/build_release.py", "tools/build_sbom.py", "src/lakehouse/__init__.py"):
        (repository / name).write_bytes((ROOT / name).read_bytes())
    for arguments in (("init", "--quiet"), ("add", "--all")):
        _told(repository, *arguments)
    commit(repository, "One")
    tag(repository, "v0.0.1")

    done = build(repository)

    assert done.returncode == 1
    assert f"does not have the tag v{VERSION}" in done.stderr
    assert not (repository / "dist").exists()


def test_the_bill_of_materials_is_valid_and_names_no_host(dist: Path):
    text = (dist / BILL).read_text("utf-8")

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    addresses = [word for word in text.split('"') if "://" in word]
    assert addresses == ["http://cyclonedx.org/schema/bom-1.6.schema.json"]


def test_the_bill_of_materials_has_every_run_time_package_with_its_hashes(
    components: dict[str, Any],
):
    pins = (ROOT / "requirements" / "run.txt").read_text("utf-8")
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    by_name = {name.partition("==")[0] for name in components}

    assert {canonicalize_name(one.partition(">=")[0]) for one in needed} <= by_name
    pinned = {line.split(" ")[0] for line in pins.splitlines() if "==" in line.split(" ")[0]}
    assert pinned == {name for name in components if not name.startswith("htmx")}
    digests = {found["content"] for one in components.values() for found in one["hashes"]}
    assert pins.count("--hash=sha256:") == sum(digest in pins for digest in digests)


def test_the_bill_of_materials_has_licences_and_what_is_vendored(components: dict[str, Any]):
    for name, one in components.items():
        assert one.get("licenses") or one.get("properties"), f"{name} has no licence"
    assert components["duckdb==" + _pin("duckdb")]["licenses"] == [{"license": {"id": "MIT"}}]
    [htmx] = [one for name, one in components.items() if name.startswith("htmx")]
    assert htmx["licenses"] == [{"license": {"id": "0BSD"}}]
    [file] = [one["value"] for one in htmx["properties"]]
    data = (ROOT / "src" / "lakehouse" / file).read_bytes()
    assert htmx["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(data).hexdigest()}]


def _pin(name: str) -> str:
    pins = (ROOT / "requirements" / "run.txt").read_text("utf-8").splitlines()
    [line] = [line for line in pins if line.startswith(f"{name}==")]
    return line.split(" ")[0].partition("==")[2]


def _told(repository: Path, *arguments: str) -> str:
    return subprocess.run(
        ("git", *arguments), cwd=repository, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def _archive(repository: Path) -> Any:
    with subprocess.Popen(
        ("git", "archive", "HEAD"), cwd=repository, stdout=subprocess.PIPE
    ) as packing:
        assert packing.stdout is not None
        return io.BytesIO(packing.stdout.read())
