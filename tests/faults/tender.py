"""A program that reaps and seals a log, again and again, as other daemons do.

Usage: python tender.py LOG [--rounds N] [--mutation NAME]
"""

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from faults.mutations import apply_mutation
from lakehouse.core.errors import LakehouseError
from lakehouse.sessionlog.keeping.sealing import seal


def main() -> None:
    """Tend until the rounds are over; prints `sealed N reaped N` for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("log", type=Path)
    parser.add_argument("--rounds", type=int, default=1_000_000)
    parser.add_argument("--mutation", action="append", default=[])
    arguments = parser.parse_args()
    for name in arguments.mutation:
        apply_mutation(name)
    for _ in range(arguments.rounds):
        try:
            done = seal(arguments.log)
            os.write(1, f"sealed {len(done.sealed)} reaped {len(done.reaped)}\n".encode())
        except (OSError, LakehouseError) as error:
            os.write(2, f"{error}\n".encode())
        time.sleep(0.002)


if __name__ == "__main__":
    main()
