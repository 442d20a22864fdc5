"""Clients over HTTP when the gateway, the way to it, or the key is not as it should be."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

import lakehouse
from lakehouse import Reject, Rule
from lakehouse.core.limits import MESSAGES_MAX
from lakehouse.gateway.auth import new_key
from support.python_client import rows_in
from support.stack import SCRIPTED, Process, free_port, running_stack

KEY = new_key("me")
CONFIG = SCRIPTED + '[gateway]\napi_keys_env = "KEYS"\n'
PROMPT = "VY3901 delayed 25 minutes"


class Flight(msgspec.Struct):
    flight: str


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Process]:
    (tmp_path / "script.json").write_text(
        json.dumps(
            {
                "matches": {
                    "slow": [{"text": '{"flight":"VY1"}', "delay_ms": 700}],
                    "twice": ["no JSON", '{"flight":"VY1"}'],
                    ".": ['{"flight":"VY1"}'],
                }
            }
        )
    )
    with running_stack(tmp_path, CONFIG, apart=False, environment={"KEYS": KEY.entry}) as stack:
        yield stack["gateway"]


def test_a_gateway_that_is_gone_at_a_further_attempt_ends_the_call(
    gateway: Process, tmp_path: Path
) -> None:
    """What was answered before is in the session that hooks see."""
    sessions: list[Any] = []
    with lakehouse.connect(gateway.url, api_key=KEY.secret) as lake:
        lake.on("session", sessions.append)

        @lake.check(Flight)
        def stops_it(flight: Flight) -> None:
            gateway.stop()
            raise Reject("/flight", "is not it")

        with pytest.raises(lakehouse.InfraError) as raised:
            lake.create(Flight, PROMPT)

    (session,) = sessions
    assert raised.value.code == "connect"
    assert raised.value.session_id == session.session_id
    assert (session.verdict, session.iterations) == ("infra_error", 1)
    assert [one.path for one in session.findings] == ["/flight"]
    assert len(rows_in(tmp_path)) == 1


def test_a_further_attempt_that_is_refused_ends_the_call(gateway: Process) -> None:
    """The conversation had as many messages as are allowed; the findings are one more."""
    messages = [{"role": "user", "content": PROMPT}] * MESSAGES_MAX
    with lakehouse.connect(gateway.url, api_key=KEY.secret) as lake:

        @lake.check(Flight)
        def never(flight: Flight) -> None:
            raise Reject("/flight", "is not it")

        with pytest.raises(lakehouse.InfraError, match="refused a further attempt") as raised:
            lake.create(Flight, messages)

    assert (raised.value.code, raised.value.retryable) == ("upstream_status", False)
    assert f"`messages` has {MESSAGES_MAX + 1} entries" in str(raised.value)


def test_nobody_there_is_told_at_the_first_call() -> None:
    with lakehouse.connect(f"http://127.0.0.1:{free_port()}") as lake:
        for ask in (lambda: lake.create(Flight, PROMPT), lake.kinds, lake.models):
            with pytest.raises(lakehouse.InfraError, match="No gateway answers") as raised:
                ask()
            assert raised.value.code == "connect"
            assert "start a gateway" in raised.value.hint
            assert "--url" not in str(raised.value)


@pytest.mark.parametrize("key", [None, "lh_wrong"])
def test_a_key_that_is_missing_or_wrong_is_refused(gateway: Process, key: str | None) -> None:
    with (
        lakehouse.connect(gateway.url, api_key=key) as lake,
        pytest.raises(lakehouse.Refused, match="requires an API key") as raised,
    ):
        lake.create(Flight, PROMPT)

    assert raised.value.code == "unauthorized"
    assert "api_key=" in raised.value.hint


@pytest.mark.parametrize("more", ["", "/", "/v1", "/v1/"])
def test_the_address_of_other_clients_is_taken_too(gateway: Process, more: str) -> None:
    with lakehouse.connect(gateway.url + more, api_key=KEY.secret) as lake:
        assert lake.create(Flight, PROMPT).flight == "VY1"


@pytest.mark.parametrize(
    ("url", "key", "told"),
    [
        ("localhost:4110", None, "URL is invalid"),
        ("ftp://localhost", None, "URL is invalid"),
        (None, None, "URL is None; it must be a text"),
        (4110, None, "URL is 4110; it must be a text"),
        ("http://localhost", b"key", "API key is of the type bytes; it must be a text"),
        ("http://u:p4ss@localhost", None, "URL is invalid"),
        ("http://localhost:4110", "a\nb", "not allowed in a key"),
        ("http://localhost:4110", "", "is empty"),
    ],
)
def test_an_address_or_a_key_that_cannot_be_used(url: Any, key: Any, told: str) -> None:
    for connect in (lakehouse.connect, lakehouse.connect_async):
        with pytest.raises(lakehouse.SetupError, match=told) as raised:
            connect(url, api_key=key)
        assert "p4ss" not in str(raised.value)


def test_a_rule_in_sql_is_refused_before_any_call() -> None:
    """It runs where the tables are."""

    ruled = Annotated[Flight, Rule("SELECT $flight = 'VY1'", "there is no such flight")]

    with (
        lakehouse.connect(f"http://127.0.0.1:{free_port()}") as lake,
        pytest.raises(lakehouse.Refused, match=r"lakehouse\.open\(\).*kind") as raised,
    ):
        lake.create(ruled, PROMPT)

    assert raised.value.code == "invalid_request"


def test_a_client_that_was_closed_says_so(gateway: Process) -> None:
    lake = lakehouse.connect(gateway.url, api_key=KEY.secret)
    lake.close()
    with pytest.raises(lakehouse.SetupError, match="is closed"):
        lake.create(Flight, PROMPT)
