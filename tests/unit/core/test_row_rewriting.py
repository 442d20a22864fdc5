"""Rows read and written again: nothing is lost, nothing is added, and all is put in our form."""

import json
from random import Random
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.core import row_codec
from lakehouse.core.row_codec import (
    RowError,
    crc_holds,
    decode_row,
    encode_line,
    rewrite_row,
)
from support.generated_rows import raws, rows
from support.row_lines import LINE, ROW, changed, replaced, resealed
from support.spec_files import fixtures, schema_validator


def test_a_line_without_crc_is_let_through_and_gets_one() -> None:
    """Foreign writers may leave it out; where that is damage, the log says so."""
    line = LINE[:-18] + b"}"
    assert decode_row(line) == ROW
    assert rewrite_row(line) == LINE


def test_white_space_between_tokens_goes() -> None:
    spaced = json.dumps(
        json.loads(LINE[:-18] + b"}"), ensure_ascii=False, separators=(" ,\t", " : ")
    )
    tight = LINE.replace(b"1.50", b"1.5").replace(b"1.10", b"1.1").replace(b"LX\\u0053", b"LXS")
    expected = resealed(tight.replace(b'\\"delay\\":1.1}"', b'\\"delay\\":1.10}"'))
    assert rewrite_row(spaced.encode()) == expected
    assert rewrite_row(f"  {spaced}\t".encode()) == expected


def test_raw_values_keep_their_bytes() -> None:
    odd = b'{"z":1.10,"a":18446744073709551616,"\\u0062":"\\u00e9\\/","c":1e400,"d":-0.0,"1":1E5}'
    long = b"[" + b"7" * 5000 + b",1e" + b"9" * 30 + b"]"
    line = LINE.replace(b'{"airport":"OSL","delay":1.10}', odd)
    line = line.replace(b'"inline_schema":null', b'"inline_schema":{"x":' + long + b"}")
    line = line.replace(b'"temperature":null', b'"temperature":0.70')
    line = resealed(line.replace(b'"got":"LX\\u0053"', b'"got":' + odd))
    assert line.count(odd) == 3
    assert rewrite_row(line) == line
    assert bytes(decode_row(line).artifact) == odd


@pytest.mark.parametrize("number", [b"-0", b"0", b"-9223372036854775808", b"9223372036854775807"])
def test_integers_of_ours_are_64_bits_wide(number: bytes) -> None:
    line = replaced(b'"seed":null', b'"seed":' + number)
    written = b'"seed":' + (b"0" if number == b"-0" else number)
    assert written in rewrite_row(line)


UNKNOWN = b'"x_\\u00e9":{ "crc":"00000000" , "b":[ 1.0,"\\/" ] },"crd":null'
UNKNOWN_TIGHT = b'"x_\\u00e9":{"crc":"00000000","b":[1.0,"\\/"]},"crd":null'
PLACES = {  # where each object begins → where it ends, known members first
    "settings": (b'"settings":{', b'"deadline_ms":120000'),
    "usage": (
        b'"detail":"why"},"usage":{',
        b'"completion_tokens":20',
    ),
    "error": (b'"error":{', b'"detail":"why"'),
    "attempt": (b'"attempts":[{', b'"span_id":"00f067aa0ba902b7"'),
    "attempt usage": (b'"finish_reason":"stop","usage":{', b'"completion_tokens":20'),
    "finding": (b'"findings":[{', b'"nearest":["LIS",1.50]'),
    "repair": (b'"repairs":[{', b'"message":"dropped"'),
    "message": (b'"messages":[{', b'"sha256":"' + b"ab" * 32 + b'"}'),
    "message marker": (b'"content_truncated":{', b'"sha256":"' + b"ab" * 32 + b'"'),
    "finding marker": (b'"message_truncated":{', b'"sha256":"' + b"ab" * 32 + b'"'),
    "output marker": (b'"output_truncated":{', b'"sha256":"' + b"ab" * 32 + b'"'),
}


@pytest.mark.parametrize("place", PLACES)
def test_unknown_members_are_kept_after_the_known_ones(place: str) -> None:
    """First in the object on the way in, last on the way out, names and values untouched."""
    begins, ends = PLACES[place]
    at = LINE.index(begins) + len(begins)
    line = resealed(LINE[:at] + UNKNOWN + b"," + LINE[at:])
    end = LINE.index(ends, at) + len(ends)
    expected = resealed(LINE[:end] + b"," + UNKNOWN_TIGHT + LINE[end:])
    assert rewrite_row(line) == expected
    assert decode_row(line) == ROW


def test_unknown_members_of_the_row_stand_before_crc() -> None:
    line = resealed(b"{" + UNKNOWN + b"," + LINE[1:])
    assert rewrite_row(line) == resealed(LINE[:-18] + b"," + UNKNOWN_TIGHT + LINE[-18:])


def test_unknown_members_keep_their_order_and_markers_of_later_versions_are_unknown() -> None:
    members = b'"zz":1,"daemon_truncated":{"truncated":true},"aa":2,"Z":3,"":4'
    line = replaced(b'"daemon":', members + b',"daemon":')
    assert rewrite_row(line) == resealed(LINE[:-18] + b"," + members + LINE[-18:])


def test_members_in_another_order_are_put_in_theirs() -> None:
    value = json.loads(LINE[:-18] + b"}", parse_float=str)
    backwards = {name: value[name] for name in reversed(value)}
    line = json.dumps(backwards, ensure_ascii=False).encode()
    assert [*json.loads(rewrite_row(line))] == [*json.loads(LINE)]


def test_a_member_of_a_later_minor_version_stays_absent_where_it_is_lacking() -> None:
    """Version 1.0 has no such member yet, so the mechanism is asked directly."""
    assert row_codec._merge(b'{"a":1,"later":null}', b'{"a":1,"x":2}', {}) == b'{"a":1,"x":2}'


def test_metadata_keeps_its_order_and_tables_are_sorted_by_bytes() -> None:
    line = changed(
        lambda row: row.update(
            tables={"😀": "1", "～": "2", "é": "3", "z": "4", "Z": "5", "": "6"},
            metadata={"😀": "1", "～": "2", "a": "3"},
        )
    )
    written = json.loads(rewrite_row(line))
    assert list(written["tables"]) == ["", "Z", "z", "é", "～", "😀"]
    assert list(written["metadata"]) == ["😀", "～", "a"]
    assert list(decode_row(line).tables) == ["", "Z", "z", "é", "～", "😀"]


def test_nearest_is_ours_strings_in_our_form_and_numbers_as_they_came() -> None:
    line = replaced(b'["LIS",1.50]', b'[ "S\\u00e3o\\/" , 1.50, 1E2 ]')
    assert '"nearest":["São/",1.50,1E2]'.encode() in rewrite_row(line)


@settings(max_examples=200)
@given(rows)
def test_rewriting_what_we_wrote_changes_nothing(row: Any) -> None:
    line = encode_line(row)
    assert decode_row(line) == row
    assert rewrite_row(line) == line


OBJECTS = {"settings", "usage", "error"}
LISTS = {"attempts", "findings", "repairs", "messages"}


def members_of(data: msgspec.Raw) -> dict[str, Any]:
    """Take an object of ours apart, as deep as the contract defines it."""
    value: dict[str, Any] = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    for name, raw in value.items():
        if raw == msgspec.Raw(b"null"):
            continue
        if name in OBJECTS or name.endswith("_truncated"):
            value[name] = members_of(raw)
        elif name in LISTS:
            value[name] = [
                members_of(item) for item in msgspec.json.decode(raw, type=list[msgspec.Raw])
            ]
        elif name == "nearest":
            value[name] = msgspec.json.decode(raw, type=list[msgspec.Raw])
    return value


def disturbed(value: Any, random: Random, extra: msgspec.Raw) -> Any:
    """Shuffle the members of every object and give each one that nobody knows."""
    if isinstance(value, list):
        return [disturbed(item, random, extra) for item in value]
    if not isinstance(value, dict):
        return value
    items = [(name, disturbed(item, random, extra)) for name, item in value.items()]
    items.append(("x_extra", extra))
    random.shuffle(items)
    return dict(items)


@settings(max_examples=100)
@given(rows, st.randoms(use_true_random=False), raws)
def test_rewriting_is_idempotent_and_loses_nothing(
    row: Any, random: Random, extra: msgspec.Raw
) -> None:
    line = encode_line(row)
    known = members_of(msgspec.Raw(line[:-18] + b"}"))
    given_in = disturbed(known, random, extra)
    once = rewrite_row(msgspec.json.encode(given_in))
    assert crc_holds(once)
    assert rewrite_row(once) == once
    assert members_of(msgspec.Raw(once[:-18] + b"}")) == given_in
    assert [name for name in json.loads(once) if name not in {"x_extra", "crc"}] == list(known)


@settings(max_examples=50)
@given(rows)
def test_rows_hold_against_their_schema(row: Any) -> None:
    # A fraction is a fraction to the schema; a double that is too small for 1e400 would be null.
    value = json.loads(encode_line(row), parse_float=lambda _text: 0.5)
    problems = list(VALIDATOR.iter_errors(value))
    assert not problems, [error.message for error in problems]


VALIDATOR: jsonschema_rs.Validator = schema_validator("row")


@settings(max_examples=200)
@given(st.integers(0, len(LINE) - 1), st.integers(1, 255))
def test_any_changed_byte_is_noticed(position: int, change: int) -> None:
    broken = bytearray(LINE)
    broken[position] ^= change
    with pytest.raises(RowError):
        decode_row(bytes(broken))


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()))
def test_no_bytes_do_more_than_fail(data: bytes) -> None:
    with pytest.raises(RowError):
        rewrite_row(data)


@pytest.mark.parametrize("name", fixtures("session_log"))
def test_required_parity_fixtures(name: str) -> None:
    """Byte for byte, `timestamp`, `daemon` and `crc` included."""
    fixture = fixtures("session_log")[name]
    written = rewrite_row(fixture["input"].encode())
    assert written.decode() == fixture["expected"]
    assert rewrite_row(written) == written
