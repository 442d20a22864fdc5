"""Files that many programs append to: whole lines only, whatever was cut before them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.shared_file import append_lines, blank_lines, whole_lines
from support.rows import make_feedback


def line(comment: str) -> bytes:
    return encode_line(make_feedback(comment=comment))


def test_lines_come_back_in_their_order(tmp_path: Path):
    path = tmp_path / "feedback.jsonl"
    lines = [line("one"), line("two")]
    append_lines(path, lines)
    append_lines(path, [line("three")])
    assert list(whole_lines(path))[:2] == lines
    assert len(list(whole_lines(path))) == 3
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_not_there_has_no_lines(tmp_path: Path):
    assert list(whole_lines(tmp_path / "feedback.jsonl")) == []


def test_a_line_that_was_cut_harms_no_other(tmp_path: Path):
    """Newline first: what follows a torn line stands on a line of its own."""
    path = tmp_path / "feedback.jsonl"
    whole = line("whole")
    path.write_bytes(b"\n" + line("torn")[:-10])
    append_lines(path, [whole])
    path.write_bytes(path.read_bytes() + b"\nnot json\n" + whole[:-1] + b"\n")
    assert list(whole_lines(path)) == [whole]


def test_lines_that_nobody_wants_become_blank_where_they_stand(tmp_path: Path):
    """No other byte moves; damage stays, for nobody can say whose it is."""
    path = tmp_path / "feedback.jsonl"
    kept, unwanted = line("kept"), line("unwanted")
    append_lines(path, [unwanted, kept, unwanted])
    path.write_bytes(path.read_bytes() + b"\nunwanted, damaged\n")
    before = path.read_bytes()

    assert blank_lines(path, lambda each: b"unwanted" in each) == 2

    after = path.read_bytes()
    assert after == before.replace(unwanted, b"\n" * len(unwanted))
    assert list(whole_lines(path)) == [kept]
    assert blank_lines(path, lambda each: b"unwanted" in each) == 0
    assert blank_lines(tmp_path / "nothing", lambda _: True) == 0


def test_a_short_write_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "feedback.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda _descriptor, data: len(data) - 1)
        with pytest.raises(OSError, match="bytes were written"):
            append_lines(path, [line("one")])
    append_lines(path, [line("two")])
    assert len(list(whole_lines(path))) == 1


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path):
    (tmp_path / "elsewhere").touch()
    (tmp_path / "feedback.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        append_lines(tmp_path / "feedback.jsonl", [line("one")])


def test_programs_that_append_at_once_lose_nothing(tmp_path: Path):
    path = tmp_path / "feedback.jsonl"
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from lakehouse.core.row_codec import add_crc\n"
        "from lakehouse.sessionlog.shared_file import append_lines\n"
        "for number in range(50):\n"
        '    body = b\'{"who":"%s","n":%d}\' % (sys.argv[2].encode(), number)\n'
        "    append_lines(Path(sys.argv[1]), [add_crc(body), add_crc(body)])\n"
    )
    programs = [
        subprocess.Popen([sys.executable, "-c", program, str(path), str(who)]) for who in range(4)
    ]
    assert [one.wait(60) for one in programs] == [0] * 4
    assert len(list(whole_lines(path))) == 4 * 50 * 2
