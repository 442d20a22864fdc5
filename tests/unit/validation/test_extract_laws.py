"""Extraction: laws that hold for any text, then texts of a mebibyte."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.core.json_text import JsonError, compact, parse
from support.extraction import artifact, take

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)
containers = json_values.filter(lambda value: isinstance(value, dict | list))
prose = st.text(st.sampled_from("ab .,:\n'!-"), max_size=30)
pieces = [
    *'{}[]"\\`~<>/:,1 \n\r\tatruefls\ud800é',
    *["<think>", "</THINK>", "<reasoning>", "[THINK]", "[/THINK]", "<|channel|>analysis"],
    *[
        "<|start|>assistant",
        "<|channel|>final",
        "<|message|>",
        "<|end|>",
        "``` ",
        "```",
        "~~~",
        "\n```json\n",
        '{"a":1}',
    ],
]
hostile = st.lists(st.sampled_from(pieces), max_size=60).map("".join)


@given(json_values, st.booleans())
def test_any_value_alone_is_taken_with_its_bytes(value, ascii_only):
    """Whatever JSON there is, in either way of writing it."""
    text = json.dumps(value, ensure_ascii=ascii_only)
    found = take(text, accepts=lambda value: False)
    assert artifact(found) == compact(text).decode()
    assert found.value == parse(text)


@given(
    containers, prose, prose, st.sampled_from(["{}", "\n```json\n{}\n```\n", "\n~~~~\n{}\n~~~~\n"])
)
def test_any_value_embedded_whole_is_found(value, before, after, frame):
    """In prose or in a fence, indented or not, strings full of brackets and tags included."""
    text = json.dumps(value, indent=2 if len(before) % 2 else None)
    found = take(before + frame.replace("{}", text, 1) + after)
    assert artifact(found) == compact(text).decode()


@settings(max_examples=400)
@given(hostile, st.sampled_from(["stop", "length", "other"]), st.booleans())
def test_every_text_gives_one_answer_and_never_an_error(text, finish_reason, repair):
    """Either an artifact that is strict JSON, or exactly one finding; twice the same."""
    found = take(text, finish_reason=finish_reason, repair=repair)
    again = take(text, finish_reason=finish_reason, repair=repair)
    assert (artifact(found), found.findings, found.repairs, found.thinking) == (
        artifact(again),
        again.findings,
        again.repairs,
        again.thinking,
    )
    if found.artifact is None:
        assert len(found.findings) == 1
    else:
        assert found.findings == ()
        assert compact(artifact(found) or "") == bytes(found.artifact)
        parse(artifact(found) or "")


@given(hostile)
def test_repair_changes_nothing_where_something_parses(text):
    """Repair is for texts without a candidate only."""
    strict = take(text)
    if strict.artifact is not None:
        mended = take(text, repair=True)
        assert artifact(mended) == artifact(strict)
        assert mended.repairs == ()


MIB = 1 << 20
SHAPES = {
    "braces": "{" * MIB,
    "brackets": "[" * MIB,
    "closing": "}" * MIB,
    "backticks": "`" * MIB,
    "tildes": "~" * MIB,
    "think": "<think>" * (MIB // 7),
    "unthink": "</think>" * (MIB // 8),
    "brace and unthink": "{</think>" * (MIB // 9),
    "think and brace": "<think>{" * (MIB // 8),
    "brace and thought": "{<think></think>" * (MIB // 16),
    "quoted tags": '{"<think>' * (MIB // 9),
    "nests that begin nothing": "[" * (MIB - 1) + "x",
    "open tags in a block": "x\n```\n" + "<think>" * (MIB // 7) + "\n```\n",
    "harmony starts": "<|start|>" * (MIB // 9),
    "harmony channels": "<|channel|>analysis" * (MIB // 19),
    "harmony answers": "<|channel|>final<|message|>" * (MIB // 27),
    "harmony ends": "<|end|>" * (MIB // 7),
    "braces and answers": "{<|channel|>final<|message|>" * (MIB // 28),
    "phrases": "Here is my thought process:" * (MIB // 27),
    "angles": "<" * MIB,
    "blocks within blocks": "".join("`" * (n % 1000 + 3) + "x\n" for n in range(2000, 0, -1)),
    "tight blocks": '```\n{"a":1}```\n' * (MIB // 15),
    "fence lines of braces": "~~~{\n" * (MIB // 5),
    "commas": "{" + "," * (MIB - 1),
    "closing after opening": "[" * (MIB // 3) + " ]" * (MIB // 3),
    "blocks of tags": "```\n<think>\n```\n" * (MIB // 16),
    "quotes": '"' * MIB,
    "brace and quote": '{"' * (MIB // 2),
    "escaped quotes": '{"' + '\\"' * (MIB // 2 - 2),
    "65 deep and escaped quotes": "[" * 65 + '"' + '\\"' * (MIB // 2 - 40),
    "backslashes": "\\" * MIB,
    "fences": "```\n" * (MIB // 4),
    "fences and braces": "```\n{\n" * (MIB // 6),
    "growing fences": "\n".join("`" * count for count in range(3, 1400)),
    "shrinking fences": "~" * 1000 + "\n" + ("~" * 999 + "\n") * 1040,
    "not fences": "```a`\n" * (MIB // 6),
    "opened arrays": "[1 " * (MIB // 3),
    "array and space": "[" + " " * (MIB - 1),
    "100,000 deep": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"a":' * (MIB // 6),
    "distinct candidates": "".join(f'{{"{i}":1}} ' for i in range(MIB // 13)),
    "distinct broken": "".join(f"{{{i}}} " for i in range(MIB // 9)),
    "late duplicate": "{" + ",".join(f'"k{i}":0' for i in range(MIB // 12)) + ',"k9":0}',
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mebibyte_of_anything_is_read_in_linear_time(shape):
    """Quadratic reading of these would take minutes; linear takes under 1.1 s of CPU."""
    text = SHAPES[shape]
    assert len(text) > 190_000
    started = time.process_time()
    found = take(text, accepts=lambda value: False)
    assert time.process_time() - started < 30
    assert found.artifact is not None or len(found.findings) == 1


def test_strict_is_the_default_and_json_that_json_refuses_is_refused():
    """The law behind `invalid_json`: what `parse` refuses is never an artifact."""
    for text in ('{"a":1,"a":1}', '{"a":Infinity}', "{'a':1}"):
        with pytest.raises(JsonError):
            parse(text)
        assert take(text).artifact is None
