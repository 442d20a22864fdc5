"""The suite is only as good as what it catches: every bug of the list is planted somewhere."""

from faults import test_keys, test_kill, test_power_loss, test_short_write, test_system_calls
from faults.mutations import names


def test_every_bug_is_planted_in_a_scenario_that_must_catch_it():
    """More, of the compactor and of readers, are planted in tests of their own."""
    planted = {bug for bugs in test_kill.BUGS for bug in bugs.values()}
    planted |= {bug for bug, _ in test_power_loss.BUGS}
    planted |= {*test_keys.BUGS}
    planted |= {*test_short_write.BUGS, *test_system_calls.BUGS}
    assert planted == set(names())
    assert len(planted) >= 12
