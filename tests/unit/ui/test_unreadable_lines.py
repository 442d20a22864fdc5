"""Pages that show figures of a log say how many of its lines could not be read, and where."""

from pathlib import Path

import pytest

from lakehouse.core.limits import ROW_BYTES_MAX
from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.index import questions as ask
from lakehouse.sessionlog.index.builder import build
from lakehouse.sessionlog.index.packs import INDEX, Heads
from lakehouse.sessionlog.keeping.sealing import seal
from support.dead_writer import dead_writer
from support.filled_log import fill
from support.indexed_log import BIG, desk_of
from support.rows import make_row
from support.ui_pages import pages_over

PAGES = (
    *("/ui", "/ui/sessions", "/ui/findings", "/ui/values", "/ui/latency", "/ui/kinds"),
    *("/ui/kind?kind=airport_event", "/ui/feedback", "/ui/sessions/shown"),
)
ROWS = 5
ROW = b'{"schema":"session.iterate.v1"'


@pytest.fixture(params=[1, BIG // 4], ids=["read as it is", "in a pack"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A sealed segment, small or large enough for a pack."""
    fill(tmp_path, *(make_row(prompt="x" * request.param) for _ in range(ROWS)))
    seal(tmp_path)
    return tmp_path


def sealed(log: Path) -> Path:
    (path,) = (log / "sealed").glob("*.jsonl")
    return path


def progress_of(log: Path, *, indexed: bool) -> ask.Progress:
    desk = desk_of(log)
    if indexed:
        build(log, log / INDEX)
    answer = desk.answer(ask.AskRates())
    assert isinstance(answer, ask.Rates), answer
    assert answer.progress.complete
    assert answer.progress.rows == answer.total.sessions
    return answer.progress


def flip(path: Path, *, lines: int) -> None:
    """Damage the last so many rows of a file."""
    data = bytearray(path.read_bytes())
    end = len(data)
    for _ in range(lines):
        end = data.rindex(ROW, 0, end)
        data[end + len(ROW)] ^= 1
    path.write_bytes(data)


def told(log: Path, *, file: str, lines: int, rows: int, indexed: bool = True) -> None:
    found = progress_of(log, indexed=indexed)
    assert (found.rows, found.lines_unreadable, found.files_unreadable) == (rows, lines, 1)
    assert found.unreadable == (ask.UnreadableFile(file, lines),)


def test_a_sound_log_has_no_such_lines(log: Path):
    found = progress_of(log, indexed=True)
    assert (found.rows, found.lines_unreadable, found.unreadable) == (ROWS, 0, ())


def test_damaged_lines_of_a_sealed_segment(log: Path):
    build(log, log / INDEX)
    flip(sealed(log), lines=2)
    told(log, file=f"sealed/{sealed(log).name}", lines=2, rows=ROWS - 2)


def test_a_sealed_segment_that_was_cut(log: Path):
    """Lines that are gone altogether count: its manifest says how many there were."""
    path = sealed(log)
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(ROW, 0, data.rindex(ROW)) + 50])
    told(log, file=f"sealed/{path.name}", lines=2, rows=ROWS - 2)
    path.write_bytes(b"")
    told(log, file=f"sealed/{path.name}", lines=ROWS, rows=0)


def test_merged_packs_keep_the_count(log: Path):
    flip(sealed(log), lines=1)
    for _ in range(8):
        fill(log, *(make_row(prompt="x" * BIG) for _ in range(1)))
        seal(log)
        build(log, log / INDEX)
    assert len(Heads(log / INDEX).packs()) < 8, "they were merged"
    found = progress_of(log, indexed=True)
    assert (found.rows, found.lines_unreadable) == (ROWS - 1 + 8, 1)


@pytest.mark.parametrize("size", [1, BIG // 4])
def test_an_active_segment_whose_writer_is_gone(tmp_path: Path, size: int):
    dead_writer(tmp_path, rows=[make_row(prompt="x" * size) for _ in range(ROWS)])
    (path,) = (tmp_path / "active").glob("*.jsonl")
    flip(path, lines=1)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 30)  # the damaged one, without its end
    told(tmp_path, file=f"active/{path.name}", lines=1, rows=ROWS - 1)
    seal(tmp_path)  # the session gets the row of an outage
    told(tmp_path, file=f"sealed/{path.name}", lines=1, rows=ROWS)


def test_a_line_that_grows_is_no_damage(tmp_path: Path):
    """It is counted while it has no end, and is a row once it has."""
    path = tmp_path / "active" / "foreign-0.jsonl"
    path.parent.mkdir(mode=0o700)
    line = encode_line(make_row())
    desk = desk_of(tmp_path)
    path.write_bytes(b"\n" + encode_line(make_row()) + b"\n\n" + line[:100])
    assert desk.answer(ask.AskRates()).progress.lines_unreadable == 1  # nobody holds its lock
    with path.open("ab") as file:
        file.write(line[100:] + b"\n")
    found = desk.answer(ask.AskRates())
    assert (found.progress.rows, found.progress.lines_unreadable) == (2, 0)


def test_a_row_that_is_too_long_is_counted_before_and_after_it_is_indexed(tmp_path: Path):
    path = tmp_path / "active" / "foreign-0.jsonl"
    path.parent.mkdir(mode=0o700)
    row = make_row(prompt="x" * (2 * ROW_BYTES_MAX))
    path.write_bytes(b"\n".join([b"", encode_line(make_row()), encode_line(row), b""]))
    before = desk_of(tmp_path).answer(ask.AskRates()).progress
    assert before.files_missing == 1
    told(tmp_path, file="active/foreign-0.jsonl", lines=1, rows=1)
    seal(tmp_path)
    told(tmp_path, file="sealed/foreign-0.jsonl", lines=1, rows=1)


def test_damage_in_the_inbox_is_counted_once(tmp_path: Path):
    """Also by a reader that saw it there before it was in a sealed copy."""
    fill(tmp_path)
    (tmp_path / "inbox.jsonl").write_bytes(b"\nno row\n" + encode_line(make_row()) + b"\n")
    desk = desk_of(tmp_path)
    for file in ("inbox.jsonl", "sealed/inbox-0.jsonl"):
        found = desk.answer(ask.AskRates())
        assert (found.total.sessions, found.progress.lines_unreadable) == (1, 1)
        assert found.progress.unreadable[0].file == file
        seal(tmp_path)
    told(tmp_path, file="sealed/inbox-0.jsonl", lines=1, rows=1)


def test_of_many_files_those_with_most_are_named(tmp_path: Path):
    (tmp_path / "active").mkdir(mode=0o700)
    for number in range(9):
        path = tmp_path / "active" / f"foreign{number}-0.jsonl"
        path.write_bytes(b"no row\n" * (number + 1))
    found = desk_of(tmp_path).answer(ask.AskRates()).progress
    assert (found.lines_unreadable, found.files_unreadable) == (45, 9)
    assert [one.lines for one in found.unreadable] == [9, 8, 7, 6, 5]
    with pages_over(tmp_path) as client:
        assert "the others in 4 more files" in client.get("/ui/sessions").text


def test_every_page_of_figures_says_so(tmp_path: Path):
    fill(tmp_path, make_row(session_id="shown"), make_row())
    seal(tmp_path)
    flip(sealed(tmp_path), lines=1)
    name = f"sealed/{sealed(tmp_path).name}"
    said = f"1 line of the log cannot be read and is not counted: 1 in <code>{name}</code>"
    with pages_over(tmp_path) as client:
        for path in PAGES:
            page = client.get(path)
            assert (page.status_code, said in page.text) == (200, True), (path, page.text)
            assert "lakehouse log verify" in page.text
            before, mark, after = path.partition("?")
            data = client.get(f"{before}.json{mark}{after}").text
            assert f'"unreadable":[{{"file":"{name}","lines":1}}]' in data, (path, data)
