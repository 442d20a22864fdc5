"""Bits that flip, files that are cut, holes: all is found, no wrong row shown, no good one lost."""

import random
from pathlib import Path

import pytest

from faults.oracle import check, end, start, times, told
from lakehouse.sessionlog.keeping.verify import verify
from lakehouse.sessionlog.lines import classify_file
from lakehouse.sessionlog.reading import reader
from lakehouse.sessionlog.reading.reader import read_rows

DAMAGES = times(2_000, 50_000)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Damage bytes in one of the ways of disks."""
    place = chance.randrange(len(data))
    kind = chance.choice(["flip"] * 7 + ["cut", "zeros", "twice"])
    if kind == "flip":
        flipped = bytes([data[place] ^ (1 << chance.randrange(8))])
        return data[:place] + flipped + data[place + 1 :]
    if kind == "cut":
        return data[:place]
    size = min(chance.choice([1, 16, 512]), len(data) - place)
    if kind == "zeros":
        return data[:place] + bytes(size) + data[place + size :]
    return data[: place + size] + data[place : place + size] + data[place + size :]


def find_damage(root: Path, count: int) -> tuple[int, int]:
    """Damage one file after the other; gives how many were damaged, and how many found."""
    chance = random.Random(7)
    files = sorted((root / "sealed").glob("*.jsonl"))
    originals = {file: file.read_bytes() for file in files}
    rows = set(read_rows(root))
    struck = found = 0
    for _ in range(count):
        file = chance.choice(files)
        data = damaged(originals[file], chance)
        if data == originals[file]:
            continue
        struck += 1
        file.write_bytes(data)
        shown = set(read_rows(root))
        assert shown <= rows, "a row is shown that nobody wrote"
        whole = {
            line for line in rows if any(line in text for text in _texts(data, file, originals))
        }
        assert whole <= shown, "a row that is whole is not shown"
        verified = verify(root)
        found += any(not bad.listed and file.name in bad.file for bad in verified.bad)
        file.write_bytes(originals[file])
    return struck, found


def _texts(data: bytes, file: Path, originals: dict[Path, bytes]) -> list[list[bytes]]:
    others = [text.split(b"\n") for other, text in originals.items() if other != file]
    return [data.split(b"\n"), *others]


@pytest.fixture
def sealed_log(tmp_path: Path) -> Path:
    """Give a log of some sealed segments."""
    said = told(end(start("producer.py", tmp_path, "--rows", 12, "--segment-bytes", 4_000)))
    check(tmp_path, said)
    assert len(list((tmp_path / "sealed").iterdir())) >= 6
    return tmp_path


@pytest.mark.timeout(times(900, 7_200))
def test_every_damage_is_found(sealed_log: Path):
    """By `log verify`, with the file's name; and readers show exactly what is whole."""
    struck, found = find_damage(sealed_log, DAMAGES)
    assert struck >= DAMAGES * 0.95
    assert found == struck
    print(f"{found} of {struck} damages found")


def test_a_reader_that_does_not_check_crcs_is_caught(
    sealed_log: Path, monkeypatch: pytest.MonkeyPatch
):
    """The planted bug shows damaged rows."""
    real = classify_file

    def careless(file):
        for entry in real(file):
            is_row = entry.line.data.startswith(b'{"schema":"session.iterate.v1"')
            yield type(entry)(entry.file, entry.line, "row") if is_row else entry

    monkeypatch.setattr(reader, "classify_file", careless)
    with pytest.raises(AssertionError, match="nobody wrote"):
        find_damage(sealed_log, 100)
