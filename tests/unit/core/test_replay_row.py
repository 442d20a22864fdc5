"""Lines of replay and feedback: their bytes, and what is refused."""

import json
import zlib

import msgspec
import pytest

from lakehouse.core.limits import CRC_BYTES
from lakehouse.core.row_codec import (
    RowError,
    add_crc,
    decode_feedback,
    decode_replay_run,
    encode_line,
)
from support.rows import make_feedback, make_replay_run, make_row, make_side

RUN = make_replay_run()
FEEDBACK = make_feedback()


def test_a_line_comes_back_as_it_went():
    assert decode_replay_run(encode_line(RUN)) == RUN
    assert decode_feedback(encode_line(FEEDBACK)) == FEEDBACK


def test_members_stand_in_the_contracts_order_and_the_crc_is_last():
    line = encode_line(RUN)
    assert list(json.loads(line)) == [
        *("schema", "run_id", "session_id", "row_id", "replay_row_id", "timestamp", "daemon"),
        *("kind", "baseline", "candidate", "artifact_equal", "metadata", "crc"),
    ]
    assert list(json.loads(line)["baseline"]) == [
        *("model", "verdict", "iterations", "accepted_iteration", "grounded", "usage"),
        "duration_ms",
    ]
    assert list(json.loads(encode_line(FEEDBACK))) == [
        *("schema", "feedback_id", "session_id", "row_id", "timestamp", "label", "artifact"),
        *("comment", "author", "crc"),
    ]
    assert line.endswith(b',"crc":"%08x"}' % zlib.crc32(line[:-CRC_BYTES]))


def test_a_corrected_artifact_keeps_its_bytes():
    """1.10 stays 1.10, there and back."""
    line = encode_line(FEEDBACK)
    assert b'"artifact":{"delay":1.10}' in line
    assert bytes(decode_feedback(line).artifact) == b'{"delay":1.10}'


WITHOUT_KIND = encode_line(RUN)[:-CRC_BYTES].replace(b'"kind":"airport_event",', b"") + b"}"
MAYBE = msgspec.structs.replace(RUN, candidate=make_side(verdict="maybe"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (encode_line(RUN).replace(b"replay_row_id", b"replay_row_ie"), "crc"),
        (
            add_crc(encode_line(RUN)[:-CRC_BYTES].replace(b'"kind":"airport_event",', b"") + b"}"),
            "kind",
        ),
        (
            encode_line(msgspec.structs.replace(RUN, candidate=make_side(verdict="maybe"))),
            "verdict",
        ),
        (encode_line(make_row()), "schema"),
        (encode_line(FEEDBACK), "schema"),
        (b"[]", "object"),
        (b"\xff", "UTF-8"),
    ],
)
def test_what_is_no_replay_line_is_refused(line: bytes, says: str):
    with pytest.raises(RowError, match=says):
        decode_replay_run(line)


@pytest.mark.parametrize("label", ["good", "Right", ""])
def test_an_unknown_label_is_refused(label: str):
    with pytest.raises(RowError, match="label"):
        decode_feedback(encode_line(make_feedback(label=label)))


def test_a_side_without_token_counts_says_null():
    """Left out is another thing than unknown."""
    body = encode_line(RUN)[:-CRC_BYTES].replace(b'"prompt_tokens":10,', b"") + b"}"
    with pytest.raises(RowError, match="prompt_tokens"):
        decode_replay_run(add_crc(body))
