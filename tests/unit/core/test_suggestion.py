"""The names nearest to an unknown one."""

import pytest

from lakehouse.core.suggestion import did_you_mean, nearest_names

SECTIONS = ["chatd", "gateway", "kinds", "log", "models", "session", "tables", "tracing"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("table", "tables"),
        ("Tables", "tables"),
        ("modles", "models"),
        ("kind", "kinds"),
        ("sesion", "session"),
        ("trace", "tracing"),
        ("gate-way", "gateway"),
    ],
)
def test_a_slip_of_the_pen_finds_the_name(name: str, meant: str):
    assert nearest_names(name, SECTIONS)[0] == meant
    assert f" (did you mean {meant!r}" in did_you_mean(name, SECTIONS)


@pytest.mark.parametrize("name", ["", "zzz", "x" * 1_000_000, "☃"])
def test_a_name_like_none_suggests_nothing(name: str):
    assert nearest_names(name, SECTIONS) == []
    assert did_you_mean(name, SECTIONS) == ""


def test_at_most_three_are_given_the_most_alike_first():
    names = [f"airport_event_{n}" for n in range(20)]

    assert nearest_names("airport_event_7", names)[0] == "airport_event_7"
    assert len(nearest_names("airport_event", names)) == 3
