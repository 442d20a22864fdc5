"""A program that claims idempotency keys and runs a session for each that has no row yet.

Reads the number of a key from each line of stdin, and answers `answered KEY SESSION ROW` once the
key's row is in the log, from any process. In between it says `running KEY` while it holds the key
with its started line written: the moment at which a kill hurts most. Each is one write.

Usage: python claimant.py LOG [--begin-s S] [--session-s S] [--mutation NAME]
"""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from faults.mutations import apply_mutation
from lakehouse.core.ids import new_id
from lakehouse.core.row import IDEMPOTENCY_KEY
from lakehouse.sessionlog.keyed import Claim, KeyStore
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from support.rows import make_row, make_started

POLL_S = 0.002


def tell(text: str) -> None:
    """Say it in one write, past every buffer."""
    os.write(1, f"{text}\n".encode())


def wait_for(store: KeyStore, key: str) -> Claim:
    """Claim a key as soon as nobody else holds it."""
    while True:
        claim = store.claim(key, body=f"body of {key}", session_id=new_id(), row_id=new_id())
        if claim is not None:
            return claim
        time.sleep(POLL_S)


def run(writer: SessionLogWriter, claim: Claim, key: str, session_s: float) -> None:
    """Write a session as a door does."""
    metadata = {IDEMPOTENCY_KEY: claim.name}
    row = make_row(session_id=claim.session_id, row_id=claim.row_id, metadata=metadata)
    writer.started(make_started(row))
    tell(f"running {key}")
    time.sleep(session_s)
    asyncio.run(writer.append(row))


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("log", type=Path)
    parser.add_argument("--begin-s", type=float, default=0)
    parser.add_argument("--session-s", type=float, default=0.01)
    parser.add_argument("--mutation", action="append", default=[])
    arguments = parser.parse_args()
    for name in arguments.mutation:
        apply_mutation(name)
    writer = SessionLogWriter.open(arguments.log, daemon="validatord")
    store = KeyStore(arguments.log)
    for line in sys.stdin:
        key = line.strip()
        with wait_for(store, key) as claim:
            if claim.row is None:
                assert not claim.running, "the only one that runs a session holds its key"
                time.sleep(arguments.begin_s)
                run(writer, claim, key, arguments.session_s)
            tell(f"answered {key} {claim.session_id} {claim.row_id}")


if __name__ == "__main__":
    main()
