"""What a confined process can no longer do, each way for itself; and that no way is no query."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

WAYS = ["_landlock", "_mount_view", "_call_filter"]

_CONFINED = """
import json, os, socket, subprocess, sys
from pathlib import Path
from lakehouse.process import confinement
from lakehouse.process.confinement import Bounds, confine

way, root = sys.argv[1], Path(sys.argv[2])
confinement.WAYS = {sys.platform: (getattr(confinement, way),)}
log, spill, other = root / "log", root / "spill", root / "other"
file = log / "file"
held = os.open(file, os.O_RDONLY)
done = confine(Bounds(spill, readable=None), [log, file])
later = os.open(file, os.O_RDONLY)

def tried(what):
    try:
        what()
    except (OSError, subprocess.SubprocessError) as error:
        return type(error).__name__
    return "done"

TRIES = {
    "open for writing": lambda: os.close(os.open(file, os.O_WRONLY)),
    "open for both": lambda: os.close(os.open(file, os.O_RDWR)),
    "append": lambda: os.close(os.open(file, os.O_WRONLY | os.O_APPEND)),
    "cut by name": lambda: os.truncate(file, 0),
    "cut while reading": lambda: os.close(os.open(file, os.O_RDONLY | os.O_TRUNC)),
    "through its descriptor": lambda: os.close(os.open(f"/proc/self/fd/{later}", os.O_WRONLY)),
    "through an old one": lambda: os.close(os.open(f"/proc/self/fd/{held}", os.O_WRONLY)),
    "cut its descriptor": lambda: os.ftruncate(held, 0),
    "create": lambda: (log / "new").write_text("x"),
    "create elsewhere": lambda: (other / "new").write_text("x"),
    "remove": lambda: file.unlink(),
    "rename": lambda: file.rename(log / "renamed"),
    "rename out": lambda: file.rename(spill / "renamed"),
    "replace": lambda: os.replace(other / "file", file),
    "link over": lambda: os.link(other / "file", log / "linked"),
    "link out": lambda: os.link(file, spill / "linked"),
    "symbolic link": lambda: (log / "sym").symlink_to("/etc/passwd"),
    "directory": lambda: (log / "made").mkdir(),
    "remove directory": lambda: (log / "empty").rmdir(),
    "fifo": lambda: os.mkfifo(log / "fifo"),
    "mode": lambda: file.chmod(0o666),
    "owner": lambda: os.chown(file, 0, 0),
    "times": lambda: os.utime(file, (1, 1)),
    "attribute": lambda: os.setxattr(file, "user.x", b"x"),
    "anonymous file": lambda: os.close(os.open(log, os.O_WRONLY | os.O_TMPFILE)),
    "socket": lambda: socket.socket(socket.AF_INET).close(),
    "unix socket": lambda: socket.socket(socket.AF_UNIX).close(),
    "program": lambda: subprocess.run(["/bin/true"], check=True),
}
said = {name: tried(what) for name, what in TRIES.items()}
said["read"] = tried(lambda: file.read_bytes())
said["spill"] = tried(lambda: (spill / "file").write_text("x"))
print(json.dumps([said, done.by, done.writable]))
"""

_REFUSED = """
import sys
from pathlib import Path
from lakehouse.process import confinement
from lakehouse.process.confinement import Bounds, Confined, NotConfined, confine

root = Path(sys.argv[2])

def fails(bounds):
    raise OSError("not here")

def lies(bounds):
    return Confined("nothing", writable=True)

if sys.argv[1] == "threads":
    import threading, time
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
else:
    ways = {"none": (), "fails": (fails,), "lies": (lies,)}[sys.argv[1]]
    confinement.WAYS = {sys.platform: ways}
try:
    confine(Bounds(root / "spill"), [root / "log", root / "log" / "file"])
except NotConfined as error:
    print(error.public)
"""


def run(script: str, tmp_path: Path, *arguments: str) -> str:
    for name in ("log/empty", "spill", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "log" / "file").write_text("rows")
    (tmp_path / "other" / "file").write_text("other")
    ended = subprocess.run(
        [sys.executable, "-c", script, *arguments, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("way", WAYS)
def test_it_can_read_and_do_nothing_else(tmp_path: Path, way: str):
    """Whatever asks for it: a library, a descriptor, another name of the file."""
    said, by, writable = json.loads(run(_CONFINED, tmp_path, way))
    assert by == way.strip("_").replace("_", " ")
    assert said.pop("read") == "done"
    assert (said.pop("spill") == "done") is writable
    assert writable is (way != "_call_filter")
    if way == "_mount_view":
        # A file that was open before keeps its way to the old mount: a query's are opened after.
        assert said.pop("through an old one") == "done"
    assert {name: how for name, how in said.items() if how == "done"} == {}
    assert (tmp_path / "log" / "file").read_text() == "rows"
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == ["empty", "file"]
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("none", "no way is known"),
        ("fails", "fails: not here"),
        ("lies", "could be opened for writing"),
        ("threads", "threads already"),
    ],
)
def test_no_way_that_holds_is_an_error(tmp_path: Path, how: str, said: str):
    """Never a query that could write; what was tried with is gone again."""
    assert said in run(_REFUSED, tmp_path, how)
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == ["empty", "file"]
