"""Conditions are read strictly: what is not understood is refused, with what is allowed."""

import pytest

from lakehouse.comparison.conditions import Condition, parse_conditions
from lakehouse.core.errors import SetupError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accepted >= baseline", ("accepted", True, 0.0)),
        ("accepted >= baseline - 0.02", ("accepted", True, -0.02)),
        ("first_shot>=baseline+0.1", ("first_shot", True, 0.1)),
        ("checked_right >= 0.9", ("checked_right", False, 0.9)),
        ("artifact_equal >= 1", ("artifact_equal", False, 1.0)),
        ("  p50_latency_ms <=  baseline *1.2 ", ("p50_latency_ms", True, 1.2)),
        ("mean_completion_tokens <= baseline", ("mean_completion_tokens", True, 1.0)),
        ("p95_latency_ms <= 1500", ("p95_latency_ms", False, 1500.0)),
        ("mean_iterations <= 1.5", ("mean_iterations", False, 1.5)),
    ],
)
def test_a_condition_is_read(text, expected):
    """With any white space; its text is kept with single blanks."""
    (condition,) = parse_conditions([text])
    assert condition == Condition(" ".join(text.split()), *expected)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a condition"),
        ("accepted", "is not a condition"),
        ("accepted >=", "has the limit '', which cannot be read"),
        ("acceptd >= baseline", "names 'acceptd', which is not a measure"),
        ("accepted <= baseline", "compares by '<='"),
        ("accepted > baseline", "compares by '>'"),
        ("accepted == baseline", "compares by '=='"),
        ("p50_latency_ms >= baseline", "compares by '>='"),
        ("accepted >= baseline * 0.9", "has '*' after the baseline"),
        ("accepted >= baseline - 2", "has 2 points"),
        ("accepted >= baseline - 2%", "has '2%' instead of a number"),
        ("accepted >= baseline - -0.1", "has '-0.1' instead of a number"),
        ("accepted >= baseline -", "which cannot be read"),
        ("accepted >= 90", "has the rate 90"),
        ("accepted >= nan", "has 'nan' instead of a number"),
        ("accepted >= 1e-3", "has '1e-3' instead of a number"),
        ("accepted >= .5", "has '.5' instead of a number"),
        ("accepted >= ٠.٥", "instead of a number"),
        ("accepted >= baseline2", "has 'baseline2' instead of a number"),
        ("accepted >= baseline - 0.02 or 1", "which cannot be read"),
        ("artifact_equal >= baseline", "compares with the baseline"),
        ("p50_latency_ms <= baseline + 50", "has '+' after the baseline"),
        ("p50_latency_ms <= baseline * 0", "has the factor 0"),
        ("p50_latency_ms <= baseline * 1001", "has the factor 1001"),
        ("p50_latency_ms <= baseline / 2", "has '/' after the baseline"),
        ("p50_latency_ms <= 0", "has the limit 0"),
    ],
)
def test_anything_else_is_refused_by_name(text, says):
    """One message that quotes the condition, and a hint that shows a right one."""
    with pytest.raises(SetupError) as refused:
        parse_conditions([text])
    assert str(refused.value).startswith(f"--gate {text!r} ")
    assert says in str(refused.value)
    assert refused.value.hint


def test_an_unknown_measure_is_answered_with_all_there_are():
    """In the hint."""
    with pytest.raises(SetupError) as refused:
        parse_conditions(["speed <= 1"])
    assert refused.value.hint == (
        "Measures are accepted, first_shot, checked_right, artifact_equal, mean_iterations, "
        "mean_prompt_tokens, mean_completion_tokens, mean_latency_ms, p50_latency_ms, "
        "p95_latency_ms."
    )


def test_the_same_condition_twice_is_refused():
    """Each takes its share of the chance of a false alarm; two limits on a measure are fine."""
    with pytest.raises(SetupError, match="is given twice"):
        parse_conditions(["accepted >= baseline", "accepted >= baseline - 0"])
    assert len(parse_conditions(["accepted >= baseline", "accepted >= 0.9"])) == 2
