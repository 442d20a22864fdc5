"""Which sessions a replay is of, and that the same choice gives the same corpus."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lakehouse.core.clock import FixedClock
from lakehouse.core.errors import LakehouseError, SetupError
from lakehouse.core.finding import Truncated
from lakehouse.core.row import LoggedError, Row, RowMessage
from lakehouse.core.row_codec import encode_line
from lakehouse.replay.corpus import build_corpus, read_corpus, rows_among, write_corpus
from lakehouse.replay.selection import KindInForce, Selection, kinds_in_force, select_rows
from lakehouse.sessionlog.forgotten import hide_session
from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.sealing import seal
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.rows import make_attempt, make_row

CUT = Truncated(truncated=True, bytes=70_000, sha256="0" * 64)


def write(root: Path, *rows: Row) -> list[str]:
    """Write rows by a writer of their own; gives their ids in order."""

    async def run() -> None:
        writer = SessionLogWriter.open(root, daemon="validatord", durability="os")
        for row in rows:
            await writer.append(row)
        writer.close()

    asyncio.run(run())
    return [row.row_id for row in rows]


def chosen(root: Path, **members: Any) -> list[str]:
    """Give the row ids that a selection chooses."""
    return list(select_rows(root, Selection(**members)).row_ids)


def outage(**changes) -> Row:
    error = LoggedError("timeout", "too late")
    return make_row(verdict="infra_error", error=error, accepted_iteration=None, **changes)


def test_replays_and_outages_are_left_out(tmp_path: Path):
    """A replay is chosen only by its daemon; an outage has no answer to compare with."""
    [wanted, _, replayed] = write(tmp_path, make_row(), outage(), make_row(daemon="replay"))

    assert chosen(tmp_path) == [wanted]
    assert chosen(tmp_path, daemon="replay") == [replayed]


def test_sessions_are_chosen_by_kind_time_and_sql(tmp_path: Path):
    ids = write(
        tmp_path,
        make_row(kind="it's", timestamp="2026-01-01T00:00:00.000000Z"),
        make_row(kind="it's", timestamp="2026-01-02T00:00:00.000000Z"),
        make_row(timestamp="2026-01-03T00:00:00.000000Z", prompt="fog"),
    )

    assert chosen(tmp_path, kind="it's") == sorted(ids[:2])
    day = {"since": "2026-01-02T00:00:00.000000Z", "until": "2026-01-03T00:00:00.000000Z"}
    assert chosen(tmp_path, **day) == [ids[1]]
    assert chosen(tmp_path, where="prompt = 'fog' -- the third") == [ids[2]]
    assert chosen(tmp_path, limit=1) == [ids[2]]


@pytest.mark.parametrize("where", ["nosuch = 1", "1 = 1) OR (1 = 1; DROP", "kind ="])
def test_a_condition_that_is_none_is_told(tmp_path: Path, where: str):
    write(tmp_path, make_row())
    with pytest.raises(SetupError):
        chosen(tmp_path, where=where)


def test_a_condition_cannot_reach_past_the_choice(tmp_path: Path):
    """A replay stays out even if the condition matches it."""
    [wanted, _] = write(tmp_path, make_row(), make_row(daemon="replay"))
    assert chosen(tmp_path, where="daemon = 'replay' OR true") == [wanted]


def test_a_stratified_sample_keeps_the_shares(tmp_path: Path):
    """Of 60 first shots, 30 later ones and 10 failures, every tenth; the seed decides which."""
    first = [make_row() for _ in range(60)]
    later = [make_row(accepted_iteration=1) for _ in range(30)]
    failed = [make_row(verdict="max_iter_exhausted", accepted_iteration=None) for _ in range(10)]
    write(tmp_path, *first, *later, *failed)
    sorts = {
        row.row_id: name
        for name, rows in [("f", first), ("l", later), ("x", failed)]
        for row in rows
    }

    samples = [chosen(tmp_path, sample="stratified", limit=10, seed=seed) for seed in (0, 0, 1)]

    assert [Counter(sorts[row_id] for row_id in sample) for sample in samples] == [
        {"f": 6, "l": 3, "x": 1}
    ] * 3
    assert samples[0] == samples[1] != samples[2]


def test_a_sample_without_a_size_is_refused(tmp_path: Path):
    with pytest.raises(SetupError, match="--limit"):
        chosen(tmp_path, sample="stratified")


def test_a_corpus_is_the_same_live_sealed_and_compacted(tmp_path: Path):
    """Its digest is of the rows, wherever they lie; and every row can be read by it."""
    ids = write(tmp_path, *(make_row() for _ in range(20)))
    live = build_corpus(tmp_path, ids, answers_needed=False)
    write_corpus(tmp_path, live)
    seal(tmp_path)
    sealed = build_corpus(tmp_path, ids, answers_needed=False)
    compact(tmp_path, retention_h=0)
    assert not list((tmp_path / "sealed").glob("*.jsonl"))
    compacted = build_corpus(tmp_path, ids, answers_needed=False)

    assert live.digest == sealed.digest == compacted.digest
    assert live.counts.sessions == 20
    assert read_corpus(tmp_path, live.digest) == dict(live.entries)
    assert len(list(rows_among(tmp_path, live.entries))) == 20


def test_another_row_makes_another_corpus(tmp_path: Path):
    ids = write(tmp_path, make_row(), make_row())
    digests = {build_corpus(tmp_path, some, answers_needed=False).digest for some in (ids, ids[:1])}
    assert len(digests) == 2


def test_rows_whose_inputs_were_cut_are_counted_and_left_out(tmp_path: Path):
    """A cut answer matters only to who wants to judge it again."""
    turn = RowMessage("user", "x", content_truncated=CUT)
    ids = write(
        tmp_path,
        make_row(),
        make_row(prompt_truncated=CUT),
        make_row(system_truncated=CUT),
        make_row(messages=(turn,)),
        make_row(attempts=(make_attempt(output_truncated=CUT),)),
    )

    for_models = build_corpus(tmp_path, ids, answers_needed=False)
    for_judging = build_corpus(tmp_path, ids, answers_needed=True)

    assert (for_models.counts.sessions, for_models.counts.cut) == (2, 3)
    assert (for_judging.counts.sessions, for_judging.counts.cut) == (1, 4)


def test_a_corpus_that_was_changed_is_refused(tmp_path: Path):
    ids = write(tmp_path, make_row())
    corpus = build_corpus(tmp_path, ids, answers_needed=False)
    write_corpus(tmp_path, corpus)
    [file] = (tmp_path / "replays" / "corpora").iterdir()
    file.write_bytes(file.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(LakehouseError, match="changed"):
        read_corpus(tmp_path, corpus.digest)


def test_a_forgotten_session_is_in_no_corpus(tmp_path: Path):
    kept, gone = make_row(), make_row()
    ids = write(tmp_path, kept, gone)
    hide_session(tmp_path, gone.session_id, FixedClock().now())
    assert chosen(tmp_path) == [kept.row_id]
    assert list(build_corpus(tmp_path, ids, answers_needed=False).entries) == [kept.row_id]


def test_the_kinds_of_the_chosen_are_told(tmp_path: Path):
    """By digest; an inline schema is no kind."""
    digest = "sha256:" + "c" * 64
    inline = make_row(kind=None, inline_schema=msgspec.Raw(b"{}"), kind_digest=digest)
    named = make_row()
    write(tmp_path, inline, named)
    assert select_rows(tmp_path, Selection()).kind_digests == {named.kind_digest}


def test_what_most_sessions_had_in_force_is_the_kinds(tmp_path: Path):
    """By kind digest; null is a system text too, and an inline schema is no kind."""
    digests = ["sha256:" + digit * 64 for digit in "ab"]
    write(
        tmp_path,
        *(make_row(kind_digest=digests[0], system="usual") for _ in range(2)),
        make_row(kind_digest=digests[0], system="own", max_iterations=9),
        make_row(kind_digest=digests[1], system=None),
        make_row(kind=None, inline_schema=msgspec.Raw(b"{}"), kind_digest="sha256:" + "c" * 64),
    )

    assert kinds_in_force(tmp_path, Selection()) == {
        digests[0]: KindInForce("usual", 3),
        digests[1]: KindInForce(None, 3),
    }


def test_a_line_of_the_log_is_what_the_digest_is_of(tmp_path: Path):
    """So that any program can check a corpus: SHA-256 of the row's own bytes."""
    import hashlib  # noqa: PLC0415 - only here

    row = make_row()
    write(tmp_path, row)
    corpus = build_corpus(tmp_path, [row.row_id], answers_needed=False)
    assert corpus.entries == {row.row_id: hashlib.sha256(encode_line(row)).hexdigest()}


@pytest.mark.parametrize(
    "where",
    [
        "1 IN (WITH x AS (COPY (SELECT 'gone') TO '{file}' (FORMAT csv)) SELECT 1 FROM x)",
        "true) FROM (WITH x AS (COPY (SELECT 'gone') TO '{file}') FROM x",
        "true); COPY (SELECT 1) TO '{file}'; SELECT * FROM (SELECT 1",
        "(SELECT count(*) FROM query('COPY (SELECT 1) TO ''{file}''')) > 0",
        "prompt IN (SELECT content FROM read_text('/etc/passwd'))",
        "prompt = getenv('HOME')",
        "kind IN (SELECT * FROM '{file}')",
    ],
)
def test_a_condition_only_reads(tmp_path: Path, where: str):
    """It passes the gate that every query passes, and the log keeps its bytes."""
    write(tmp_path, make_row(), make_row())
    [file] = (tmp_path / "active").iterdir()
    before = file.read_bytes()
    with pytest.raises(SetupError):
        chosen(tmp_path, where=where.format(file=file))
    assert file.read_bytes() == before
    assert [path.name for path in (tmp_path / "active").iterdir()] == [file.name]
