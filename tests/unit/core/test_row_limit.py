"""Rows over 8 MiB: cut in the contract's order, no further than needed, and saying so."""

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.core.finding import Finding, Repair, Truncated
from lakehouse.core.limits import ROW_BYTES_MAX, TRUNCATED_TEXT_BYTES_MAX
from lakehouse.core.row import Row, RowMessage
from lakehouse.core.row_codec import decode_row, encode_line
from lakehouse.core.row_limit import RowTooLongError, fit
from support.rows import NULL, make_attempt, make_row, make_started

MIB = 1 << 20
BIG = msgspec.Raw(b'"' + b"a" * MIB + b'"')


def digest(whole: bytes) -> Truncated:
    return Truncated(True, len(whole), hashlib.sha256(whole).hexdigest())


def test_a_row_that_fits_is_given_back_untouched():
    """Up to the limit nothing is cut, to the byte."""
    row = make_row()
    spare = ROW_BYTES_MAX - len(encode_line(row))
    row = msgspec.structs.replace(row, prompt=row.prompt + "x" * spare)
    assert len(encode_line(row)) == ROW_BYTES_MAX
    assert fit(row) is row
    longer = msgspec.structs.replace(row, prompt=row.prompt + "x")
    cut = fit(longer)
    assert cut.prompt == longer.prompt[:TRUNCATED_TEXT_BYTES_MAX]
    assert cut.prompt_truncated == digest(longer.prompt.encode())


def test_artifacts_of_earlier_attempts_go_first_and_the_last_ones_never():
    """Ten artifacts of 1 MiB: the oldest go until the row fits, no other value is touched."""
    attempts = tuple(make_attempt(number, artifact=BIG, thinking="t" * 99) for number in range(10))
    cut = fit(make_row(attempts=attempts, artifact=BIG))
    artifacts = [bytes(attempt.artifact) for attempt in cut.attempts]
    assert artifacts[:4] == [b"null"] * 4
    assert artifacts[4:] == [bytes(BIG)] * 6
    assert cut.attempts[0].artifact_truncated == digest(bytes(BIG))
    assert cut.attempts[4].artifact_truncated is msgspec.UNSET
    assert cut.attempts[0].thinking == "t" * 99
    assert bytes(cut.artifact) == bytes(BIG)
    assert len(encode_line(cut)) <= ROW_BYTES_MAX


def test_thinking_goes_before_output_and_the_oldest_output_first():
    """Thinking of all attempts, then outputs from the oldest on, and no further than needed."""
    attempts = tuple(
        make_attempt(number, thinking="t" * 100_000, output=f"{number}" * 2 * MIB)
        for number in range(5)
    )
    cut = fit(make_row(attempts=attempts))
    assert [len(attempt.thinking or "") for attempt in cut.attempts] == [65_536] * 5
    assert [len(attempt.output) for attempt in cut.attempts] == [65_536] * 2 + [2 * MIB] * 3
    assert cut.attempts[1].output_truncated == digest(b"1" * 2 * MIB)


def test_told_then_finding_texts_then_messages_system_and_prompt():
    """The rest of the order, each step making the row fit by itself."""
    size = 9 * MIB
    finding = Finding(code="rule", path="", message="f" * size)
    messages = (RowMessage("user", "m" * size),)
    steps: list[tuple[str, dict[str, Any]]] = [
        ("told", {"attempts": (make_attempt(told="t" * size),)}),
        ("message", {"attempts": (make_attempt(findings=(finding,)),)}),
        ("content", {"messages": messages}),
        ("system", {"system": "s" * size}),
        ("prompt", {"prompt": "p" * size}),
    ]
    for name, changes in steps:
        cut = fit(make_row(**changes))
        line = encode_line(cut)
        assert len(line) < 200_000
        assert f'"{name}_truncated":{{"truncated":true,"bytes":{size},'.encode() in line
        assert decode_row(line) == cut
    text_row = make_row(prompt="p" * 5 * MIB, system="s" * 5 * MIB)
    cut = fit(text_row)
    assert cut.system_truncated == digest(b"s" * 5 * MIB)
    assert cut.prompt == text_row.prompt, "cutting the system text was enough"


def test_a_prefix_ends_at_a_whole_character():
    """65,536 bytes do not divide by three: the prefix is the longest that does."""
    cut = fit(make_row(prompt="€" * 3 * MIB))
    assert cut.prompt == "€" * (65_536 // 3)


def test_the_count_of_what_a_cut_saves_is_exact(monkeypatch: pytest.MonkeyPatch):
    """With a limit of exactly the cut row's size, that cut is enough; one byte less, it is not."""
    row = make_row(prompt="p" * 100_000, system="s" * 100_000)
    marked = msgspec.structs.replace(
        row, system="s" * 65_536, system_truncated=digest(b"s" * 100_000)
    )
    size = len(encode_line(marked))
    monkeypatch.setattr("lakehouse.core.row_limit.ROW_BYTES_MAX", size)
    assert fit(row) == marked
    monkeypatch.setattr("lakehouse.core.row_limit.ROW_BYTES_MAX", size - 1)
    assert fit(row).prompt_truncated == digest(b"p" * 100_000)


def test_a_started_line_is_cut_like_its_row():
    """The inputs are known before the first call and may be as long as they will be at the end."""
    started = make_started(make_row(prompt="p" * 9 * MIB))
    cut = fit(started)
    assert cut.prompt_truncated == digest(b"p" * 9 * MIB)


def test_hostile_rows_still_fit():
    """Texts of control characters grow sixfold, and lists have no other bound: a row is left."""
    findings = tuple(Finding(code="rule", path="", message="x" * 50) for _ in range(60_000))
    repairs = tuple(Repair("comma", number, "y" * 50) for number in range(60_000))
    attempts = [
        make_attempt(n, thinking="\x01" * MIB, output="\x02" * MIB, told="\x03" * 70_000)
        for n in range(9)
    ]
    attempts.append(make_attempt(9, findings=findings, repairs=repairs, artifact=BIG))
    row = make_row(attempts=tuple(attempts), artifact=BIG)
    cut = fit(row)
    line = encode_line(cut)
    assert len(line) <= ROW_BYTES_MAX
    assert decode_row(line).artifact == BIG
    marker = cut.attempts[9].findings_truncated
    assert isinstance(marker, Truncated)
    assert marker == digest(msgspec.json.encode(findings))
    assert 0 < len(cut.attempts[9].findings) < len(findings)


def test_what_may_not_be_cut_is_refused_by_size():
    """A final artifact over the limit has no row: the caller is told, nothing is cut in silence."""
    with pytest.raises(RowTooLongError, match="over the limit"):
        fit(make_row(artifact=msgspec.Raw(b'"' + b"a" * 9 * MIB + b'"')))


sizes = st.sampled_from([0, 100, 70_000, MIB, 3 * MIB])
characters = st.sampled_from(["a", "é", "€", "𝄞", "\n", '"'])
texts = st.builds(lambda character, size: character * size, characters, sizes)


@st.composite
def rows(draw: st.DrawFn) -> Row:
    attempts = tuple(
        make_attempt(
            number,
            output=draw(texts),
            thinking=draw(st.none() | texts),
            told=draw(st.none() | texts),
            artifact=draw(st.sampled_from([NULL, BIG])),
        )
        for number in range(draw(st.integers(0, 4)))
    )
    return make_row(attempts=attempts, prompt=draw(texts), system=draw(st.none() | texts))


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(rows())
def test_every_row_fits_keeps_its_artifact_and_names_what_it_lost(row: Row):
    """Whatever is cut is a prefix, has its marker, and cutting twice changes nothing."""
    cut = fit(row)
    assert len(encode_line(cut)) <= ROW_BYTES_MAX
    assert cut.artifact == row.artifact
    assert fit(cut) == cut
    for before, after in zip(row.attempts, cut.attempts, strict=True):
        for name in ("output", "thinking", "told"):
            whole, kept = getattr(before, name), getattr(after, name)
            if kept == whole:
                assert getattr(after, f"{name}_truncated") is msgspec.UNSET
            else:
                assert whole.startswith(kept)
                assert 65_533 <= len(kept.encode()) <= 65_536
                assert getattr(after, f"{name}_truncated") == digest(whole.encode())
