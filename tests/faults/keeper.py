"""A program that seals, compacts and forgets, again and again, as an operator does.

Prints `compacted ROWS` for each call that moved rows, and for each session that it is told on
stdin (`SESSION_ID`, one a line) `forgot SESSION_ID` once nothing shows it any more.

Usage: python keeper.py LOG
"""

import os
import select
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from lakehouse.sessionlog.keeping.compaction import compact
from lakehouse.sessionlog.keeping.forgetting import forget
from lakehouse.sessionlog.keeping.sealing import seal


def main() -> None:
    """Keep the log until stdin ends."""
    root = Path(sys.argv[1])
    rest = b""
    while True:
        seal(root, wait_s=30)
        if (rows := compact(root, wait_s=30).rows) > 0:
            os.write(1, f"compacted {rows}\n".encode())
        if not select.select([0], [], [], 0.05)[0]:
            continue
        if not (piece := os.read(0, 1 << 16)):
            return
        *asked, rest = (rest + piece).split(b"\n")
        for session_id in map(bytes.decode, asked):
            forget(root, session_id, wait_s=30)
            os.write(1, f"forgot {session_id}\n".encode())


if __name__ == "__main__":
    main()
