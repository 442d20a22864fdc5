"""The circuit breaker: when it opens, what it refuses meanwhile, and how it closes again."""

from lakehouse.chatd.breaker import Breaker
from lakehouse.core.limits import BREAKER_FAILURES_MAX, BREAKER_OPEN_MS


def opened(at_ms: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(BREAKER_FAILURES_MAX):
        breaker.enter()
        breaker.failed(at_ms)
    return breaker


def test_stays_closed_below_the_limit() -> None:
    """One failure less than the limit changes nothing."""
    breaker = Breaker()
    for _ in range(BREAKER_FAILURES_MAX - 1):
        breaker.failed(0)
    assert breaker.closed
    assert breaker.refusal_ms(0) is None


def test_only_failures_in_a_row_open_it() -> None:
    """A success in between starts the count anew."""
    breaker = Breaker()
    for _ in range(3):
        for _ in range(BREAKER_FAILURES_MAX - 1):
            breaker.failed(0)
        breaker.succeeded()
    assert breaker.closed


def test_refuses_for_its_period_and_then_lets_one_probe_through() -> None:
    """Half open, exactly one call may go; the others are still refused."""
    breaker = opened()
    assert breaker.refusal_ms(0) == BREAKER_OPEN_MS
    assert breaker.refusal_ms(BREAKER_OPEN_MS - 1) == 1
    assert breaker.refusal_ms(BREAKER_OPEN_MS) is None
    breaker.enter()
    assert breaker.refusal_ms(BREAKER_OPEN_MS) == 0


def test_a_probe_decides() -> None:
    """Success closes; failure opens for another period; an abandoned probe lets another go."""
    breaker = opened()
    breaker.enter()
    breaker.failed(BREAKER_OPEN_MS)
    assert breaker.refusal_ms(BREAKER_OPEN_MS + 1) == BREAKER_OPEN_MS - 1
    breaker.enter()
    breaker.abandoned()
    assert breaker.refusal_ms(2 * BREAKER_OPEN_MS) is None
    breaker.enter()
    breaker.succeeded()
    assert breaker.closed
