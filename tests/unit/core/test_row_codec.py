"""Rows as bytes: exactly the contract's, strictly read, and never poorer for being rewritten."""

import json
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from lakehouse.core.row import LoggedError, SegmentHeader
from lakehouse.core.row_codec import (
    RowError,
    add_crc,
    crc_holds,
    decode_row,
    decode_started,
    encode_line,
    rewrite_row,
)
from support.row_lines import LINE, ROW, changed, replaced, resealed
from support.rows import make_row, make_started


def without(
    place: Callable[[dict[str, Any]], dict[str, Any]], name: str
) -> Callable[[dict[str, Any]], object]:
    """Give a change that takes a member away."""
    return lambda row: place(row).pop(name)


def test_a_line_is_these_bytes() -> None:
    """Written out by hand from contract section 4."""
    row = make_row(
        session_id="s",
        trace_id="t",
        row_id="r",
        prompt='"\\\b\f\n\r\t\x00\x1f\x7f\x85\u2028/<>&é😀',
        attempts=(),
        metadata={"z": "1", "a": "2"},
        tables={"A": "sha256:x", "é": "sha256:y"},
    )
    body = (
        '{"schema":"session.iterate.v1","session_id":"s","trace_id":"t","row_id":"r",'
        '"timestamp":"2026-01-02T03:04:05.678901Z","daemon":"validatord",'
        '"kind":"airport_event","model":"smollm2-135m-instruct","model_alias":"small",'
        '"provider":"scripted",'
        '"prompt":"\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\x85\u2028/<>&é😀",'
        '"messages":null,"system":"Extract the event as JSON.","max_iterations":3,'
        '"settings":{"constrain":"auto","temperature":null,"max_tokens":null,"seed":null,'
        '"deadline_ms":120000},"inline_schema":null,"verdict":"accepted","iterations":1,'
        '"accepted_iteration":0,"grounded":true,"artifact":{"airport":"OSL","delay":1.10},'
        '"attempts":[],"error":null,"usage":{"prompt_tokens":10,"completion_tokens":20},'
        '"duration_ms":12,"conversation_id":null,"metadata":{"z":"1","a":"2"},'
        '"trace_id_replaced":false,"config_digest":"sha256:' + "0" * 64 + '",'
        '"kind_digest":"sha256:' + "1" * 64 + '","tables":{"A":"sha256:x","é":"sha256:y"}'
    ).encode()
    assert encode_line(row) == body + b',"crc":"%08x"}' % zlib.crc32(body)


def test_an_attempt_is_these_bytes() -> None:
    attempt = LINE[LINE.index(b'"attempts":') : LINE.index(b',"error":')]
    assert attempt == (
        b'"attempts":[{"iteration":0,"outcome":"rejected","findings":[{"code":"ungrounded",'
        b'"path":"/airport","message":"no such airport","message_truncated":{"truncated":true,'
        b'"bytes":70000,"sha256":"' + b"ab" * 32 + b'"},"got":"LX\\u0053",'
        b'"expected":{"match":"exact"},"nearest":["LIS",1.50]}],"told":null,'
        b'"output":"{\\"airport\\":\\"OSL\\",\\"delay\\":1.10}","output_truncated":'
        b'{"truncated":true,"bytes":70000,"sha256":"' + b"ab" * 32 + b'"},"thinking":null,'
        b'"artifact":{"airport":"OSL","delay":1.10},"repairs":[{"code":"trailing_comma",'
        b'"offset":7,"message":"dropped"}],"finish_reason":"stop",'
        b'"usage":{"prompt_tokens":10,"completion_tokens":20},"duration_ms":12,'
        b'"span_id":"00f067aa0ba902b7"}]'
    )


def test_the_started_line_has_the_rows_members_known_at_the_start() -> None:
    row_names, started_names = (
        list(json.loads(line)) for line in (LINE, encode_line(make_started(ROW)))
    )
    first = row_names.index("conversation_id")
    assert started_names == [
        *row_names[: row_names.index("verdict")],
        *row_names[first : row_names.index("tables")],
        "crc",
    ]
    assert decode_started(encode_line(make_started(ROW))) == make_started(ROW)


def test_every_kind_of_line_ends_in_its_crc() -> None:
    header = SegmentHeader(
        writer_id="w", segment=0, daemon="d", runtime="r", version="1", started_at="t"
    )
    for line in (LINE, encode_line(make_started(ROW)), encode_line(header)):
        assert line[-18:] == b',"crc":"%08x"}' % zlib.crc32(line[:-18])
        assert crc_holds(line) is True
        assert crc_holds(line.replace(b"schema", b"schemb", 1)) is False
    assert crc_holds(b'{"a":1}') is None
    assert crc_holds(b"") is None


def test_a_row_reads_back() -> None:
    assert decode_row(LINE) == ROW
    assert encode_line(decode_row(LINE)) == LINE


MEMBERS = [name for name in json.loads(LINE) if name != "crc"]


@pytest.mark.parametrize("name", MEMBERS)
def test_every_member_is_required(name: str) -> None:
    with pytest.raises(RowError):
        decode_row(changed(lambda row: row.pop(name)))


@pytest.mark.parametrize("part", ["settings", "usage", "error"])
def test_every_member_of_an_object_is_required(part: str) -> None:
    optional = {"prompt_tokens", "completion_tokens", "detail"}  # see the next tests
    for name in set(json.loads(LINE)[part]) - optional:
        with pytest.raises(RowError):
            decode_row(changed(without(lambda row: row[part], name)))


@pytest.mark.parametrize("detail", [b"", b',"detail":null', b',"detail":"401: no such key"'])
def test_the_detail_of_an_error_stays_as_it_came(detail: bytes) -> None:
    """A row of before it was written has none, and gains none by being written again."""
    whole = encode_line(make_row(error=LoggedError("connect", "no")))
    assert whole.count(b',"error":{"code":"connect","message":"no","detail":null},') == 1
    line = add_crc(whole[:-18].replace(b',"detail":null', detail) + b"}")
    assert rewrite_row(line) == line
    expected = {b"": None, b',"detail":null': None}.get(detail, "401: no such key")
    error = decode_row(line).error
    assert error is not None
    assert error.detail == expected


def test_a_detail_is_text_or_null() -> None:
    for value in (b"1", b"true", b"[]", b"{}"):
        line = changed(lambda row: row["error"].update(detail="@"))
        with pytest.raises(RowError, match="detail"):
            decode_row(add_crc(line[:-18].replace(b'"@"', value) + b"}"))


@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_usage_is_whole_too(name: str) -> None:
    with pytest.raises(RowError):
        decode_row(changed(lambda row: row["usage"].pop(name)))
    with pytest.raises(RowError):
        decode_row(changed(lambda row: row["attempts"][0]["usage"].pop(name)))


def test_every_member_of_an_attempt_and_what_is_in_it_is_required() -> None:
    optional = {"output_truncated", "message_truncated", "got", "expected", "nearest"}

    def attempt(row: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = row["attempts"][0]
        return found

    places: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
        attempt,
        lambda row: attempt(row)["findings"][0],
        lambda row: attempt(row)["repairs"][0],
        lambda row: attempt(row)["output_truncated"],
        lambda row: row["messages"][0],
        lambda row: row["messages"][0]["content_truncated"],
    ]
    removed = 0
    for place in places:
        for name in set(place(json.loads(LINE))) - optional - {"content_truncated"}:
            with pytest.raises(RowError):
                decode_row(changed(without(place, name)))
            removed += 1
    assert removed == 12 + 3 + 3 + 3 + 2 + 3


WRONG_TYPES: dict[str, list[object]] = {
    "session_id": [None, 1, [], {}, True],
    "kind": [1, False, []],
    "messages": [{}, "x", [1], [{"role": "tool", "content": ""}]],
    "max_iterations": ["3", 3.0, None, True, 2**63, -(2**63) - 1],
    "duration_ms": [1.0, 1.5, 1e2, "1", None, 2**64],
    "verdict": ["rejected", "ACCEPTED", None, 1],
    "grounded": [0, "true", []],
    "accepted_iteration": [0.0, "0", False],
    "attempts": [None, {}, [None], ["x"]],
    "error": ["connect", {"code": "Oops", "message": ""}, {"code": None, "message": ""}],
    "usage": [None, [], {"prompt_tokens": 1.0, "completion_tokens": 1}],
    "metadata": [None, [], {"a": 1}, {"a": None}],
    "trace_id_replaced": [None, 0, "false"],
    "tables": [None, [], {"a": None}],
    "schema": ["session.iterate.v2", "session.started.v1", None, 1],
    "settings": [None, {}],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG_TYPES.items() for value in values]
)
def test_wrong_types_and_unknown_words_are_refused(name: str, value: object) -> None:
    with pytest.raises(RowError):
        decode_row(changed(lambda row: row.__setitem__(name, value)))


@pytest.mark.parametrize("value", ["0.7", True, [], {}])
def test_a_temperature_is_a_number_or_null(value: object) -> None:
    with pytest.raises(RowError, match="temperature"):
        decode_row(changed(lambda row: row["settings"].__setitem__("temperature", value)))
    started = encode_line(make_started(ROW))
    with pytest.raises(RowError, match="temperature"):
        decode_started(
            changed(lambda row: row["settings"].__setitem__("temperature", value), started)
        )


@pytest.mark.parametrize("word", ["auto", "decode", "hint", "off", "one_of_tomorrow", "a" * 40])
def test_candidates_of_the_settings_are_any_word_behind_history(word: str) -> None:
    before = {"history": "full", "candidates": word}
    for line, decode in (
        (LINE, decode_row),
        (encode_line(make_started(ROW)), decode_started),
    ):
        came = changed(lambda row: row["settings"].update(before), line)
        found = decode(came).settings
        assert (found.history, found.candidates) == ("full", word)
        assert list(json.loads(encode_line(decode(came)))["settings"])[-3:] == [
            "deadline_ms",
            "history",
            "candidates",
        ]
        assert "candidates" not in json.loads(encode_line(decode(line)))["settings"]


@pytest.mark.parametrize("value", [None, "", "Auto", "h2", "a" * 41, True, 1, ["auto"], {}])
def test_candidates_of_the_settings_are_a_word_or_left_out(value: object) -> None:
    for line, decode in (
        (LINE, decode_row),
        (encode_line(make_started(ROW)), decode_started),
    ):
        with pytest.raises(RowError, match=r"settings\.candidates"):
            decode(changed(lambda row: row["settings"].update(candidates=value), line))


@pytest.mark.parametrize(("top_p", "stop"), [("0.90", ["END", "ß\n"]), ("1", []), ("1e-7", ["a"])])
def test_top_p_and_stop_of_the_settings_stand_last_as_they_came(
    top_p: str, stop: list[str]
) -> None:
    for line, decode in ((LINE, decode_row), (encode_line(make_started(ROW)), decode_started)):
        before = decode(line).settings
        assert (before.top_p, before.stop) == (msgspec.UNSET, msgspec.UNSET)
        texts = msgspec.json.encode(stop)
        end = b'"candidates":"hint","top_p":%b,"stop":%b}' % (top_p.encode(), texts)
        came = resealed(line.replace(b'"deadline_ms":120000}', b'"deadline_ms":120000,' + end))
        found = decode(came)
        assert found.settings.top_p == msgspec.Raw(top_p.encode())
        assert found.settings.stop == tuple(stop)
        assert encode_line(found) == came


@pytest.mark.parametrize("value", [None, "0.9", True, [0.9], {}])
def test_top_p_of_the_settings_is_a_number_or_left_out(value: object) -> None:
    for line, decode in ((LINE, decode_row), (encode_line(make_started(ROW)), decode_started)):
        with pytest.raises(RowError, match=r"settings\.top_p"):
            decode(changed(lambda row: row["settings"].update(top_p=value), line))


@pytest.mark.parametrize("value", [None, "END", 1, {}, [None], [1], [["a"]]])
def test_stop_of_the_settings_is_a_list_of_texts_or_left_out(value: object) -> None:
    for line, decode in ((LINE, decode_row), (encode_line(make_started(ROW)), decode_started)):
        with pytest.raises(RowError, match=r"settings\.stop"):
            decode(changed(lambda row: row["settings"].update(stop=value), line))


def test_assert_formats_of_the_settings_stands_last() -> None:
    for line, decode in ((LINE, decode_row), (encode_line(make_started(ROW)), decode_started)):
        assert not decode(line).settings.asserts_formats
        end = b'"deadline_ms":120000,"stop":[],"assert_formats":true}'
        came = resealed(line.replace(b'"deadline_ms":120000}', end))
        found = decode(came)
        assert found.settings.asserts_formats
        assert encode_line(found) == came


@pytest.mark.parametrize("value", [None, False, 1, "true", "known", [True], {}])
def test_assert_formats_of_the_settings_is_true_or_left_out(value: object) -> None:
    for line, decode in ((LINE, decode_row), (encode_line(make_started(ROW)), decode_started)):
        with pytest.raises(RowError, match=r"settings\.assert_formats"):
            decode(changed(lambda row: row["settings"].update(assert_formats=value), line))


@pytest.mark.parametrize("value", ["LIS", 1, None, {}, [None], [True], [[]], ["a", {}]])
def test_nearest_is_a_list_of_strings_and_numbers(value: object) -> None:
    with pytest.raises(RowError, match="nearest"):
        decode_row(
            changed(lambda row: row["attempts"][0]["findings"][0].__setitem__("nearest", value))
        )


@pytest.mark.parametrize("name", ["got", "expected"])
def test_null_evidence_is_evidence(name: str) -> None:
    line = changed(lambda row: row["attempts"][0]["findings"][0].__setitem__(name, None))
    assert getattr(decode_row(line).attempts[0].findings[0], name) == msgspec.Raw(b"null")
    assert f'"{name}":null'.encode() in rewrite_row(line)


@pytest.mark.parametrize("name", ["prompt_truncated", "system_truncated"])
def test_a_marker_is_left_out_rather_than_null(name: str) -> None:
    with pytest.raises(RowError):
        decode_row(changed(lambda row: row.__setitem__(name, None)))


BROKEN = {
    "wrong crc": LINE[:-10] + b'00000000"}',
    "upper-case crc": LINE[:-10] + LINE[-10:-2].upper().replace(b"0", b"A") + b'"}',
    "short crc": LINE[:-4] + b'"}',
    "crc is not last": add_crc(LINE[:-1] + b',"x":1}')[:-18] + b"}",
    "two crcs": add_crc(LINE),
    "crc as a number": LINE[:-11] + b"12345678}",
    "crc behind a space": LINE[:-18] + b', "crc":"%08x"}' % zlib.crc32(LINE[:-18]),
    "crc with an escaped name": LINE[:-18] + b',"\\u0063rc":"%08x"}' % zlib.crc32(LINE[:-18]),
    "crc null": LINE[:-18] + b',"crc":null}',
    "something after it": LINE + b" ",
    "a second value after it": LINE + b"{}",
    "a newline at the end": LINE + b"\n",
    "a newline before": b"\n" + LINE,
    "a newline between tokens": resealed(LINE.replace(b',"kind"', b',\n"kind"', 1)),
    "a carriage return": resealed(LINE.replace(b',"kind"', b',\r"kind"', 1)),
    "cut at the end": LINE[:-1],
    "cut in the middle": LINE[: len(LINE) // 2],
    "empty": b"",
    "blank": b"  ",
    "zero bytes": bytes(64),
    "null": b"null",
    "a list": b"[" + LINE + b"]",
    "invalid UTF-8": resealed(LINE.replace(b"Oslo", b"Osl\xff", 1)),
    "overlong UTF-8": resealed(LINE.replace(b"Oslo", b"Osl\xc0\xaf", 1)),
    "a surrogate in UTF-8": resealed(LINE.replace(b"Oslo", b"\xed\xa0\x80", 1)),
    "a byte order mark": b"\xef\xbb\xbf" + LINE,
    "a raw control": resealed(LINE.replace(b"Oslo", b"Os\x01o", 1)),
    "a lone surrogate": replaced(b"Oslo", b"\\ud800"),
    "a lone surrogate in a raw value": replaced(b'"OSL"', b'"\\udc00"'),
    "a lone surrogate in a raw name": replaced(b'{"airport"', b'{"\\ud83d"'),
    "a duplicate": replaced(b'"daemon":', b'"kind":"x","daemon":'),
    "a duplicate by escape": replaced(b'"daemon":', b'"k\\u0069nd":"x","daemon":'),
    "a duplicate in a raw value": replaced(b'{"airport":"OSL"', b'{"airport":1,"airport":"OSL"'),
    "a duplicate in settings": replaced(b'"seed":null', b'"seed":null,"seed":1'),
    "a duplicate in metadata": replaced(b'"b":"1"', b'"b":"1","b":"1"'),
    "a duplicate in an unknown member": replaced(b'"daemon":', b'"x":{"a":1,"a":1},"daemon":'),
    "NaN": replaced(b'"delay":1.10', b'"delay":NaN'),
    "Infinity in an unknown member": replaced(b'"daemon":', b'"x":-Infinity,"daemon":'),
    "a leading zero": replaced(b'"delay":1.10', b'"delay":01.10'),
    "a leading plus": replaced(b'"delay":1.10', b'"delay":+1.10'),
    "a trailing comma": replaced(b'"delay":1.10', b'"delay":1.10,'),
    "a comment": replaced(b'"delay":1.10', b'"delay":1.10/**/'),
    "a huge integer of ours": replaced(b'"duration_ms":12', b'"duration_ms":' + b"1" * 5000),
    "a fraction of ours": replaced(b'"duration_ms":12', b'"duration_ms":12.0'),
    "an exponent of ours": replaced(b'"duration_ms":12', b'"duration_ms":12e0'),
    "too deep": replaced(b'"daemon":', b'"x":' + b"[" * 80 + b"]" * 80 + b',"daemon":'),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_may_not_be_a_row(name: str) -> None:
    for read in (decode_row, rewrite_row):
        with pytest.raises(RowError) as caught:
            read(BROKEN[name])
        assert str(caught.value)


def test_a_row_is_no_started_line_and_the_other_way_round() -> None:
    with pytest.raises(RowError, match=r"session\.iterate\.v1"):
        decode_started(LINE)
    with pytest.raises(RowError, match=r"session\.started\.v1"):
        decode_row(encode_line(make_started(ROW)))


def test_over_8_mib_is_no_row() -> None:
    limit = 8 * 1024 * 1024

    def of_size(size: int) -> bytes:
        filler = b"x" * (size - len(LINE) - len(b'"x":"",'))
        return replaced(b'"daemon":', b'"x":"' + filler + b'","daemon":')

    assert len(of_size(limit)) == limit
    assert decode_row(of_size(limit)) == ROW
    with pytest.raises(RowError, match="8388609 bytes"):
        decode_row(of_size(limit + 1))
