"""Artifacts are compared as JSON values, whole and by field."""

import pytest

from lakehouse.comparison.agreement import Artifact, equal_artifacts, equal_fields
from lakehouse.comparison.fields import checked_fields, field_agreements
from support.pairs import exhausted, make_pair, make_side, outage


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (b'{"a":1}', b'{"a":1}', True),
        (b'{"a":1,"b":2}', b'{"b":2,"a":1}', True),
        (b'{"a":1.0}', b'{"a":1}', True),
        (b'{"a":1.10}', b'{"a":1.1}', True),
        (b'{"a":"\\u00e9"}', '{"a":"é"}'.encode(), True),
        (b"1e400", b"10e399", True),
        (b'{"a":true}', b'{"a":1}', False),
        (b"[false]", b"[0]", False),
        (b'{"a":null}', b"{}", False),
        (b"[1,2]", b"[2,1]", False),
        (b"[1]", b"[1,1]", False),
        (b'"1"', b"1", False),
        (b"{}", b"[]", False),
        (b"9007199254740993", b"9007199254740992", False),
        (b'{"a":1,"a":1}', b'{"a":1,"a":1}', True),
        (b'{"a":1,"a":1}', b'{"a":1}', False),
    ],
)
def test_equal_are_values_not_texts(left, right, equal):
    """Both ways round; text that is no strict JSON equals its own bytes only."""
    assert equal_artifacts(left, right) is equal
    assert equal_artifacts(right, left) is equal


def test_a_field_is_a_member_at_any_depth_and_an_array_is_one_field():
    """By JSON Pointer, escaped; a whole that is no object is the field of the empty pointer."""
    assert Artifact(b'{"a":{"b/c":1,"d~":[1,{"x":2}]},"e":{}}').fields() == {
        "/a/b~1c": 1,
        "/a/d~0": [1, {"x": 2}],
    }
    assert Artifact(b"[1]").fields() == {"": [1]}
    assert Artifact(b"nonsense").fields() == {}


def test_a_field_that_one_side_lacks_is_not_alike():
    """A null is a value; a missing member has no value."""
    left, right = Artifact(b'{"a":1,"b":null,"c":2}'), Artifact(b'{"a":1,"c":3}')
    assert equal_fields(left, right) == {"/a": True, "/b": False, "/c": False}


def test_fields_are_counted_over_pairs_accepted_on_both_sides():
    """What was rejected, or never came, neither agrees nor disagrees."""
    other = make_side(artifact=b'{"airport":"OSL","delay":2}')
    pairs = [
        make_pair(0),
        make_pair(1, candidate=other),
        make_pair(2, candidate=exhausted()),
        make_pair(3, candidate=outage()),
    ]

    fields, left_out = field_agreements(pairs)

    assert [(f.path, f.pairs, f.equal) for f in fields] == [("/airport", 2, 2), ("/delay", 2, 1)]
    assert left_out == 0


def test_a_model_that_invents_fields_does_not_fill_the_report():
    """The most frequent two hundred are shown, the others counted."""
    pairs = [
        make_pair(i, candidate=make_side(artifact=b'{"airport":"OSL","x%d":1}' % i))
        for i in range(300)
    ]

    fields, left_out = field_agreements(pairs)

    assert (len(fields), left_out) == (200, 102)
    assert {"/airport", "/delay"} <= {field.path for field in fields}


def test_checked_answers_are_compared_field_by_field():
    """Extra members are no field of the checked answer; what was not accepted has none right."""
    checked = b'{"airport":"OSL","delay":2}'
    pairs = [
        make_pair(0, checked_artifact=checked),
        make_pair(1, checked_artifact=checked, candidate=exhausted(artifact=checked)),
        make_pair(2, checked_artifact=checked, candidate=outage()),
        make_pair(3, candidate=make_side(artifact=checked)),
    ]

    fields, _ = checked_fields(pairs)

    assert [(f.path, f.pairs, f.baseline_right, f.candidate_right) for f in fields] == [
        ("/airport", 2, 2, 1),
        ("/delay", 2, 0, 0),
    ]
