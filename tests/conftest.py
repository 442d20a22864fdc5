"""What holds for every test: signals as in a terminal's foreground, and no clock for examples.

`nohup` and a shell's background switch SIGHUP and SIGINT off, and every child inherits that: tests
that send them would then wait for processes that do not hear. A busy machine takes as long as it
likes for an example: Hypothesis's own limit of 200 ms would fail tests there.
"""

import signal

from hypothesis import HealthCheck, settings

signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
