"""JSON as text: what is refused, what is exact, and what compaction leaves alone."""

import json
import math
import time
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core import json_text
from lakehouse.core.json_text import (
    JsonError,
    compact,
    dumps,
    parse,
    parse_bytes,
    parse_form,
    pointer,
    pointer_parts,
)
from support.generated_rows import json_texts
from support.spec_files import vectors


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"a":1,"\\u0061":2}',
        '[{"x":{"b":0,"c":1,"b":2}}]',
        "NaN",
        "[Infinity]",
        '{"a":-Infinity}',
        "[1e]",
        "01",
        "+1",
        ".5",
        "1.",
        "0x1",
        "1_000",
        "\u0661",
        "'a'",
        "{a:1}",
        "[1,]",
        '{"a":1,}',
        "[1 2]",
        "",
        " ",
        "[",
        "nul",
        "True",
        "1 2",
        "{} {}",
        "\ufeff{}",
        "\u00a01",
        "/* */1",
        '"a\nb"',
        '"\\x41"',
        '"\\ud800"',
        '{"\\udc00":1}',
        '["\\ud83d","\\ude00"]',
        '"\ud800"',
        "1" * 4301,
        "-" + "1" * 4301,
        "1e" + "9" * 19,
    ],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(JsonError) as caught:
        parse(text)
    assert "\ud800" not in str(caught.value)
    assert "sys." not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        (" [ 1 ] ", [1]),
        ("1.0", 1.0),
        ("-0", 0),
        ("18446744073709551616", 2**64),
        ("-9223372036854775809", -(2**63) - 1),
        ("1e2", 100.0),
        ("1e400", Decimal("1e400")),
        ("-1e400", Decimal("-1e400")),
        ("1e-400", Decimal("1e-400")),
        ("0.1", 0.1),
        ("0.10000000000000000001", Decimal("0.10000000000000000001")),
        ("0.100000000000000000000", 0.1),
        ("12345678901234567890.5", Decimal("12345678901234567890.5")),
        ("9007199254740993e1", Decimal(90071992547409930)),
        ("1e23", 1e23),
        ("-0.0", -0.0),
        ("5e-324", 5e-324),
        ("1.2345e-320", Decimal("1.2345e-320")),
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\\\ud800"', "\\ud800"),
        ('"a"', "a"),
        ('{"é":[18446744073709551616,1e400]}', {"é": [2**64, Decimal("1e400")]}),
    ],
)
def test_what_it_gives(text: str, value: object) -> None:
    found = parse(text)
    assert found == value
    assert type(found) is type(value)


def test_4300_digits_are_exact() -> None:
    assert parse("9" * 4300) == 10**4300 - 1


def test_the_sign_of_zero_is_kept_in_fractions() -> None:
    assert math.copysign(1, parse("-0.0")) == -1  # type: ignore[arg-type]


@pytest.mark.parametrize("pair", ["[]", "{}"])
def test_64_levels_and_no_more(pair: str) -> None:
    opening = "[" if pair == "[]" else '{"a":'
    closing = pair[1]
    parse(opening * 63 + pair + closing * 63)
    with pytest.raises(JsonError, match="deeper than 64"):
        parse(opening * 64 + pair + closing * 64)


def test_brackets_in_strings_are_no_levels() -> None:
    marks = "[{" * 200
    assert parse(json.dumps({marks: ['"' + marks, "\\" + marks]})) is not None


def test_width_is_not_depth() -> None:
    assert len(parse("[" + ",".join(["[{}]"] * 500) + "]")) == 500  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000])
def test_deep_text_is_refused_at_once(text: str) -> None:
    with pytest.raises(JsonError, match="deeper"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        '["' + '\\"' * 500_000 + "[" * 65,
        "[],[" * 65 + '"' + '\\"' * 500_000,
        "{" + ",".join(f'"{i}":1' for i in range(100_000)) + ',"99999":2}',
        '"' + "\\ud83d\\ude00" * 80_000 + '\\ud83d"',
        "[" + "1" * 1_000_000 + "]",
    ],
    ids=["open quotes", "open quotes after brackets", "late duplicate", "late surrogate", "digits"],
)
def test_hostile_text_costs_one_pass(text: str) -> None:
    """Each of these took minutes or more with a quadratic check; a pass takes milliseconds."""
    start = time.process_time()
    with pytest.raises(JsonError):
        parse(text)
    assert time.process_time() - start < 5


def test_a_duplicate_is_named() -> None:
    with pytest.raises(JsonError, match="duplicate member 'b'"):
        parse('{"a":1,"b":2,"b":3,"a":4}')


@pytest.mark.parametrize("data", [b"\xff", b'"\xc0\x80"', b'"\xed\xa0\x80"', b"\xef\xbb\xbf{}"])
def test_bytes_that_are_not_utf_8_or_have_a_mark(data: bytes) -> None:
    with pytest.raises(JsonError):
        parse_bytes(data)


def test_the_form_carries_numbers_it_has_no_value_for() -> None:
    text = b"[" + b"1" * 5000 + b",1e" + b"9" * 30 + b"]"
    assert parse_form(text, depth_max=1) == ["1" * 5000, "1e" + "9" * 30]
    with pytest.raises(JsonError):
        parse_form(b"[NaN]", depth_max=1)


@pytest.mark.parametrize("case", vectors("strings"), ids=lambda case: case["why"])
def test_string_vectors(case: dict[str, Any]) -> None:
    if case["out"] is None:
        with pytest.raises(JsonError):
            parse(case["in"])
    else:
        assert dumps(parse(case["in"])) == case["out"]
        assert dumps(parse(case["out"])) == case["out"]
        assert compact(case["in"]) == case["in"].encode()


def test_compaction_drops_white_space_and_nothing_else() -> None:
    text = ' { "b" : 1.10 ,\t"a\\u00e9 x" : [ 1e400 , 18446744073709551616,-0.0 ] ,\n"c":"\\/ " } '
    assert compact(text) == b'{"b":1.10,"a\\u00e9 x":[1e400,18446744073709551616,-0.0],"c":"\\/ "}'


@given(json_texts, st.sampled_from([" ", "\t", "\r\n", "  "]))
def test_compaction_undoes_spacing(text: str, space: str) -> None:
    spaced, inside, escaped = "", False, False
    for mark in text:
        if inside:
            spaced += mark
            inside = escaped or mark != '"'
            escaped = mark == "\\" and not escaped
        else:
            spaced += f"{space}{mark}{space}" if mark in "{}[],:" else mark
            inside = mark == '"'
    assert compact(spaced) == text.encode()


@given(json_texts)
def test_the_form_has_every_string_and_member(text: str) -> None:
    """`parse_form` and the standard library agree but for numbers."""
    expected = json.loads(text, parse_int=str, parse_float=str)
    assert parse_form(text.encode(), depth_max=64) == expected


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_what_is_written_reads_back(value: Any) -> None:
    assert parse(dumps(value), depth_max=1000) == value


NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.from_regex(
    r"\A-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,20})?([eE][-+]?[0-9]{1,3})?\Z"
)


def quick(text: str, depth_max: int = 64) -> tuple[Any, bytes] | None:
    """Read a text the quick way, which takes what msgspec writes again as it was."""
    return json_text._plain(text, depth_max)


def thorough(text: str, depth_max: int = 64) -> Any:
    return json_text._decode(text, depth_max, json_text._DECODER)


@given(NUMBERS)
def test_a_number_is_the_same_by_the_quick_way_and_by_the_thorough_one(text: str) -> None:
    read = quick(f"[{text}]")
    assert repr(parse(f"[{text}]")) == repr([thorough(text)])
    assert read is None or repr(read[0]) == repr([thorough(text)])


def test_numbers_take_the_quick_way_where_a_float_or_a_word_holds_them() -> None:
    for text in ("0", "-7", "1.5", "-0.25", "1e16", "0.1", str(2**63 - 1), str(2**64 - 1)):
        assert quick(f"[{text}]") is not None, text
    for text in ("-0", "1.10", "1E16", "1e5", "0.3" + "1" * 17, "1e400"):
        assert quick(f"[{text}]") is None, text


@given(json_texts, st.integers(0, 4))
def test_both_ways_agree_on_what_a_text_is(text: str, depth_max: int) -> None:
    """With members twice, cut texts, and nesting at the limit."""
    doubled = text.replace('":', '":0,"a":', 1)
    for one in (text, f"[{text}]", f'{{"a":{text},"b":{text}}}', doubled, text[:-1], f" {text}\n"):
        read = quick(one, depth_max)
        try:
            value = thorough(one, depth_max)
        except JsonError:
            assert read is None
        else:
            assert read is None or (repr(read[0]), read[1]) == (repr(value), compact(one))


def test_numbers_beyond_a_double_are_written_as_numbers() -> None:
    assert json.loads(dumps([parse("1e400")]), parse_float=str) == ["1E+400"]


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ((), ""),
        (("",), "/"),
        (("a/b", "m~n", 0), "/a~1b/m~0n/0"),
        (("~1",), "/~01"),
        (("é",), "/é"),
    ],
)
def test_pointers(parts: tuple[str | int, ...], text: str) -> None:
    assert pointer(*parts) == text
    assert pointer_parts(text) == [str(part) for part in parts]


def test_a_pointer_begins_with_a_slash() -> None:
    with pytest.raises(ValueError, match="not a JSON Pointer"):
        pointer_parts("a")


def test_raw_null_is_null() -> None:
    from lakehouse.core.json_text import NULL  # noqa: PLC0415 - beside what it is about

    assert msgspec.json.encode({"a": NULL}) == b'{"a":null}'
