"""Checks in Python, hooks, streams and many calls at once: one contract for all four clients."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pydantic
import pytest

import lakehouse
from lakehouse import Quote, Reject
from support.python_doors import DOORS, Door, Place, places
from support.stack import SCRIPTED
from support.waiting import wait_until

CONFIG = f"""
{SCRIPTED}
[kinds.flight]
schema = "flight.json"
reprompt = "Once more:"
history = "answer_and_findings"
"""
FILES = {"flight.json": '{"type":"object"}'}
LATE = '{"flight":"VY1","minutes":500}'
GOOD = '{"flight":"VY3901","minutes":25}'
SCRIPT = {
    "matches": {
        '"path":"/quote","(nearest|expected)': ['{"quote":"VY3901"}'],
        "rather late": ['{"quote":"rather late"}'],
        "a quote": ['{"quote":"delayed 25 minutes"}'],
        "always": [LATE],
        "slow": [{"text": GOOD, "delay_ms": 1_500}],
        '"path":"/minutes"|is no flight': [GOOD],
        "no JSON first": ["I am sorry.", LATE],
        "spoiled": [LATE],
        ".": [GOOD],
    }
}


class Flight(pydantic.BaseModel):
    flight: str
    minutes: int


class Delay(msgspec.Struct):
    quote: Annotated[str, Quote()]


class Owned(Flight):
    @pydantic.field_validator("flight")
    @classmethod
    def known(cls, value: str, info: pydantic.ValidationInfo) -> str:
        if value not in (info.context or {})["flights"]:
            raise ValueError(f"{value} is no flight")
        return value


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Place]]:
    with places(tmp_path_factory.mktemp("doors"), CONFIG, SCRIPT, FILES) as found:
        yield found


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest, place: Callable[[str], Place]) -> Iterator[Door]:
    client = Door(request.param, place(request.param))
    yield client
    client.close()


def too_long(flight: Flight) -> None:
    if flight.minutes > 300:
        raise Reject("/minutes", "is too long", nearest=[25, 50])


async def too_long_by_a_service(flight: Flight) -> None:
    await asyncio.sleep(0)
    too_long(flight)


@pytest.mark.parametrize("check", [too_long, too_long_by_a_service])
def test_what_a_check_rejects_is_told_and_never_returned(door: Door, check: Any) -> None:
    door.check(Flight)(check)

    flight, session = door.create_with_session(Flight, "spoiled: VY3901 delayed 25 minutes")

    assert flight == Flight(flight="VY3901", minutes=25)
    assert (session.verdict, session.iterations, session.accepted_iteration) == ("accepted", 2, 1)
    first, second = session.attempts
    assert [(one.iteration, one.outcome) for one in (first, second)] == [
        (0, "rejected"),
        (1, "accepted"),
    ]
    (finding,) = first.findings
    assert (finding.code, finding.path, finding.message) == ("rule", "/minutes", "is too long")
    assert (finding.got, finding.nearest) == (500, (25, 50))
    assert second.told.endswith(
        'Findings: [{"path":"/minutes","nearest":[25,50],"message":"is too long"}]'
    )
    assert session.usage.prompt_tokens == 0
    row = door.row(session.row_id)
    assert row["prompt"] == "spoiled: VY3901 delayed 25 minutes"
    assert row["metadata"]["python_checks"].startswith(f"{__name__}:{check.__name__} sha256:")
    if door.remote:
        (before,) = [one for one in door.rows() if one["row_id"] == row["metadata"]["python_after"]]
        assert before["verdict"] == "accepted"  # the gateway knows nothing of the check
        assert before["metadata"]["python_checks"] == row["metadata"]["python_checks"]
        assert row["conversation_id"] == before["session_id"]
    else:
        assert "python_after" not in row["metadata"]
        assert [one["outcome"] for one in row["attempts"]] == ["rejected", "accepted"]


def test_attempts_of_both_judges_share_one_budget(door: Door) -> None:
    """One is lost to the schema, one to the check; the third would have been one too many."""
    door.check(Flight)(too_long)

    with pytest.raises(lakehouse.Exhausted) as raised:
        door.create(Flight, "no JSON first", max_retries=1)
    assert [one.iteration for one in raised.value.attempts] == [0, 1]
    assert [one.outcome for one in raised.value.attempts] == ["rejected"] * 2

    with pytest.raises(lakehouse.Exhausted) as raised:
        door.create(Flight, "always", max_retries=2)
    assert [one.iteration for one in raised.value.attempts] == [0, 1, 2]
    assert [one.path for one in raised.value.findings] == ["/minutes"]
    assert raised.value.artifact == {"flight": "VY1", "minutes": 500}


def test_what_was_told_is_no_source_of_quotes(door: Door) -> None:
    """The findings of a check name words that nobody wrote; a model may not quote them."""

    @door.check(Delay)
    def vague(delay: Delay) -> None:
        if "minutes" in delay.quote:
            raise Reject("/quote", "must be like 'rather late'")

    delay, session = door.create_with_session(Delay, "a quote: VY3901 delayed 25 minutes")

    assert delay.quote == "VY3901"
    outputs = [(one.output, [each.code for each in one.findings]) for one in session.attempts]
    assert outputs == [
        ('{"quote":"delayed 25 minutes"}', ["rule"]),
        ('{"quote":"rather late"}', ["ungrounded"]),
        ('{"quote":"VY3901"}', []),
    ]
    assert door.row(session.row_id)["prompt"] == "a quote: VY3901 delayed 25 minutes"


def test_the_kinds_own_words_open_what_is_told(door: Door) -> None:
    """So they do within a session: the text before the findings, and the answer if it is shown."""
    door.check(Flight)(too_long)

    _, session = door.create_with_session(Flight, "spoiled", kind="flight")

    assert session.attempts[1].told.startswith("Once more:\nFindings: [")
    if door.remote:
        messages = door.row(session.row_id)["messages"]
        assert [one["role"] for one in messages] == ["user", "assistant", "user"]
        assert messages[1]["content"] == LATE


def test_the_context_reaches_validators_and_checks(door: Door) -> None:
    seen: list[Any] = []

    @door.check(Owned)
    def owned(flight: Owned, context: Any) -> None:
        seen.append((flight.flight, context["tenant"]))

    context = {"flights": {"VY3901"}, "tenant": "north"}
    flight, session = door.create_with_session(Owned, "spoiled", context=context)

    assert flight.flight == "VY3901"
    assert "VY1 is no flight" in session.attempts[0].findings[0].message
    assert seen == [("VY3901", "north")]
    assert door.row(session.row_id)["metadata"]["python_source"].startswith("sha256:")


def test_a_check_that_breaks_is_an_infra_error(door: Door) -> None:
    sessions: list[Any] = []

    @door.check(Flight)
    def broken(flight: Flight) -> None:
        raise KeyError(flight.flight)

    door.lake.on("session", sessions.append)
    with pytest.raises(lakehouse.InfraError, match=r"broken.*KeyError: 'VY3901'") as raised:
        door.create(Flight, "a flight")

    assert raised.value.code == "rule_broken"
    (session,) = sessions
    assert (session.verdict, session.iterations) == ("infra_error", 0)
    assert raised.value.session_id == session.session_id
    assert len(door.rows(session_id=session.session_id)) == 1


def test_checks_may_not_take_longer_than_the_deadline(door: Door) -> None:
    @door.check(Flight)
    async def slow(flight: Flight) -> None:
        await asyncio.sleep(4.0)
        raise Reject("/minutes", "is too long")

    with pytest.raises(lakehouse.InfraError, match="deadline of 3000 ms") as raised:
        door.create(Flight, "a flight", deadline=3)

    assert raised.value.code == "timeout"


def test_hooks_get_each_attempt_when_all_have_judged_it(door: Door) -> None:
    seen: list[Any] = []
    door.check(Flight)(too_long)
    door.lake.on("attempt", lambda one: seen.append((one.iteration, one.outcome)))
    door.lake.on("session", lambda one: seen.append((one.iterations, one.verdict)))

    door.create(Flight, "spoiled")

    assert seen == [(0, "rejected"), (1, "accepted"), (2, "accepted")]


def test_a_stream_yields_attempts_and_then_the_instance(door: Door) -> None:
    door.check(Flight)(too_long)

    *attempts, flight = door.stream(Flight, "no JSON first", max_retries=2)

    assert [(one.iteration, one.outcome) for one in attempts] == [
        (0, "rejected"),
        (1, "rejected"),
        (2, "accepted"),
    ]
    assert flight == Flight(flight="VY3901", minutes=25)


def test_a_stream_that_fails_yields_no_instance(door: Door) -> None:
    door.check(Flight)(too_long)

    with pytest.raises(lakehouse.Exhausted):
        door.stream(Flight, "always", max_retries=0)


def test_a_stream_may_be_left_early(door: Door) -> None:
    first = door.first_of_stream(Flight, "no JSON first", session_id=f"left-{door.name}")

    assert (first.iteration, first.outcome) == (0, "rejected")
    wait_until(lambda: door.rows(session_id=f"left-{door.name}"), "the session's row")
    assert door.create(Flight, "a flight").minutes == 25


def test_many_items_have_outcomes_in_order_and_are_not_run_twice(
    door: Door, tmp_path: Path
) -> None:
    door.check(Flight)(too_long)
    prompts: list[Any] = ["a flight", "always", "another flight", "a third", 5]
    mine = f"items-{door.name}"
    options: dict[str, Any] = {
        "resume": tmp_path / "many.jsonl",
        "concurrency": 2,
        "max_retries": 0,
    }

    outcomes = door.create_many(Flight, prompts, conversation_id=mine, **options)
    again = door.create_many(Flight, prompts, conversation_id=mine, **options)

    for found in outcomes, again:
        assert [one.ok for one in found] == [True, False, True, True, False]
        assert [one.index for one in found] == [0, 1, 2, 3, 4]
        assert found[2].unwrap() == Flight(flight="VY3901", minutes=25)
        with pytest.raises(lakehouse.Exhausted, match="is too long"):
            found[1].unwrap()
        with pytest.raises(lakehouse.Refused, match="The prompt is 5"):
            found[4].unwrap()
    rows = {row["row_id"]: row["prompt"] for row in door.rows(conversation_id=mine)}
    assert sorted(rows.values()) == sorted(prompts[:4])
    assert [rows[one.session.row_id] for one in again[:4]] == prompts[:4]


def test_many_calls_at_once_are_as_many_sessions(door: Door) -> None:
    """64 threads, or 64 tasks."""

    def ask(number: int) -> Callable[[Any], Any]:
        return lambda lake: lake.create(
            Flight, f"item {number}", conversation_id=f"many-{door.name}"
        )

    door.check(Flight)(too_long)
    flights = door.at_once([ask(number) for number in range(64)])

    assert flights == [Flight(flight="VY3901", minutes=25)] * 64
    rows = door.rows(conversation_id=f"many-{door.name}")
    assert sorted(row["prompt"] for row in rows) == sorted(f"item {one}" for one in range(64))


@pytest.mark.parametrize("name", ["open_async", "connect_async"])
def test_a_cancelled_call_leaves_a_row(place: Callable[[str], Place], name: str) -> None:
    """In this process the session ends with the call; at a gateway it goes on to its end."""
    client = Door(name, place(name))
    session_id = f"cancelled-{name}"

    client.cancelled(
        lambda lake: lake.create(Flight, "slow", session_id=session_id),
        lambda: client.begun(session_id),
    )

    wait_until(lambda: client.rows(session_id=session_id), "the session's row")
    (row,) = client.rows(session_id=session_id)
    if client.remote:
        assert row["verdict"] == "accepted"
    else:
        assert row["error"]["code"] == "shutdown"
    client.close()
