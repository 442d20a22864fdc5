"""What the client matrix expects keeps the door's promises, and covers every cell."""

import json
import re
import subprocess
import sys

from clients import __main__ as command
from clients.environments import ROOT, VERSIONS, pinned
from clients.matrix import Table
from clients.situations import CLIENTS, SITUATIONS, cells

EXPECTED: Table = json.loads(command.EXPECTED.read_text("utf-8"))
ACCEPTED = {"accepted", "second_try"}
NUMBER = r"\d+(\.\d+)+"


def expected(*situations: str) -> list[str]:
    return [told for row in EXPECTED.values() for name, told in row.items() if name in situations]


def test_there_is_one_expected_outcome_for_each_cell():
    """No more and no fewer; and every client asks in every way, streamed and not."""
    asked = cells()
    assert len({(cell.row, cell.situation.name) for cell in asked}) == len(asked)
    assert {row: set(told) for row, told in EXPECTED.items()} == {
        cell.row: {one.situation.name for one in asked if one.row == cell.row} for cell in asked
    }
    assert {cell.client for cell in asked if cell.streamed} == set(CLIENTS)


def test_an_accepted_session_gives_every_client_its_object_at_once():
    """One session each."""
    assert set(expected(*ACCEPTED)) == {"parsed"}


def test_no_failure_is_ever_an_object_nor_nothing():
    """Each is an exception of the client: an empty success would be a `NoObject`."""
    told = expected(*{one.name for one in SITUATIONS} - ACCEPTED)
    assert len(told) > 400
    assert [
        one for one in told if re.match("parsed|NoObject|no outcome|ValidationError", one)
    ] == []


def test_no_client_repeats_what_is_final():
    """An exhausted session, told before the stream or in it, and a wrong key."""
    told = expected("exhausted", "exhausted_late", "wrong_key")
    assert [one for one in told if "×" in one] == []


def test_an_idempotency_key_makes_one_session_of_a_client_s_repetitions():
    """Some clients do repeat a final 504."""
    assert [one for one in expected("timeout") if "×" in one] != []
    assert [one for one in expected("timeout_keyed") if "×" in one] == []


def test_every_client_has_an_exact_version():
    """And the file names no index."""
    versions = pinned()
    environments = {client.environment for client in CLIENTS}
    assert {*versions.python, "node"} == environments
    pins = [pin for pins in versions.python.values() for pin in pins]
    assert [pin for pin in pins if not re.fullmatch(rf"[a-z\[\]-]+=={NUMBER}", pin)] == []
    assert [one for one in versions.node.values() if not re.fullmatch(NUMBER, one)] == []
    assert "//" not in VERSIONS.read_text("utf-8")


def test_the_page_shows_what_is_expected():
    """`python tools/build_clients.py` would change nothing."""
    done = subprocess.run(
        [sys.executable, "tools/build_clients.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
