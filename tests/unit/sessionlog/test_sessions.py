"""Pages of sessions and their rates."""

import asyncio
import base64
import json
import os
import random
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.core.errors import Refusal
from lakehouse.core.rates import wilson_interval
from lakehouse.core.row import LoggedError, Row
from lakehouse.core.row_codec import encode_line
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.reading import sessions
from lakehouse.sessionlog.reading.filters import SessionFilter, moment
from lakehouse.sessionlog.reading.sessions import list_sessions
from lakehouse.sessionlog.reading.stats import stats
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.dead_writer import dead_writer
from support.rows import make_attempt, make_row, rejected_attempt

MIXED = [
    make_row(timestamp="2026-01-01T00:00:00.000001Z"),
    make_row(timestamp="2026-01-01T00:00:00.000002Z", kind="note", model_alias="large"),
    make_row(
        timestamp="2026-01-02T00:00:00.000003Z",
        attempts=(rejected_attempt(0, "ungrounded"), make_attempt(1)),
        accepted_iteration=1,
        iterations=2,
    ),
    make_row(
        timestamp="2026-01-02T00:00:00.000004Z",
        verdict="max_iter_exhausted",
        accepted_iteration=None,
        attempts=(rejected_attempt(),),
        conversation_id="talk",
    ),
    make_row(
        timestamp="2026-01-02T00:00:00.000005Z",
        verdict="infra_error",
        accepted_iteration=None,
        attempts=(),
        iterations=0,
        error=LoggedError("connect", "refused"),
        daemon="gateway",
    ),
    make_row(timestamp="2026-01-02T00:00:00.000006Z", daemon="replay"),
]


def fill(root: Path, rows: list[Row]) -> None:
    writer = SessionLogWriter.open(root, daemon="validatord", durability="os")

    async def run() -> None:
        for row in rows:
            await writer.append(row)

    asyncio.run(run())
    writer.close()


def ids(page: sessions.SessionsPage) -> list[str]:
    return [json.loads(row)["row_id"] for row in page.rows]


def numbers(root: Path, **where: str) -> list[int]:
    order = [row.row_id for row in MIXED]
    return [order.index(row_id) for row_id in ids(list_sessions(root, SessionFilter(**where)))]


def test_newest_first_without_attempts_with_their_own_bytes(tmp_path: Path):
    """Everything but attempts and crc, byte for byte: 1.10 stays 1.10."""
    fill(tmp_path, MIXED)
    assert numbers(tmp_path) == [4, 3, 2, 1, 0]
    row = list_sessions(tmp_path).rows[-1]
    assert b'"artifact":{"airport":"OSL","delay":1.10}' in row
    line = encode_line(MIXED[0])
    start, end = line.index(b',"attempts":'), line.index(b',"error":')
    assert row == line[:start] + line[end:-18] + b"}"


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"kind": "note"}, [1]),
        ({"model": "large"}, [1]),
        ({"model": "smollm2-135m-instruct"}, [4, 3, 2, 1, 0]),
        ({"verdict": "accepted"}, [2, 1, 0]),
        ({"code": "ungrounded"}, [2]),
        ({"code": "schema"}, [3]),
        ({"code": "connect"}, [4]),
        ({"daemon": "gateway"}, [4]),
        ({"daemon": "replay"}, [5]),
        ({"conversation_id": "talk"}, [3]),
        ({"since": "2026-01-02T00:00:00.000004Z"}, [4, 3]),
        ({"until": "2026-01-01T00:00:00.000002Z"}, [0]),
        ({"verdict": "accepted", "since": "2026-01-02T00:00:00.000000Z"}, [2]),
        ({"kind": "nothing"}, []),
    ],
)
def test_filters(tmp_path: Path, where: dict[str, str], expected: list[int]):
    """Each filter, for the list and for the counts alike."""
    fill(tmp_path, MIXED)
    assert numbers(tmp_path, **where) == expected
    assert stats(tmp_path, where=SessionFilter(**where)).sessions == len(expected)


def test_a_log_that_is_not_there_has_no_sessions(tmp_path: Path):
    """Nobody has written yet: an empty page, not an error."""
    page = list_sessions(tmp_path / "log")
    assert (page.rows, page.next) == ((), None)


@settings(max_examples=30)
@given(st.integers(0, 60), st.integers(1, 25), st.integers(0, 2**32))
def test_pages_give_every_session_once_in_order(total: int, limit: int, seed: int):
    """Several files, rows slightly out of order, some twice: the pages join to the sorted list."""
    chance = random.Random(seed)
    rows = [
        make_row(timestamp=f"2026-01-02T03:{chance.randrange(60):02}:05.678901Z")
        for _ in range(total)
    ]
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "log"
        for part in range(3):
            fill(root, [*rows[part::3], *rows[:2]])
        expected = [row.row_id for row in sorted(rows, key=lambda r: (r.timestamp, r.row_id))]
        found: list[str] = []
        cursor = None
        for _ in range(total + 1):
            page = list_sessions(root, limit=limit, cursor=cursor)
            found += ids(page)
            cursor = page.next
            if cursor is None:
                break
        assert found == expected[::-1]


def test_rows_are_ordered_by_time_however_it_is_written(tmp_path: Path):
    """Offsets and spaces count for what they mean; a text that is no time comes last."""
    times = ["yesterday", "2026-01-02T03:04:05+05:00", "2026-01-02 00:04:05", "2026-01-02T01:00Z"]
    rows = [make_row(timestamp=time) for time in times]
    fill(tmp_path, rows[::-1])
    assert ids(list_sessions(tmp_path)) == [rows[index].row_id for index in (3, 2, 1, 0)]
    since = SessionFilter(since="2026-01-02T00:00:00.000000Z")
    assert ids(list_sessions(tmp_path, since)) == [rows[3].row_id, rows[2].row_id]
    until = SessionFilter(until="2026-01-02T00:00:00.000000Z")
    assert ids(list_sessions(tmp_path, until)) == [rows[1].row_id, rows[0].row_id]


def test_old_files_are_not_read_for_the_newest_page(tmp_path: Path, monkeypatch):
    """A page that newer files fill stops before files that were last written to long ago."""
    old = [make_row(timestamp=f"2026-01-01T00:00:{n:02}.000000Z") for n in range(20)]
    new = [make_row(timestamp=f"2026-01-03T00:00:{n:02}.000000Z") for n in range(20)]
    fill(tmp_path, old)
    [path] = (tmp_path / "active").iterdir()
    os.utime(path, (1767225620, 1767225620))  # 2026-01-01T00:00:20Z
    fill(tmp_path, new)
    opened: list[str] = []
    read = sessions._Search.read

    def noted(search, file):
        opened.append(file.name)
        return read(search, file)

    monkeypatch.setattr(sessions._Search, "read", noted)
    assert len(list_sessions(tmp_path, limit=10).rows) == 10
    assert path.name not in opened
    assert len(list_sessions(tmp_path, limit=30).rows) == 30
    assert path.name in opened


def test_a_bunch_of_crashed_sessions_hides_no_newer_row(tmp_path: Path, monkeypatch):
    """Reaped rows name their old start and lie last; reading goes on past so many, and stops."""
    offered: list[bytes] = []
    offer = sessions._Search._offer

    def noted(search, line):
        offered.append(line)
        return offer(search, line)

    monkeypatch.setattr(sessions._Search, "_offer", noted)
    monkeypatch.setattr(sessions, "_OLD_ROWS_MAX", 8)
    rows = [make_row(timestamp=f"2026-01-02T00:00:{n:02}.000000Z") for n in range(40)]
    reaped = [make_row(timestamp=f"2026-01-01T00:00:{n:02}.000000Z") for n in range(7)]
    fill(tmp_path, [*rows, *reaped])
    assert ids(list_sessions(tmp_path, limit=5)) == [row.row_id for row in rows[:-6:-1]]
    assert len(offered) < 30


def test_reading_backwards_in_small_blocks(tmp_path: Path, monkeypatch):
    """Lines over block borders, damage and blank lines: the same page as from one block."""
    fill(tmp_path, MIXED)
    [path] = (tmp_path / "active").iterdir()
    with path.open("ab") as file:
        file.write(b"\n{torn" + b"\n\n" + b"x" * 5000)
    whole = list_sessions(tmp_path)
    assert len(whole.rows) == 5
    for size in (1, 13, 700):
        monkeypatch.setattr(sessions, "_BLOCK_BYTES", size)
        assert list_sessions(tmp_path) == whole


@pytest.mark.parametrize("bad", [{"limit": 0}, {"limit": 201}, {"cursor": "x"}, {"cursor": "é"}])
def test_a_bad_page_is_a_bad_request(tmp_path: Path, bad: dict[str, object]):
    """The message names the field."""
    with pytest.raises(Refusal, match=next(iter(bad))) as refused:
        list_sessions(tmp_path, **bad)  # type: ignore[arg-type]
    assert refused.value.code == "invalid_request"


@pytest.mark.parametrize(
    "text",
    [
        "foo\nbar",
        "\nbar",
        "2026-01-02\nbar",
        "2026-W01-5T00:00:00.000000Z\nbar",
        "2026-13-02T00:00:00.000000Z\nbar",
        "2026-01-02T00:00:00.000000Z",
        "2026-01-02T00:00:00.000000Z\na\nb",
    ],
)
def test_a_cursor_that_names_no_row_of_ours_is_a_bad_request(tmp_path: Path, text: str):
    """With a compacted table, which would be asked for that moment, and without."""
    cursor = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    dead_writer(tmp_path, rows=MIXED)
    seal(tmp_path)
    for _ in range(2):
        with pytest.raises(Refusal, match="`cursor` is invalid") as refused:
            list_sessions(tmp_path, cursor=cursor)
        assert refused.value.code == "invalid_request"
        assert compact(tmp_path, retention_h=0).damaged == ()
    sound = base64.urlsafe_b64encode(b"2026-01-02T00:00:00.000003Z\n").decode().rstrip("=")
    assert ids(list_sessions(tmp_path, cursor=sound)) == [MIXED[1].row_id, MIXED[0].row_id]


def test_moments_are_read_in_any_form_and_written_in_one():
    """Dates, offsets and short fractions become the row's own form."""
    assert moment("2026-01-02", name="since") == "2026-01-02T00:00:00.000000Z"
    assert moment("2026-01-02T03:04:05+02:00", name="since") == "2026-01-02T01:04:05.000000Z"
    assert moment("2026-01-02T03:04:05.6Z", name="since") == "2026-01-02T03:04:05.600000Z"
    with pytest.raises(Refusal, match="`until`"):
        moment("yesterday", name="until")


def test_rates_leave_outages_and_replays_out(tmp_path: Path):
    """The contract's own example: 6 first-shot, 2 exhausted, 1 infra_error: 6 of 8."""
    exhausted = {"verdict": "max_iter_exhausted", "accepted_iteration": None}
    outage = {"verdict": "infra_error", "accepted_iteration": None, "attempts": ()}
    fill(
        tmp_path,
        [
            *[make_row() for _ in range(6)],
            *[make_row(**exhausted) for _ in range(2)],
            make_row(**outage),
            make_row(daemon="replay"),
        ],
    )
    found = stats(tmp_path)
    assert (found.sessions, found.accepted, found.first_shot) == (9, 6, 6)
    assert (found.max_iter_exhausted, found.infra_error) == (2, 1)
    assert (found.first_shot_rate, found.accepted_rate) == (0.75, 0.75)
    assert found.first_shot_interval == found.accepted_interval == wilson_interval(0.75, 8)
    assert found.by == ()


def test_groups_add_up_and_an_outage_has_no_rate(tmp_path: Path):
    """By day and model; null where nothing could be rated."""
    fill(tmp_path, MIXED)
    found = stats(tmp_path, by=["day", "model"])
    assert isinstance(found.by, tuple)
    groups = [(part.group, part.sessions, part.first_shot_rate) for part in found.by]
    assert groups == [
        ({"day": "2026-01-01", "model": "large"}, 1, 1.0),
        ({"day": "2026-01-01", "model": "small"}, 1, 1.0),
        ({"day": "2026-01-02", "model": "small"}, 3, 0.0),
    ]
    assert (found.sessions, found.first_shot_rate, found.accepted_rate) == (5, 0.5, 0.75)
    outages = stats(tmp_path, where=SessionFilter(code="connect"))
    assert (outages.first_shot_rate, outages.first_shot_interval) == (None, None)
    assert b"repeated" not in msgspec.json.encode(found)
    with pytest.raises(Refusal, match="`by` is 'size'; allowed: model, kind"):
        stats(tmp_path, by=["size"])


def test_what_clients_sent_again_is_told_by_group(tmp_path: Path):
    """Of all sessions, outages too, which are what clients repeat; also once it is compacted."""
    door, client = {"door": "openai.chat"}, {"client": "openai-node 7.59"}
    outage = {"verdict": "infra_error", "accepted_iteration": None, "attempts": ()}
    rows = [
        make_row(metadata={**door, **client}),
        make_row(metadata={**door, **client, "client_retry": "1"}, **outage),
        make_row(metadata={**door, "client_retry": "2"}),
        make_row(metadata={"note": "client_retry"}),
    ]
    fill(tmp_path, rows)
    for compacted in (False, True):
        if compacted:
            seal(tmp_path)
            assert compact(tmp_path, retention_h=0).damaged == ()
        found = stats(tmp_path, by=["door", "client"])
        assert isinstance(found.by, tuple)
        assert (found.sessions, found.repeated, found.repeated_rate) == (4, 2, 0.5)
        parts = [
            (part.group, part.sessions, part.repeated, part.repeated_rate) for part in found.by
        ]
        assert parts == [
            ({**door, **client}, 2, 1, 0.5),
            ({**door, "client": None}, 1, 1, 1.0),
            ({"door": None, "client": None}, 1, 0, None),
        ]
