"""What the client matrix expects keeps the door's promises, and covers every cell."""

import json
import re

from clients import __main__ as command
from clients.environments import VERSIONS, pinned
from clients.matrix import NAMED, Table
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
        cell.row: {NAMED} | {one.situation.name for one in asked if one.row == cell.row}
        for cell in asked
    }
    assert {cell.client for cell in asked if cell.streamed} == set(CLIENTS)


def test_an_accepted_session_gives_every_client_its_object_at_once():
    """One session each."""
    assert set(expected(*ACCEPTED)) == {"parsed"}


def test_no_failure_is_ever_an_object_nor_nothing():
    """Each is an exception of the client: an empty success would be a `NoObject`."""
    told = expected(*{one.name for one in SITUATIONS} - ACCEPTED - {"no_kind"})
    assert len(told) > 400
    assert [
        one for one in told if re.match("parsed|NoObject|no outcome|ValidationError", one)
    ] == []


def test_no_client_repeats_what_is_final():
    """An exhausted session, told before the stream or in it."""
    assert [one for one in expected("exhausted", "exhausted_late") if "×" in one] == []


def test_a_refused_request_leaves_no_row():
    """However often a client repeats it."""
    assert [one for one in expected("over_limit", "wrong_key") if not one.endswith(" ×0")] == []


def test_without_a_kind_the_client_s_schema_is_the_contract():
    """A client that sends none is refused."""
    for row, told in EXPECTED.items():
        asks_for_nothing = row.removesuffix(", streamed").endswith(" text")
        seen = told["no_kind"]
        assert seen.endswith("400 no_contract ×0") if asks_for_nothing else seen == "parsed", row


def test_what_may_pass_is_repeated_as_the_page_says():
    """LangChain.js has seven sessions of a call, all others three."""
    for row, told in EXPECTED.items():
        times = "×7" if row.startswith("LangChain.js") else "×3"
        assert {told[name].rpartition(" ")[2] for name in ("down", "loading")} == {times}, row


def test_a_final_failure_is_repeated_by_two_clients_only():
    """The page says by which."""
    repeated = {"LangChain.js": "×7", "AI SDK with openai": "×3"}
    repeated |= {"AI SDK with openai-compatible": "×3"}
    for row, told in EXPECTED.items():
        times = repeated.get(row.partition(" | ")[0], "timeout")
        assert told["timeout"].rpartition(" ")[2] == times, row


def test_rows_name_the_client_and_its_version():
    """By its own headers, in every way of asking."""
    for row, told in EXPECTED.items():
        assert re.fullmatch(r"[\w@/-]+ \d+(\.\d+)?", told[NAMED]), (row, told[NAMED])


def test_an_idempotency_key_makes_one_session_of_a_client_s_repetitions():
    """Of those too that repeat a final 504."""
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
