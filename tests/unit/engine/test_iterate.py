"""The loop, with a scripted model and no I/O."""

import asyncio
import json
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core.chat import Message, Usage
from lakehouse.core.clock import FixedClock
from lakehouse.core.errors import InfraError
from lakehouse.core.session import Verdict
from lakehouse.engine.iterate import iterate
from lakehouse.engine.prompt import REPROMPT
from lakehouse.engine.run import Run
from lakehouse.engine.task import SessionTask
from lakehouse.grounding.no_tables import NoTables
from support.sessions import ListedChat, answer, clock, task_of

GOOD = '{"city": "Zürich"}'
BAD = '{"town": "Zürich"}'


def run(
    task: SessionTask, chat: ListedChat, *, time: FixedClock | None = None
) -> tuple[Verdict, Run]:
    progress = Run(task, time or clock())
    verdict = asyncio.run(iterate(progress, chat=chat, tables=NoTables()))
    return verdict, progress


def test_a_good_first_answer_is_a_first_shot():
    """One call, one attempt, accepted, nothing told."""
    chat = ListedChat(GOOD)

    verdict, progress = run(task_of(), chat)

    assert verdict == "accepted"
    [attempt] = progress.attempts
    assert (attempt.iteration, attempt.outcome, attempt.told) == (0, "accepted", None)
    assert bytes(attempt.artifact) == '{"city":"Zürich"}'.encode()
    assert attempt.findings == ()


def test_a_rejected_answer_goes_back_with_its_findings():
    """The re-prompt carries the findings as JSON, and the row says what was told."""
    chat = ListedChat(BAD, GOOD)

    verdict, progress = run(task_of(), chat)

    assert verdict == "accepted"
    first, second = progress.attempts
    assert [finding.code for finding in first.findings] == ["schema"]
    assert chat.requests[1].messages[-1] == Message("user", second.told or "")
    assert second.told == f'{REPROMPT}\nFindings: [{{"path":"","expected":{{"required":"city"}}}}]'


def test_history_is_last_only():
    """The third call sees the caller's text and the last findings, and no answer of its own."""
    chat = ListedChat("one", '{"city": 5}', GOOD)

    run(task_of(), chat)

    contents = [message.content for message in chat.requests[2].messages]
    assert contents[0] == "Name the city: Zürich."
    findings = 'Findings: [{"path":"/city","expected":{"type":"string"}}]'
    assert contents[1:] == [f"{REPROMPT}\n{findings}"]


def test_exhaustion_keeps_the_last_artifact():
    """All attempts rejected: the verdict says so, every attempt is there."""
    chat = ListedChat('{"a":1}', '{"b":2}', '{"c":3}')

    verdict, progress = run(task_of(), chat)

    assert verdict == "max_iter_exhausted"
    assert [bytes(a.artifact) for a in progress.attempts] == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


def test_max_iterations_counts_all_answers():
    """`max_iterations` 1 is one model call."""
    chat = ListedChat(BAD)

    verdict, _ = run(task_of(max_iterations=1), chat)

    assert verdict == "max_iter_exhausted"
    assert len(chat.requests) == 1


def test_a_repeated_answer_changes_the_strategy_and_then_stops():
    """After the second identical answer the model is asked hotter; the third one stops."""
    chat = ListedChat("same", "same", "same", GOOD)

    verdict, progress = run(task_of(max_iterations=10, seed=7, temperature=raw("0.2")), chat)

    assert verdict == "max_iter_exhausted"
    assert len(progress.attempts) == 3
    assert [request.seed for request in chat.requests] == [7, 7, 8]
    assert chat.requests[1].temperature == 0.2
    assert (chat.requests[2].temperature or 0) >= 0.8


def test_a_new_answer_after_the_change_goes_on():
    """Only repeating again stops the session early."""
    chat = ListedChat("same", "same", "other", GOOD)

    verdict, progress = run(task_of(max_iterations=10), chat)

    assert verdict == "accepted"
    assert len(progress.attempts) == 4


def test_truncation_raises_the_token_limit():
    """An answer cut off by its limit gets twice the tokens, not the same limit again."""
    cut = answer('{"city": "Zü', finish_reason="length", usage=Usage(10, 40))
    chat = ListedChat(cut, GOOD)

    verdict, progress = run(task_of(max_tokens=40), chat)

    assert verdict == "accepted"
    assert progress.attempts[0].findings[0].code == "truncated"
    assert [request.max_tokens for request in chat.requests] == [40, 80]


def test_transport_trouble_spends_no_iteration():
    """The attempts judged before the outage stay, and the outage is not one of them."""
    chat = ListedChat(BAD, InfraError("connect", "gone"))
    progress = Run(task_of(deadline_ms=1_000), clock())

    with pytest.raises(InfraError, match="gone"):
        asyncio.run(iterate(progress, chat=chat, tables=NoTables()))

    assert len(progress.attempts) == 1


def test_a_valid_answer_after_the_deadline_is_accepted():
    """It is paid for: the deadline is checked between attempts, after validation."""
    time = clock()
    chat = ListedChat(GOOD, before=lambda _: time.advance_ms(5_000))

    verdict, _ = run(task_of(deadline_ms=1_000), chat, time=time)

    assert verdict == "accepted"


def test_no_attempt_starts_after_the_deadline():
    """A rejected answer after the deadline ends as `timeout`."""
    time = clock()
    chat = ListedChat(BAD, GOOD, before=lambda _: time.advance_ms(5_000))

    with pytest.raises(InfraError) as caught:
        run(task_of(deadline_ms=1_000), chat, time=time)

    assert caught.value.code == "timeout"
    assert len(chat.requests) == 1


def test_loading_does_not_count_against_the_deadline():
    """20 s of loading leave a 1 s deadline untouched."""
    time = clock()
    chat = ListedChat(
        answer(BAD, load_ms=20_000), GOOD, before=lambda n: time.advance_ms(20_000 if n == 0 else 0)
    )

    verdict, _ = run(task_of(deadline_ms=1_000), chat, time=time)

    assert verdict == "accepted"
    assert chat.limits[1].deadline_ms == 1_000
    assert chat.limits[1].load_budget_ms == chat.limits[0].load_budget_ms - 20_000


def test_the_reasoning_marks_of_the_model_are_set_aside():
    """What its configuration adds counts in its sessions, and is kept as thinking."""
    text = '<<plan>>{"city": "Bern"}<</plan>>' + GOOD
    task = task_of()
    own = msgspec.structs.replace(task.model, reasoning_marks=(("<<plan>>", "<</plan>>"),))

    plain, without = run(msgspec.structs.replace(task, max_iterations=1), ListedChat(text))
    verdict, progress = run(msgspec.structs.replace(task, model=own), ListedChat(text))

    assert plain == "max_iter_exhausted"
    assert [finding.code for finding in without.attempts[0].findings] == ["ambiguous"]
    assert bytes(without.attempts[0].artifact) == b"null"
    assert verdict == "accepted"
    assert progress.attempts[0].thinking == '{"city": "Bern"}'


def test_an_ambiguous_answer_is_told_and_asked_again():
    """The model hears that one answer is wanted."""
    chat = ListedChat(f'{GOOD} or {{"city": "Bern"}}', GOOD)

    verdict, progress = run(task_of(), chat)

    assert verdict == "accepted"
    assert progress.attempts[0].findings[0].code == "ambiguous"
    assert "one answer" in (progress.attempts[1].told or "")


def test_the_schema_is_handed_over_only_when_asked_for():
    """`constrain: off` never shows the model a schema; validation happens either way."""
    free, constrained = ListedChat(GOOD), ListedChat(GOOD)

    run(task_of(constrain="off"), free)
    run(task_of(), constrained)

    assert bytes(free.requests[0].schema) == b"null"
    assert json.loads(bytes(constrained.requests[0].schema))["required"] == ["city"]


def test_each_attempt_is_the_parent_of_its_model_call():
    """The attempt's span id is the one its call carried, and all differ."""
    chat = ListedChat("one", "two", GOOD)
    task = task_of()

    _, progress = run(task, chat)

    spans = [attempt.span_id for attempt in progress.attempts]
    assert spans == [context.span_id for context in chat.contexts]
    assert len(set(spans)) == 3
    assert all(context.trace_id == task.context.trace_id for context in chat.contexts)
    assert all(context.parent_span_id == task.context.span_id for context in chat.contexts)


def test_the_callers_messages_are_never_changed():
    """Every conversation begins with what the caller sent, whatever happened in between."""
    given_messages = (
        Message("user", "first"),
        Message("assistant", "ok"),
        Message("user", "second"),
    )
    chat = ListedChat("one", "two", "three")

    run(task_of(prompt=None, messages=given_messages, system="Be terse."), chat)

    for request in chat.requests:
        assert request.messages[:4] == (Message("system", "Be terse."), *given_messages)


@given(st.lists(st.sampled_from(["x", "y", BAD, GOOD, "", "{"]), min_size=10, max_size=10))
def test_a_session_is_bounded_and_ends_with_the_first_good_answer(texts):
    """At most `max_iterations` calls; nothing after an accepted answer; iterations count up."""
    chat = ListedChat(*texts)

    verdict, progress = run(task_of(max_iterations=10), chat)

    assert len(chat.requests) == len(progress.attempts) <= 10
    assert [a.iteration for a in progress.attempts] == list(range(len(progress.attempts)))
    assert (verdict == "accepted") == (progress.attempts[-1].outcome == "accepted")
    assert all(a.outcome == "rejected" for a, _ in pairwise(progress.attempts))


def raw(text: str):
    return msgspec.Raw(text.encode())


def test_a_finish_reason_of_tomorrow_is_kept_and_judged_as_any_other():
    """The answer counts by what it holds."""
    later = msgspec.structs.replace(answer(GOOD), finish_reason="of_tomorrow")

    verdict, progress = run(task_of(), ListedChat(later))

    assert verdict == "accepted"
    assert [attempt.finish_reason for attempt in progress.attempts] == ["of_tomorrow"]
