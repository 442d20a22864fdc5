"""Files of others in the browser's pages: known, unchanged, with their licences, and shipped."""

import hashlib
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
VENDOR = ROOT / "src/lakehouse/ui/static/vendor"
FILES = tomllib.loads((VENDOR / "VENDOR.toml").read_text("utf-8"))["file"]
MEMBERS = {
    "path",
    "name",
    "version",
    "upstream_file",
    "sha256",
    "licence",
    "licence_file",
    "licence_sha256",
}


def test_every_file_is_listed_and_nothing_else():
    listed = (
        {"VENDOR.toml"} | {one["path"] for one in FILES} | {one["licence_file"] for one in FILES}
    )

    assert [set(one) for one in FILES] == [MEMBERS] * len(FILES)
    assert {path.name for path in VENDOR.iterdir()} == listed


@pytest.mark.parametrize("one", FILES, ids=lambda one: one["path"])
def test_a_file_is_as_it_was_released(one: dict[str, str]):
    for path, digest in [("path", "sha256"), ("licence_file", "licence_sha256")]:
        data = (VENDOR / one[path]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == one[digest], one[path]
    assert f'version:"{one["version"]}"' in (VENDOR / one["path"]).read_text("utf-8")


def test_no_host_is_named():
    """A page must not ask another host for anything, and a list must not name a registry."""
    assert "://" not in (VENDOR / "VENDOR.toml").read_text("utf-8")


def test_the_wheel_contains_them_and_their_licences(tmp_path: Path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for path in sorted((ROOT / "src/lakehouse/ui").rglob("*.*")):
            if path.suffix != ".pyc":
                name = path.relative_to(ROOT / "src").as_posix()
                assert archive.read(name) == path.read_bytes()
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        assert b"License-Expression: Apache-2.0 AND 0BSD" in archive.read(metadata)
    for one in FILES:
        assert any(
            name.endswith(f"/{one['licence_file']}") and "licenses/" in name for name in names
        )
