"""Ids: how they are minted, and how a session id becomes a trace id."""

import os
import re
import threading
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core import ids
from lakehouse.core.ids import created_at, is_id, is_session_id, new_id, new_span_id, trace_id_of
from support.spec_files import vectors


def test_an_id_is_a_uuid_version_7() -> None:
    """RFC 9562 section 5.7: 48 bits of milliseconds, version 7, variant 10."""
    before = time.time_ns() // 1_000_000
    bits = int(new_id(), 16)
    after = time.time_ns() // 1_000_000
    assert before <= bits >> 80 <= after + 1
    assert bits >> 76 & 0xF == 7
    assert bits >> 62 & 0b11 == 0b10


def test_an_id_tells_when_it_was_made() -> None:
    """To the millisecond; an id of another form, or of no moment that there is, does not."""
    before = time.time_ns() // 1_000_000
    made_at = created_at(new_id())
    assert made_at is not None
    assert before <= made_at.timestamp() * 1000 <= time.time_ns() // 1_000_000 + 1
    for other in ("s-1", "ab" * 16, "f" * 12 + "7" + "f" * 19):
        assert created_at(other) is None


def test_an_id_is_32_lowercase_hex_digits_and_a_session_id_and_its_own_trace_id() -> None:
    minted = new_id()
    assert re.fullmatch(r"[0-9a-f]{32}", minted)
    assert is_id(minted)
    assert is_session_id(minted)
    assert trace_id_of(minted) == minted


def test_ids_of_one_process_rise_strictly() -> None:
    minted = [new_id() for _ in range(20_000)]
    assert all(earlier < later for earlier, later in pairwise(minted))


def test_ids_rise_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([2_000_000_000_000_000_000, 1_900_000_000_000_000_000, 1_900_000_000_000_000_000])
    monkeypatch.setattr(ids, "_TICKS", ids._Ticks())
    monkeypatch.setattr(time, "time_ns", lambda: next(times))
    first, second, third = new_id(), new_id(), new_id()
    assert first < second < third


def test_the_ticks_below_a_millisecond_stay_in_their_12_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ids, "_TICKS", ids._Ticks())
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_999_999)
    minted = [int(new_id(), 16) for _ in range(4)]
    assert [bits >> 76 & 0xF for bits in minted] == [7, 7, 7, 7]
    assert minted[0] >> 80 == 1_700_000_000_000
    assert minted == sorted(minted)


def test_ids_of_many_threads_are_unique() -> None:
    minted: list[str] = []
    threads = [
        threading.Thread(target=lambda: minted.extend([new_id() for _ in range(2_000)]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(minted)) == 8_000


def test_span_ids_are_16_hex_digits_and_differ() -> None:
    minted = {new_span_id() for _ in range(1_000)}
    assert len(minted) == 1_000
    assert all(re.fullmatch(r"[0-9a-f]{16}", span_id) for span_id in minted)


def test_a_span_id_is_never_all_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "_random_words", [0])
    assert new_span_id() == "0000000000000001"


@pytest.mark.parametrize("text", ["a", "A.b_c-9", "x" * 64, "-", "..."])
def test_a_session_id_of_a_caller(text: str) -> None:
    assert is_session_id(text)


@pytest.mark.parametrize("text", ["", "x" * 65, "a b", "a\n", "é", "a/b", "\u0661", "a\x00"])
def test_what_is_no_session_id(text: str) -> None:
    assert not is_session_id(text)


@pytest.mark.parametrize(
    "text", ["", "0" * 32, "A" * 32, "a" * 31, "a" * 33, "g" * 32, "a" * 32 + "\n"]
)
def test_what_is_no_minted_id(text: str) -> None:
    assert not is_id(text)


@pytest.mark.parametrize("case", vectors("trace_id"), ids=lambda case: case["why"])
def test_trace_id_vectors(case: dict[str, Any]) -> None:
    assert trace_id_of(case["session_id"]) == case["trace_id"]


@given(st.from_regex(r"\A[A-Za-z0-9._-]{1,64}\Z") | st.text(min_size=1))
def test_a_trace_id_is_always_valid_and_its_own_trace_id(session_id: str) -> None:
    """32 lowercase hex digits, not all zero, and a fixed point of the rule."""
    trace_id = trace_id_of(session_id)
    assert is_id(trace_id)
    assert trace_id_of(trace_id) == trace_id


def test_a_forked_child_makes_other_ids_than_its_parent() -> None:
    """The random bits that the parent had read and not used yet are its own."""
    new_span_id()
    held = list(ids._random_words)
    assert held
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # it says how many of them it holds, and a span id of its own
        os.write(writing, f"{len(ids._random_words)} {new_span_id()}".encode())
        os._exit(0)
    assert os.waitpid(child, 0) == (child, 0)
    left, span_id = os.read(reading, 100).decode().split()
    os.close(reading)
    os.close(writing)
    assert left == "0"
    assert int(span_id, 16) not in held


def test_ids_of_many_sessions_take_few_reads_of_the_systems_random_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[int] = []
    read = os.urandom

    def counted(size: int) -> bytes:
        reads.append(size)
        return read(size)

    monkeypatch.setattr(os, "urandom", counted)
    for _ in range(1_000):
        new_id()
    assert 1_000 * 8 - ids._RANDOM_WORDS * 8 <= sum(reads) <= 1_000 * 8 + ids._RANDOM_WORDS * 8
    assert len(reads) <= 1_000 // ids._RANDOM_WORDS + 1
