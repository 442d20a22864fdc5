"""Opt-in repair: every mend is recorded with its place, and no content is lost or altered."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core.json_text import dumps, parse
from lakehouse.validation.extract import extract


def mended(text, *, accepts=lambda value: True, finish_reason="stop"):
    found = extract(text, finish_reason=finish_reason, accepts=accepts, repair=True)
    return found, None if found.artifact is None else bytes(found.artifact).decode()


@pytest.mark.parametrize(
    ("text", "wanted", "offsets"),
    [
        ("{'a': 1.10}", '{"a":1.10}', [("scalar", 1)]),
        ('{"a":1,}', '{"a":1}', [("structure", 6)]),
        ("{a: True, b: None}", '{"a":true,"b":null}', None),
        ('é {"a":1 "b":2}', '{"a":1,"b":2}', [("structure", 10)]),
        ('é {"ü" "x"}', '{"ü":"x"}', [("structure", 9)]),
        ('{"a": "x\ny"}', '{"a":"x\\ny"}', [("scalar", 6)]),
        ("{\u201ca\u201d: 1}", '{"a":1}', [("scalar", 1)]),
        ('```json\n{"a":18446744073709551616,}\n```', '{"a":18446744073709551616}', None),
        ("{'a': 'it\\'s'}", '{"a":"it\'s"}', None),
        ('{"a":"\\u00e9","b":[1,2,],}', '{"a":"\\u00e9","b":[1,2]}', None),
    ],
)
def test_a_mend_is_recorded_where_it_was_made(text, wanted, offsets):
    """Quotes, commas, colons and literals; offsets count bytes of the output."""
    found, artifact = mended(text)
    assert artifact == wanted
    assert found.value == parse(wanted)
    assert found.repairs
    if offsets is not None:
        assert [(repair.code, repair.offset) for repair in found.repairs] == offsets
    for repair in found.repairs:
        assert 0 <= repair.offset < len(text.encode())
        assert repair.message


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2,}',  # would lose a duplicate member
        '{"a":1, // why\n}',  # would lose a comment
        '{"a": John Smith}',  # two words: whose?
        '{"a": "he said "hi" to"}',
        '{"a":NaN}',
        '{"a":undefined}',
        '{"a":.5}',
        '{"a":01}',
        '{"a":"\\ud800",}',
        "[" * 65 + "1,]" + "]" * 64,
    ],
)
def test_what_would_change_content_is_refused(text):
    """Losing or inventing content silently is worse than another attempt."""
    found, artifact = mended(text)
    assert artifact is None
    assert found.findings[0].code == "invalid_json"
    assert found.repairs == ()


@pytest.mark.parametrize("text", ['{"a":1', "{'a': [1, 2", "```json\n{'a': 1"])
def test_a_truncated_value_is_never_completed(text):
    """Closing what the model did not finish would pass half an answer off as a whole one."""
    found, artifact = mended(text)
    assert artifact is None
    assert found.findings[0].code == "truncated"
    assert mended("{'a':1}", finish_reason="length")[1] is None


def test_repair_is_off_by_default():
    """Strict unless the kind says so."""
    found = extract("{'a':1}", finish_reason="stop", accepts=lambda value: True)
    assert found.artifact is None


def test_the_first_accepted_mend_is_taken_else_the_last():
    """The same choice as among candidates that parse."""
    text = "{'a':1} {'b':2} {'c':3}"
    assert mended(text, accepts=lambda value: "b" in value)[1] == '{"b":2}'
    assert mended(text, accepts=lambda value: False)[1] == '{"c":3}'


def test_thinking_is_kept_beside_a_mend():
    """Repair does not look into thinking, and does not lose it."""
    found, artifact = mended("<think>{'no':1}</think>{'a':1}")
    assert artifact == '{"a":1}'
    assert found.thinking == "{'no':1}"


words = st.text(st.sampled_from("abcxyz"), min_size=1, max_size=5)
values = st.recursive(
    words | st.integers(-99, 99) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(words, values, min_size=1, max_size=4))
def test_a_python_literal_comes_back_as_the_value_it_means(value):
    """Or is refused; never as anything else."""
    found, artifact = mended(repr(value))
    if artifact is not None:
        assert artifact == dumps(value)
    else:
        assert found.findings[0].code == "invalid_json"
    # Refusals must stay the exception here, else this law says nothing.
    if all(not isinstance(member, dict | list) for member in value.values()):
        assert artifact is not None


def test_the_repair_library_is_imported_only_when_asked_for():
    """It costs more to import than the whole of extraction."""
    script = (
        "import sys; from lakehouse.validation.extract import extract;"
        "extract('{x}', finish_reason='stop', accepts=lambda v: True);"
        "assert 'json_repair' not in sys.modules;"
        "extract('{x}', finish_reason='stop', accepts=lambda v: True, repair=True);"
        "assert 'json_repair' in sys.modules"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, timeout=60)
