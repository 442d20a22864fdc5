"""The artifact as lines: its bytes stay, and every finding has its place."""

import json

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core.json_text import parse_form, pointer
from lakehouse.ui.artifact_tree import LINES_MAX, PlacedFinding, stable_text, tree_lines
from support.generated_rows import json_texts

_paths = st.lists(
    st.sampled_from(["", "/a", "/a/0", "/a~1b/0", "/0", "/0/1", "no pointer", "/~9", "/*"])
)


def _text(lines):
    return "".join(
        (f"{one.name}:" if one.name else "") + one.text + "," * one.comma for one in lines
    )


@given(json_texts, _paths)
def test_every_value_keeps_its_bytes_and_every_finding_has_one_line(text, paths):
    """The lines together are the artifact, byte for byte."""
    lines = tree_lines(text.encode(), paths)
    assert _text(lines) == text
    placed = [one for line in lines for one in line.findings]
    assert sorted(one.index for one in placed) == list(range(len(paths)))
    known = {line.path for line in lines}
    for line in lines:
        for one in line.findings:
            assert (paths[one.index] == line.path) == (one.whereabouts == "here")
            assert (paths[one.index] in known) == (one.whereabouts == "here")


def test_findings_stand_beside_what_they_name():
    """A member that is there, one that is not, one below a value that has no members."""
    artifact = b'{"price":1.10,"stops":[{"code":"XXX"},{}],"a/b":null}'
    paths = ["/price", "/stops/1/code", "/stops/0/code", "/a~1b", "/price/x", "/stops/7", ""]
    lines = tree_lines(artifact, paths)
    found = {
        line.path: [(one.index, one.whereabouts) for one in line.findings]
        for line in lines
        if line.findings
    }
    assert found == {
        "": [(6, "here")],
        "/price": [(0, "here"), (4, "absent")],
        "/stops": [(5, "absent")],
        "/stops/0/code": [(2, "here")],
        "/stops/1": [(1, "absent")],
        "/a~1b": [(3, "here")],
    }
    [price] = [line for line in lines if line.path == "/price"]
    assert (price.name, price.text, price.comma, price.depth) == ('"price"', "1.10", True, 1)


def test_a_long_artifact_is_folded_but_not_what_findings_name():
    """A million elements: few lines, the one with the finding among them, and the rest counted."""
    count = 1_000_000
    artifact = b"[%b]" % b",".join([b"1"] * count)
    lines = tree_lines(artifact, ["/999000"])
    assert len(lines) < LINES_MAX
    [line] = [line for line in lines if line.findings]
    assert line.path == "/999000"
    assert sum(line.left_out for line in lines) + sum(line.depth == 1 for line in lines) == (
        count + sum(line.left_out > 0 for line in lines)
    )


def test_long_values_and_names_are_cut():
    """A name of a megabyte is not repeated for each member in it."""
    name = "n" * 1_000_000
    lines = tree_lines(json.dumps({name: dict.fromkeys("abcdef", name)}).encode(), [f"/{name}/a"])
    assert sum(len(str(line)) for line in lines) < 100_000
    assert lines[1].cut_chars > 990_000
    assert lines[2].findings == (PlacedFinding(0, "here"),)


@given(json_texts)
def test_the_stable_text_is_the_same_value(text):
    """Sorted and indented, but with the value's own bytes."""
    stable = stable_text(text.encode())
    assert parse_form(stable.encode(), depth_max=64) == parse_form(text.encode(), depth_max=64)
    assert stable_text(stable.encode()) == stable


def test_the_order_of_members_is_no_difference():
    """Nor is white space; the spelling of a number is."""
    assert stable_text(b'{"b":1,"a":[2,{}]}') == stable_text(b'{ "a" : [2, {}], "b": 1}')
    assert stable_text(b'{"b":1.10}') == '{\n  "b": 1.10\n}'


def test_a_path_is_what_a_finding_says():
    """Names with `/` and `~` are escaped as in findings."""
    [_, line, _] = tree_lines(b'{"a/~b":1}', [])
    assert line.path == pointer("a/~b")
