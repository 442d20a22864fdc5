"""A program that compacts a log again and again. Usage: python compactor.py LOG [--bug NAME]

With `--once` it compacts once, then forgets the session that `--forget` names, and ends.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from lakehouse.core.errors import LakehouseError
from lakehouse.sessionlog.keeping import compaction, durability
from lakehouse.sessionlog.keeping.forgetting import forget

SEGMENTS_AT_ONCE_BYTES = 400_000  # so that there are many commits to be killed in


BUGS = ["no_transaction_check", "no_look_at_the_table", "marked_before_synced", "never_synced"]


def mark_before_sync() -> None:
    """Plant a bug: the mark says that a version is durable, and then it becomes so."""
    real = durability._adopt

    def adopt(table: Path, commits: list[Any], version: int) -> None:
        durability._mark(table, version)
        real(table, commits, version)

    durability._adopt = adopt


def mark_only() -> None:
    """Plant a bug: the mark says that a version is durable, and nobody sees to it."""
    durability._adopt = lambda table, commits, version: durability._mark(table, version)


def main() -> None:
    """Compact until it is killed; prints what each call did."""
    parser = argparse.ArgumentParser()
    parser.add_argument("log", type=Path)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--forget", metavar="SESSION_ID")
    parser.add_argument("--plan-bytes", type=int, default=SEGMENTS_AT_ONCE_BYTES)
    parser.add_argument("--bug", choices=BUGS)
    arguments = parser.parse_args()
    setattr(compaction, "_PLAN_BYTES_MAX", arguments.plan_bytes)  # noqa: B010 - it is Final
    if arguments.bug == "no_transaction_check":
        compaction._done = lambda table, identity: 0
        compaction._known = lambda root, plan, table: set()
    if arguments.bug == "no_look_at_the_table":
        compaction._known = lambda root, plan, table: set()
    if arguments.bug == "marked_before_synced":
        mark_before_sync()
    if arguments.bug == "never_synced":
        mark_only()
    os.write(1, b"begins\n")
    while True:
        try:
            done = compaction.compact(arguments.log, retention_h=0, wait_s=30)
            os.write(1, f"rows {done.rows} commits {done.commits}\n".encode())
        except LakehouseError as error:
            os.write(2, f"{error}\n".encode())
        if arguments.once:
            break
    if arguments.forget:
        forget(arguments.log, arguments.forget)
        os.write(1, f"forgot {arguments.forget}\n".encode())


if __name__ == "__main__":
    main()
