"""Thousands of generated rows through every runtime: the same bytes, or the same refusal."""

import random

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from lakehouse.core.limits import CRC_BYTES, OUTPUT_BYTES_MAX, ROW_BYTES_MAX
from lakehouse.core.row import Row
from lakehouse.core.row_codec import decode_row, encode_line
from parity.respelling import Respelling
from parity.runtimes import NAMES, outcomes
from support.generated_rows import rows
from support.rows import make_row

ROWS = 5_000
POOL = 1_000  # rows that hypothesis makes, 10 ms each; the others take each member from one of them
SEED = 20_260_301
MARKS = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"0", b"-", b".", b"e", b" ", b"\x00"]
MARKS += [b"null", b'"a":', b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"1e5", b"/"]


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """Distinct canonical lines, the same in every run of this seed."""
    pool: list[Row] = []

    @seed(SEED)
    @settings(
        max_examples=POOL,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(row=rows)
    def collect(row: Row) -> None:
        pool.append(row)

    collect()
    chance = random.Random(SEED)
    found = {encode_line(row): None for row in pool}
    while len(found) < ROWS:
        mixed = {name: getattr(chance.choice(pool), name) for name in Row.__struct_fields__}
        found[encode_line(Row(**mixed))] = None
    return list(found)


@pytest.mark.timeout(600)
def test_a_row_comes_back_in_our_form_from_every_runtime(lines: list[bytes]):
    """However it was spelled: what must come back was put together from its pieces."""
    respelling = Respelling(SEED)
    pairs = [respelling.row(line) for line in lines]
    assert sum(came != goes for came, goes in pairs) > ROWS * 0.9

    answers = outcomes("session_log", [came for came, _ in pairs])

    assert set(answers) == {"python", *NAMES}
    for name, found in answers.items():
        wrong = [
            (came, goes, outcome)
            for (came, goes), outcome in zip(pairs, found, strict=True)
            if (outcome.kind, outcome.output) != ("result", goes)
        ]
        assert wrong == [], f"{name}: {len(wrong)} of {len(pairs)}, such as {wrong[0]}"


@pytest.mark.timeout(600)
def test_damaged_rows_are_judged_alike(lines: list[bytes]):
    """Rows without a crc, each with a few bytes changed: all runtimes take it, or none does."""
    chance = random.Random(SEED)
    damaged = [damage(line[:-CRC_BYTES] + b"}", chance) for line in lines]

    answers = outcomes("session_log", damaged)

    own = answers.pop("python")
    refused = sum(outcome.kind == "errored" for outcome in own)
    assert ROWS * 0.5 < refused < len(damaged) * 0.99  # else this compares refusals only, or none
    for name, found in answers.items():
        differ = [
            (line, ours, theirs)
            for line, ours, theirs in zip(damaged, own, found, strict=True)
            if (ours.kind, ours.output) != (theirs.kind, theirs.output)
        ]
        assert differ == [], f"{name}: {len(differ)} of {len(damaged)}, such as {differ[0]}"


def damage(line: bytes, chance: random.Random) -> bytes:
    """Cut a few bytes out, write others in, or repeat a piece."""
    at = chance.randrange(len(line))
    end = at + chance.choice([0, 0, 1, 1, 2, 8])
    piece = chance.choice([*MARKS, b"", b"", line[at : at + chance.randrange(1, 20)]])
    return line[:at] + piece + line[end:]


def test_the_longest_row_is_taken_and_a_longer_one_is_not():
    """8 MiB with its crc, and a byte more."""
    short = encode_line(make_row(prompt=""))
    rows = [
        encode_line(make_row(prompt="x" * (ROW_BYTES_MAX - len(short) + more))) for more in (0, 1)
    ]
    assert [len(row) - ROW_BYTES_MAX for row in rows] == [0, 1]
    assert decode_row(rows[0]).prompt.startswith("x")

    for name, (longest, longer) in outcomes("session_log", rows).items():
        assert (longest.kind, longest.output) == ("result", rows[0]), name
        assert longer.kind == "errored", name


def test_the_longest_answer_is_read_and_a_longer_one_is_not():
    """1 MiB, and a byte more: too large for a fixture, and for a request over HTTP."""
    bodies = [
        b'{"schema":{},"output":"%b"}' % (b"x" * (OUTPUT_BYTES_MAX + more)) for more in (0, 1)
    ]
    for name, (longest, longer) in outcomes("validator", bodies).items():
        assert b'"code":"no_json"' in longest.output, name
        assert b'"code":"too_large"' in longer.output, name
