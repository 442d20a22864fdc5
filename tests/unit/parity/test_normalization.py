"""Normalization removes what the contract names, as bytes, and nothing else."""

import pytest

from lakehouse.core.row_codec import add_crc, encode_line
from lakehouse.parity.difference import first_difference
from lakehouse.parity.normalization import InvalidOutput, elements, members, normalized
from support.rows import make_row, rejected_attempt

REPLY = (
    b'{"verdict":"rejected","artifact":{"message":"stays","n":1.10},"grounded":null,'
    b'"findings":[{"code":"schema","path":"/a","message":"a, \\"b\\"}","got":{"message":1}}]}'
)


def test_of_a_row_go_timestamp_daemon_crc_and_the_messages_of_findings():
    """Members of these names in other places stay, and so does every other byte."""
    row = make_row(
        attempts=(rejected_attempt(),),
        metadata={"timestamp": "stays", "crc": "stays"},
        conversation_id='with "quotes", commas } and {',
    )
    line = encode_line(row)
    kept = normalized("session_log", line)

    assert b'"timestamp":"2026' not in kept
    assert b'"daemon"' not in kept
    assert b'"message":"not good"' not in kept
    assert b'"metadata":{"timestamp":"stays","crc":"stays"}' in kept
    expected = (
        line[:-18]
        .replace(b'"timestamp":"2026-01-02T03:04:05.678901Z",', b"")
        .replace(b'"daemon":"validatord",', b"")
        .replace(b'"message":"not good",', b"")
        + b"}"
    )
    assert kept == expected


def test_of_a_reply_go_the_messages_of_findings():
    """An artifact's own `message`, and one inside evidence, stay."""
    assert normalized("validator", REPLY) == REPLY.replace(b'"message":"a, \\"b\\"}",', b"")


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (b"", "not a reply"),
        (b"{}", "not a reply"),
        (b"null", "not a reply"),
        (b"[1]", "not a reply"),
        (REPLY + b"\n", "white space around"),
        (REPLY.replace(b'"grounded":null,', b""), "not a reply"),
        (REPLY.replace(b'"code":"schema"', b'"code":"not a word"'), "not a reply"),
    ],
)
def test_a_reply_that_is_none_is_not_compared(output, reason):
    """Whatever the other side gave."""
    with pytest.raises(InvalidOutput, match=reason):
        normalized("validator", output)


def test_a_row_with_a_wrong_crc_is_not_compared():
    """Nor one without."""
    line = encode_line(make_row())
    with pytest.raises(InvalidOutput, match="crc"):
        normalized("session_log", line.replace(b"Oslo", b"Osla"))
    with pytest.raises(InvalidOutput, match="crc"):
        normalized("session_log", line[:-18] + b"}")


def test_pieces_keep_their_bytes():
    """Strings with brackets and commas, nested values, white space between tokens."""
    assert members(b'{ "a" : [1, {"b":2}] , "\\u00e9":"x,}"}') == [
        ("a", b'[1, {"b":2}]'),
        ("é", b'"x,}"'),
    ]
    assert elements(b"[ ]") == elements(b"{}") == []
    assert members(b"{ }") == []
    assert elements(b'[[1,2],"],["]') == [b"[1,2]", b'"],["']


@pytest.mark.parametrize(
    ("expected", "got", "pointer", "offset"),
    [
        (b'{"a":1,"b":[1,2]}', b'{"a":1,"b":[1,3]}', "/b/1", 14),
        (b'{"a":1}', b'{"a":1,"b":2}', "/b", 6),
        (b'{"a":1,"b":2}', b'{"a":1}', "/b", 6),
        (b'{"a":1,"b":2}', b'{"b":2,"a":1}', "/a", 2),
        (b'{"a":"x"}', b'{"a": "x"}', "", 5),
        (b'{"a":[]}', b'{"a":[1]}', "/a", 6),
        (b'{"a~b":{"c/d":1}}', b'{"a~b":{"c/d":2}}', "/a~0b/c~1d", 14),
    ],
)
def test_the_first_difference(expected, got, pointer, offset):
    """The place by JSON Pointer and by byte."""
    found = first_difference(expected, got)

    assert found is not None
    assert (found.pointer, found.offset) == (pointer, offset)


def test_equal_bytes_have_no_difference():
    """Nothing is made up."""
    assert first_difference(REPLY, REPLY) is None
    assert add_crc(b'{"a":1}') != b'{"a":1}'
