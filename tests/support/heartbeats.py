"""Runs a `lakehouse` command with streams that give a sign of life at another interval.

Called with the interval in milliseconds, then the command as tests run it: python -m lakehouse …
"""

import functools
import sys

from lakehouse.cli.main import main
from lakehouse.openai_api import door
from lakehouse.openai_api.held_stream import StreamTimes


def run() -> None:
    interval_ms, command = int(sys.argv[1]), sys.argv[2:]
    assert command[1:3] == ["-m", "lakehouse"]
    patched = functools.partial(StreamTimes, heartbeat_ms=interval_ms)
    setattr(door, "StreamTimes", patched)  # noqa: B010  a type for a maker of its values
    sys.argv = ["lakehouse", *command[3:]]
    main()


if __name__ == "__main__":
    run()
