"""A program that compacts a log again and again. Usage: python compactor.py LOG [--bug NAME]"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from lakehouse.core.errors import LakehouseError
from lakehouse.lake import compaction

SEGMENTS_AT_ONCE_BYTES = 400_000  # so that there are many commits to be killed in


def main() -> None:
    """Compact until it is killed; prints what each call did."""
    parser = argparse.ArgumentParser()
    parser.add_argument("log", type=Path)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--bug", choices=["no_transaction_check", "no_look_at_the_table"])
    arguments = parser.parse_args()
    compaction._PLAN_BYTES_MAX = SEGMENTS_AT_ONCE_BYTES
    if arguments.bug == "no_transaction_check":
        compaction._done = lambda table, identity: 0
        compaction._known = lambda root, plan, table: set()
    if arguments.bug == "no_look_at_the_table":
        compaction._known = lambda root, plan, table: set()
    os.write(1, b"begins\n")
    while True:
        try:
            done = compaction.compact(arguments.log, retention_h=0, wait_s=30)
            os.write(1, f"rows {done.rows} commits {done.commits}\n".encode())
        except LakehouseError as error:
            os.write(2, f"{error}\n".encode())
        if arguments.once:
            return


if __name__ == "__main__":
    main()
