"""Addresses: whole, kept by every link, and refused with the nearest name."""

from datetime import UTC, datetime

import pytest

from lakehouse.core.errors import Refusal
from lakehouse.sessionlog.index.filters import LogFilter
from lakehouse.ui.address import Address, is_of_form, read_address
from lakehouse.ui.filters import FILTER_NAMES, log_filter

NOW = datetime(2026, 11, 30, 12, 34, 56, tzinfo=UTC)


def _read(query: str, *own: str) -> Address:
    return read_address("/sessions", query.encode(), own, filters=True)


def test_every_link_keeps_the_filter_and_only_its_own_page_keeps_the_rest():
    here = _read("kind=a%20b&metadata.team=x%26y&cursor=c1", "cursor")

    assert here.to("/findings") == "/ui/findings?kind=a%20b&metadata.team=x%26y"
    assert here.here() == "/ui/sessions?kind=a%20b&metadata.team=x%26y&cursor=c1"
    assert here.here(cursor=None, code="type") == (
        "/ui/sessions?kind=a%20b&metadata.team=x%26y&code=type"
    )
    assert here.to("/sessions", kind=None, first_shot=True) == (
        "/ui/sessions?metadata.team=x%26y&first_shot=true"
    )
    assert here.file("json") == "/ui/sessions.json?kind=a%20b&metadata.team=x%26y&cursor=c1"
    assert here.plain("/kind", kind="ä/?") == "/ui/kind?kind=%C3%A4%2F%3F"


def test_a_filter_goes_through_its_address_whole():
    query = "text=Gr%C3%BC%C3%9Fe&verdict=infra_error&first_shot=false&duration_ms_min=5000"
    where = log_filter(_read(query + "&metadata.a.b=1").criteria, NOW)

    assert where == LogFilter(
        text="Grüße",
        verdict="infra_error",
        first_shot=False,
        duration_ms_min=5000,
        metadata={"a.b": "1"},
    )


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("90m", "2026-11-30T11:04:00.000000Z"),
        ("24h", "2026-11-29T12:34:00.000000Z"),
        ("7d", "2026-11-23T12:34:00.000000Z"),
        ("2w", "2026-11-16T12:34:00.000000Z"),
        ("2026-01-31", "2026-01-31T00:00:00.000000Z"),
        ("2026-01-31T01:00+02:00", "2026-01-30T23:00:00.000000Z"),
    ],
)
def test_times_may_be_relative_or_absolute(since, expected):
    assert log_filter((("since", since),), NOW).since == expected


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("vedict=accepted", "did you mean 'verdict'?"),
        ("verdict=acepted", "did you mean 'accepted'?"),
        ("kind=a&kind=b", "`kind` is given twice"),
        ("label=rigth", "did you mean 'right'"),
        ("first_shot=yes", "allowed: true, false"),
        ("value=Oslo", "it must be JSON"),
        ("iterations_min=-1", "a whole number"),
        ("iterations_min=" + "9" * 30, "a whole number"),
        ("since=yesterday", "a date, a time, or a span such as 7d"),
        ("since=123456w", "a span such as 7d"),
        ("since=2026-01-31&until=2026-01-31", "which is not before `until`"),
        ("since=1h&until=2d", "which is not before `until`"),
        ("metadata.=x", "Unknown parameter 'metadata.'"),
        ("kind=%FF", "UTF-8"),
        ("a=" + "x" * 20_000, "16384 bytes"),
        ("&".join(f"metadata.{n}=1" for n in range(150)), "cannot be read"),
    ],
)
def test_what_is_not_understood_is_refused(query, told):
    with pytest.raises(Refusal) as refused:
        log_filter(_read(query).criteria, NOW)
    assert told in refused.value.public


def test_every_member_of_the_filter_has_an_address():
    samples = {"verdict": "accepted", "label": "right", "first_shot": "true", "grounded": "false"}
    for name in FILTER_NAMES:
        text = samples.get(name, "2026-01-02" if name in ("since", "until") else "7")
        where = log_filter(_read(f"{name}={text}").criteria, NOW)
        assert getattr(where, name) is not None, name


def test_metadata_of_a_form_becomes_a_member_of_the_filter():
    assert is_of_form(b"kind=a&metadata=team%3Da%3Db")
    assert _read("kind=a&metadata=team%20%3D%20a%3Db").to("/sessions") == (
        "/ui/sessions?kind=a&metadata.team=a%3Db"
    )
    assert not is_of_form(b"kind=a&metadata.team=a%3Db")
    for text in ("team", "team%3D", "%3Dblue", "%20%3D%20"):
        with pytest.raises(Refusal, match="it must be NAME=VALUE"):
            _read(f"metadata={text}")
    with pytest.raises(Refusal, match=r"`metadata.team` is given twice"):
        _read("metadata.team=a&metadata=team%3Db")
