"""No space: a limit on the size of files, and a small file system that is really full."""

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.oracle import check, end, start, times, told, wait_until

IMAGE_BYTES = 96 << 20
BLOCK_BYTES = 4096
CYCLES = times(5, 50)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount an ext4 file system of 96 MiB."""
    for tool in ("mkfs.ext4", "mount", "umount"):
        if shutil.which(tool) is None:
            pytest.fail(f"{tool} is not here: apt-get install e2fsprogs mount")
    image, place = tmp_path / "disk.img", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    place.mkdir()
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def reserves(root: Path) -> list[Path]:
    """List the files whose space a writer gives up for the last rows."""
    return list((root / "writers").glob("*.reserve"))


def fill(place: Path) -> Path:
    """Take the last block of the file system."""
    ballast = place / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, BLOCK_BYTES, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return ballast


@pytest.mark.timeout(times(600, 7_200))
def test_a_full_disk_refuses_keeps_its_word_and_heals(tmp_path: Path, small_disk: Path):
    """Fill, be refused, make room, go on: nothing acknowledged is lost, and nobody restarts."""
    root = small_disk / "log"
    # Sessions last longer than the disk takes to fill: some are always running when it is full.
    options = ["--check", "--tend", "--segment-bytes", 200_000]
    options += ["--session-s", 0.5, "--row-bytes", 3 * BLOCK_BYTES, "--pause-s", 0.02]
    producer = start("producer.py", root, *options)
    assert producer.stdout is not None
    stdout = producer.stdout
    os.set_blocking(stdout.fileno(), False)
    output = b""

    def acked() -> int:
        nonlocal output
        output += stdout.read() or b""
        return output.count(b"acked ")

    given_up = 0
    for _ in range(CYCLES):
        before = acked()
        wait_until(lambda: acked() > before + 5, "acknowledged rows")  # noqa: B023 - called here
        wait_until(lambda: reserves(root) != [], "the reserve")
        ballast = fill(small_disk)
        full = acked()
        wait_until(lambda: _quiet(acked), "a refusal")
        given_up += reserves(root) == []
        assert acked() < full + 400, "the reserve lets running sessions land, not new ones"
        ballast.unlink()
        healed = acked()
        wait_until(lambda: acked() > healed + 5, "healing by itself")  # noqa: B023 - called here
    producer.kill()
    rest = end(producer)
    refused = producer.errors
    assert given_up > 0, "no row met a full disk and needed the reserve"
    assert "cannot be written" in refused, "no session was refused"
    check(root, told(output.decode() + rest))


def _quiet(acked: Callable[[], int]) -> bool:
    """Say whether nothing is acknowledged for a second."""
    before = acked()
    time.sleep(1)
    return acked() == before


@pytest.mark.parametrize("limit", [700, 2_500, 9_000, 40_000, 41_001])
def test_a_file_that_may_grow_no_further(tmp_path: Path, limit: int):
    """The write is cut short at the limit: the row goes into the next file, or is refused."""
    options = ["--rows", 60, "--row-bytes", 500, "--file-bytes-max", limit]
    producer = start("producer.py", tmp_path, *options)
    said = told(end(producer))
    assert producer.returncode == 0
    verified = check(tmp_path, said)
    assert verified.bad, "no write was cut short"
    if limit > 9_000:
        assert len(said.acked) == 60
