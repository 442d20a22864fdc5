"""What holds for every test: signals as a terminal's foreground has them.

`nohup` and a shell's background switch SIGHUP and SIGINT off, and every child inherits that: tests
that send them would then wait for processes that do not hear.
"""

import signal

signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
