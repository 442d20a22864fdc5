"""Extraction: each sentence of the contract as cases, then laws, then hostile texts."""

import json

import pytest

from lakehouse.core.json_text import JsonValue, compact, parse
from lakehouse.core.limits import OUTPUT_BYTES_MAX
from lakehouse.validation.extract import Extraction, extract
from support.extraction import artifact, take

A = '{"a":1}'
B = '{"b":2}'


def code(found: Extraction) -> str:
    assert found.artifact is None
    (finding,) = found.findings
    assert finding.path == ""
    assert finding.message
    return finding.code


def has(name):
    return lambda value: isinstance(value, dict) and name in value


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        # The whole text if it is JSON, scalars too.
        (A, A),
        (" \r\n\t" + A + "\n", A),
        ("42", "42"),
        ('"```json\\n{}\\n```"', '"```json\\n{}\\n```"'),
        ("null", "null"),
        ("[]", "[]"),
        ('{ "n" : 1.10 , "big" : 18446744073709551616, "e": 1E2 }', None),
        ('{"a":"<think>{}</think>"}', '{"a":"<think>{}</think>"}'),
        ('{"a":"\\u00e9\\/"}', '{"a":"\\u00e9\\/"}'),
        # Fenced blocks: the whole content, any info string, backticks or tildes, three or more.
        (f"```json\n{A}\n```", A),
        (f"```\n{A}\n```", A),
        (f"~~~python title=x\n{A}\n~~~", A),
        (f"`````\n{A}\n``````", A),
        (f"Here:\r\n```json\r\n{A}\r\n```\r\nbye", A),
        (f"   ```json\n{A}\n   ```", A),
        ("```\n42\n```", "42"),
        (f"```json\n{A}", A),
        (f"```json\n{A}\n<think>{B}</think>\n```", A),
        (f"````\n```\n{A}\n```\n````\n{B}", A),
        (f"~~~\n```\n~~~\n{B}", B),
        (f"```a`b\n{A}", A),
        # A closing fence on the last line of the value, or with a special token behind it.
        (f"```json\n{A}```", A),
        (f"```json\n{A} ``` and so on\n", A),
        ("~~~~\r\n[1,\r\n 2]~~~~~\r\nmore", "[1,2]"),
        ("So:\n```\n42```", "42"),
        ('x\n```\n"a```b"```', '"a```b"'),
        (f"```json\n{A}\n```<|return|>", A),
        ("So:\n```\n42\n``` <|im_end|>\n", "42"),
        (f"```json\n{A}```\nwith\n```\ncode\n```", A),
        # A block of a list item.
        (f"1. ```json\n   {A}\n   ```\n2. done", A),
        ("- ~~~\n  42\n  ~~~\n", "42"),
        (f"10) ```json\n    {A}\n    ```\nsee {B}", A),
        # A value that begins on the line of the opening fence.
        (f"```json {A}\n```", A),
        (f"~~~{A}~~~", A),
        ('```{"a":\n1}\n```\nmore', A),
        (f"```{{r}}\n{A}\n```", A),
        # A fenced block within another block that holds prose.
        (f"```\nHere it is:\n```json\n{A}\n```\n```", A),
        (f"````md\n# Title\n```json\n{A}\n```\nend\n````", A),
        (f"~~~\nprose\n```\n{A}\n```\n~~~", A),
        (f"`````\nx\n````\ny\n```\n{A}\n```\n````\n`````", A),
        (f"```text\nprose\n~~~\n{A}~~~\nend\n```", A),
        # Prose: the balanced region at each opening bracket, string-aware.
        (f"Sure! {A} Hope it helps.", A),
        ('see {"a":"}{","b":"\\"}"} ok', '{"a":"}{","b":"\\"}"}'),
        ("values [1, 2] done", "[1,2]"),
        (f"Use {{placeholder}} then {A}", A),
        (f"a lone }} and ] then {A}", A),
        (f"{{x: {A}}} {B}", B),
        ("```json " + A + "```", A),
        # A [ that does not begin a JSON array is prose.
        (f"[note {A}]", A),
        (f"[this] [x](y) [nullable] {A}", A),
        ("- [ ] todo", "[]"),
        (f"[Smith 2020] {A}", A),
        ("[ null ]", "[null]"),
        # Thinking outside JSON is set aside.
        (f"<think>{B}</think>{A}", A),
        (f"<thinking>\n```json\n{B}\n```\n</thinking>\n{A}", A),
        (f"<reasoning>{{</reasoning>{A}", A),
        (f"{B} hmm </think>\n{A}", A),
        (f"draft {{ lone brace </think>{A}", A),
        (f"```json\n{{draft\n</think>\n{A}", A),
        ("<think>x</think> 42", "42"),
        (f"{A} or {{ <think>hm</think>", A),
        (f"{{ open <think>hm</think> {A}", A),
        ("<think>hm</think>```\n42\n```\nDone.", "42"),
        (f"```\n<think>\n```\n{A} it is", A),
        ("x\n```\n<think>hm</think>\n42\n```", "42"),
        ('x\n```\n"<think>"\n```', '"<think>"'),
        (f"```\nhm</think>\n{A}\n```", A),
        (f"See [[x and {A}", A),
        ("So [ [1],[2]].", "[[1],[2]]"),
        (f"<think>a</think>{A}<think>{B}</think>", A),
        (f"<think>a</think>{A}</think>", A),
        ('note {"a":"</think>"} end', '{"a":"</think>"}'),
        (f"```json\n{A}\n```\n<think>cut off", A),
        (f"\ufeff{A}", A),
        # Reasoning of other model families, in any letter case.
        (
            f"<|channel|>analysis<|message|>{B}?<|end|><|start|>assistant<|channel|>final<|message|>{A}",
            A,
        ),
        (f"<|channel|>analysis<|message|>{B}<|end|><|start|>assistant<|message|>{A}<|return|>", A),
        (f"<|channel|>analysis {B}<|channel|>FINAL <|constrain|>JSON<|message|>{A}<|return|>", A),
        (
            f"<|channel|>commentary to=f.g <|constrain|>json<|message|>{B}<|call|><|channel|>final"
            "<|message|>```json\n" + A + "\n```<|return|>",
            A,
        ),
        (f"perhaps {B}<|end|><|start|>assistant<|channel|>final<|message|>{A}", A),
        (f"perhaps {{ {B} <|start|>assistant<|channel|>final<|message|>{A}", A),
        (f"```\n{B}\n<|channel|>final<|message|>{A}", A),
        (f"<|channel|>final<|message|>{A}<|end|><|start|>user<|message|>{B}", A),
        ("<|channel|>analysis<|message|>6 x 7<|end|><|channel|>final<|message|>42<|return|>", "42"),
        (f"analysisPerhaps {B}assistantfinal{A}", A),
        (f"[THINK]{B}[/THINK]{A}", A),
        (f"[think]{B}[/think]\n```json\n{A}\n```", A),
        (f"perhaps {B}[/THINK]{A}", A),
        (f"<THOUGHT>{B}</Thought>{A}", A),
        (f"<Think>{B}</tHINK>{A}", A),
        (f"<seed:think>{B}</seed:think>{A}", A),
        (f"◁think▷{B}◁/think▷{A}", A),
        (f"<|START_THINKING|>{B}<|END_THINKING|><|START_RESPONSE|>{A}<|END_RESPONSE|>", A),
        (f"<|begin_of_thought|>{B}<|end_of_thought|>{A}", A),
        (f"<|channel>thought\n{B}<channel|>{A}", A),
        (f"<unused94>thought\n{B}<unused95>{A}", A),
        (f"<|inner_prefix|>{B}<|inner_suffix|>{A}", A),
        (f"<longcat_think>{B}</longcat_think>{A}", A),
        (f"<|think|>{B}<|end|><|begin|>assistant<|content|>{A}<|end|>", A),
        (f"Here is my thought process: {B} Here is my response: {A}", A),
        (f"Here is my thought process: it is {A}", A),
        (f"{A} Here is my response:", A),
        (f"Here are my reasoning steps: {B}\n[BEGIN FINAL RESPONSE]{A}[END FINAL RESPONSE]", A),
        (f"perhaps {B}\n[BEGIN FINAL RESPONSE]\n{A}", A),
        (f"<think>{B}</think><answer>{A}</answer>", A),
        (f"<think>{B}</think><|begin_of_box|>{A}<|end_of_box|>", A),
        (
            '{"a":"[THINK]<|channel|>final<|message|>"}',
            '{"a":"[THINK]<|channel|>final<|message|>"}',
        ),
        (f"[ [THINK]{B}[/THINK] {A}", A),
    ],
)
def test_the_artifact_is_taken_as_the_contract_says(text, wanted):
    """One candidate, wherever it stands, with its own bytes."""
    found = take(text)
    assert artifact(found) == (wanted or compact(text).decode())
    assert found.findings == ()
    assert found.repairs == ()
    assert found.value == parse(artifact(found) or "")


@pytest.mark.parametrize(
    ("text", "accepts", "wanted"),
    [
        (f"{A} {B}", has("b"), B),
        (f"{A} {B}", has("a"), A),
        (f"{A} {B}", has("c"), B),
        (f"{A} {B} {A}", has("c"), A),
        (f"{A}\n```\n{B}\n```", has("a"), A),
        (f"{A}\n```\n{B}\n```", lambda value: True, B),
        (f"{A}\n```\n{B}\n```", has("c"), A),
        (f"{A}\n```\n{B}\n```\n{A}", has("b"), B),
        (f"```\n{A}\n```\n```\n{B}\n```", has("b"), B),
        (f'{{"o":{B}}}', has("b"), f'{{"o":{B}}}'),
        (f"As in [1]: {A}", has("a"), A),
    ],
)
def test_the_accepted_candidate_is_judged_else_the_last_is_reported(text, accepts, wanted):
    """Fenced candidates come before those in prose; nothing looks inside a candidate."""
    assert artifact(take(text, accepts=accepts)) == wanted


@pytest.mark.parametrize(
    "text",
    [
        f"{A} {B}",
        f"First {A}, no: {B}.",
        f"```json\n{A}\n```\nor\n```json\n{B}\n```\n",
        f"```\nOne:\n```json\n{A}\n```\nTwo:\n~~~\n{B}\n~~~\n```",
        f"```json\n{A}```\nor\n~~~\n{B}~~~",
        f"<think>x</think>{A} or {B}",
        f"<|channel|>final<|message|>{A}<|end|><|start|>assistant<|channel|>final<|message|>{B}",
        f"{A}\n{A}\n{B}",
        f"1. ```json\n   {A}\n   ```\n2. ```json\n   {B}\n   ```\n",
        '{"a":1} {"a":true}',
        '{"a":"1"} {"a":1}',
        '[{"a":1},{"a":2}] [{"a":2},{"a":1}]',
        '{"a":9007199254740993} {"a":9007199254740992}',
    ],
)
def test_different_accepted_values_of_one_class_are_ambiguous(text):
    """Never a silent choice: no artifact, and the model is told to give one answer."""
    found = take(text)
    assert code(found) == "ambiguous"
    assert "one answer" in found.findings[0].message


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"{A} again: {A}", A),
        ('{"a":1} {"a":1.0} {"a":1e0}', '{"a":1}'),
        ('{"a":1,"b":[2]} { "b" : [2.0], "a" : 1 }', '{"a":1,"b":[2]}'),
        ('["\u0061"] and ["a"]', '["\u0061"]'),
        (f'{B}\n```\n{A}\n```\n```\n{{ "a" : 1 }}\n```', A),
        (f"```\n{A}\n```\nas in {B}", A),
    ],
)
def test_equal_values_of_one_class_are_one(text, wanted):
    """Equal as JSON, however they are written; a class of its own decides before the other."""
    assert artifact(take(text)) == wanted


def test_a_model_adds_its_own_reasoning_marks():
    """They count like the known ones, which stay known."""
    own = (("<<plan>>", "<</plan>>"), ("Überlegung:", "Antwort:"))

    def taken(text):
        return extract(text, finish_reason="stop", accepts=lambda value: True, own_marks=own)

    for text in (
        f"<<PLAN>>{B}<</plan>>{A}",
        f"perhaps {B}<</plan>>{A}",
        f"Überlegung: {B} antwort: {A}",
        f"<think>{B}</think>{A}",
    ):
        assert artifact(taken(text)) == A
        assert code(take(f"{B} {A}")) == "ambiguous"
    assert code(taken(f"<<plan>>{B}")) == "truncated"
    assert code(take(f"<<plan>>{B}<</plan>>{A}")) == "ambiguous"
    assert taken(f"<<plan>>so<</plan>>{A}").thinking == "so"


def test_equal_candidates_are_judged_once():
    """A model that repeats itself does not cost a check for each repetition."""
    asked: list[JsonValue] = []

    def noted(value: JsonValue) -> bool:
        asked.append(value)
        return False

    take(" ".join([A, B] * 50), accepts=noted)
    assert asked == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("text", "finish_reason", "wanted"),
    [
        ("", "stop", "empty"),
        (" \n\t", "stop", "empty"),
        ("", "tool_calls", "empty"),
        ("<think>only this</think>", "stop", "empty"),
        (f"<|channel|>analysis<|message|>{A}<|end|>", "stop", "empty"),
        (f"<|channel|>commentary<|message|>{A}<|call|>", "stop", "empty"),
        (f"<|channel|>analysis<|message|>perhaps {A}", "stop", "truncated"),
        (f"[THINK]perhaps {A}", "stop", "truncated"),
        (f"<|start|>user<|message|>{A}<|end|>", "stop", "empty"),
        ("", "length", "truncated"),
        ("I cannot help with that.", "stop", "no_json"),
        ("see [note] and [this]", "stop", "no_json"),
        ("NaN", "stop", "no_json"),
        ("```python\nprint(1)\n```", "stop", "no_json"),
        ('{"a":1,"a":2}', "stop", "invalid_json"),
        ('{"a":NaN}', "stop", "invalid_json"),
        ('{"a":-Infinity}', "stop", "invalid_json"),
        ('{"a":"\\ud800"}', "stop", "invalid_json"),
        ('{"a":"\ud800"}', "stop", "invalid_json"),
        ("{'a':1}", "stop", "invalid_json"),
        ('{"a":1,}', "stop", "invalid_json"),
        ('{"a":01}', "stop", "invalid_json"),
        ('x {"a":1 // no\n} y', "stop", "invalid_json"),
        (f"{{x: {A}}}", "stop", "invalid_json"),
        ('```json\n{"a":\n```', "stop", "invalid_json"),
        (f"```json\n{A}\nHope this helps", "stop", "invalid_json"),
        (f"```json\n{A} {B}\n```", "stop", "invalid_json"),
        ("[" * 65 + "]" * 65, "stop", "invalid_json"),
        ('{"a":1', "stop", "truncated"),
        ('Sure: {"a":[{"b":1},{"b":', "stop", "truncated"),
        ('{"a":"un', "stop", "truncated"),
        ('```json\n{"a":1', "stop", "truncated"),
        ("[", "stop", "invalid_json"),
        ("<think>and then", "stop", "truncated"),
        ('{"a":1 <think>x</think>', "stop", "invalid_json"),
        ('{"a": <think>x</think>', "stop", "truncated"),
        ('{"a":"<think>x</think>', "stop", "truncated"),
        ("{ open <think>hm</think> and so on", "stop", "invalid_json"),
        ('```json\n<think>Maybe {"a":1}', "stop", "truncated"),
        ('{"a":"<think>x</think>",}', "stop", "invalid_json"),
        ('{"a":<think>x</think>1}', "stop", "invalid_json"),
        ("See [[Lisbon]].", "stop", "no_json"),
        ("[[truex]] [1", "stop", "truncated"),
        ("\x1c", "stop", "no_json"),
        ("\u00a0", "stop", "empty"),
        # Brackets alone are missing although the text ended by itself; or more than brackets.
        ('{\n\n{\n"city":"Oslo","n":3\n}', "stop", "invalid_json"),
        ('{\n\n{\n"city":"Oslo","n":3\n}', "length", "truncated"),
        ('{"items":[{"a":1},{"a":2}]', "stop", "invalid_json"),
        ("[[1,2],[3,4]", "stop", "invalid_json"),
        ('["a","b"', "stop", "invalid_json"),
        ('{"a":"b"', "other", "invalid_json"),
        ('{"a":true', "stop", "invalid_json"),
        ('```json\n{"a":[1]\n', "stop", "invalid_json"),
        ('```json\n{"a":1```', "stop", "invalid_json"),
        ('{"a":tru', "stop", "truncated"),
        ("[null, fal", "stop", "truncated"),
        ('{"a":-', "stop", "truncated"),
        ('{"a"', "stop", "truncated"),
        ('{"a":1,"b"', "stop", "truncated"),
        ('{"a": ', "stop", "truncated"),
        ('{"a":1,', "stop", "truncated"),
        ('["a\\', "stop", "truncated"),
        ("Sure, here is", "length", "truncated"),
        ('{"a":1,}', "length", "truncated"),
        (A, "content_filter", "refused"),
        ("", "content_filter", "refused"),
        ('"' + "a" * (OUTPUT_BYTES_MAX - 1) + '"', "stop", "too_large"),
        ("é" * (OUTPUT_BYTES_MAX // 2 + 1), "stop", "too_large"),
        ("x" * (OUTPUT_BYTES_MAX + 1), "content_filter", "too_large"),
    ],
)
def test_no_artifact_is_one_finding_with_its_code(text, finish_reason, wanted):
    """Why there is nothing to judge, told apart."""
    assert code(take(text, finish_reason=finish_reason)) == wanted


def test_a_text_of_exactly_the_limit_is_read():
    """The bound is inclusive, in bytes of UTF-8."""
    text = json.dumps("é" * ((OUTPUT_BYTES_MAX - 2) // 2), ensure_ascii=False)
    assert len(text.encode()) == OUTPUT_BYTES_MAX
    assert take(text).artifact is not None


def test_a_whole_candidate_outweighs_a_cut_off_end():
    """`truncated` is for texts that hold no whole candidate."""
    assert artifact(take(f'{A} and {{"b":', finish_reason="length")) == A


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"<think> one </think>{A}", "one"),
        (f"<think>one</think>{A}<reasoning>two</reasoning>", "one\n\ntwo"),
        (f"first </thinking>{A}", "first"),
        ("<think>cut", "cut"),
        (f"<think></think>{A}", None),
        ('{"a":"<think>text</think>"}', None),
        (f"x {A}", None),
        (f"<|channel|>analysis<|message|>one<|end|><|channel|>final<|message|>{A}", "one"),
        (f"one<|end|><|start|>assistant<|channel|>final<|message|>{A}", "one"),
        (f"[THINK]one[/THINK]{A}", "one"),
        (f"<|channel|>final<|message|>{A}", None),
    ],
)
def test_thinking_is_kept_apart(text, wanted):
    """The log tells what the model thought; no check reads it."""
    assert take(text).thinking == wanted
