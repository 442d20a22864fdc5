"""The budget of calls that are made again, and how long each one waits."""

import random

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.chatd.lane import RetryBudget, backoff_ms
from lakehouse.core.limits import RETRY_BACKOFF_MS_MAX, RETRY_BUDGET_MIN


def test_a_few_retries_are_always_allowed() -> None:
    """With hardly any calls the budget is its minimum."""
    budget = RetryBudget()
    budget.count_call(0)
    assert [budget.take(0) for _ in range(5)] == [True] * RETRY_BUDGET_MIN + [False, False]


def test_the_budget_is_a_tenth_of_the_last_minute() -> None:
    """A hundred calls allow ten retries, and a minute later none of both counts."""
    budget = RetryBudget()
    for number in range(100):
        budget.count_call(number * 10)
    assert [budget.take(1_000) for _ in range(11)].count(True) == 10
    assert [budget.take(62_000) for _ in range(4)].count(True) == RETRY_BUDGET_MIN


@given(st.lists(st.tuples(st.integers(0, 30_000), st.booleans()), max_size=300))
def test_no_minute_has_more_retries_than_the_budget(events: list[tuple[int, bool]]) -> None:
    """However calls and retries come, every window of whole seconds keeps to the share."""
    budget = RetryBudget()
    now_ms = 5_000_000
    calls: list[int] = []
    retries: list[int] = []
    for pause_ms, is_call in events:
        now_ms += pause_ms
        second = now_ms // 1000
        if is_call:
            budget.count_call(now_ms)
            calls.append(second)
        taken = budget.take(now_ms)
        recent_calls = sum(second - 60 < at <= second for at in calls)
        recent_retries = sum(second - 60 < at <= second for at in retries)
        assert taken == (recent_retries + 1 <= max(RETRY_BUDGET_MIN, 0.1 * recent_calls))
        if taken:
            retries.append(second)


@given(st.integers(0, 10), st.integers())
def test_jitter_is_full_and_capped(retries: int, seed: int) -> None:
    """Between nothing and a ceiling that doubles up to the cap."""
    delay_ms = backoff_ms(retries, None, random.Random(seed))
    assert 0 <= delay_ms <= min(RETRY_BACKOFF_MS_MAX, 500 * 2 ** (retries + 1))


@given(st.floats(-1e6, 1e6), st.integers())
def test_what_the_provider_asked_for_is_never_undercut(after_s: float, seed: int) -> None:
    """`Retry-After` is the least; a negative one is nothing."""
    delay_ms = backoff_ms(0, after_s, random.Random(seed))
    assert max(0.0, after_s) * 1000 <= delay_ms <= max(0.0, after_s) * 1000 + 500
