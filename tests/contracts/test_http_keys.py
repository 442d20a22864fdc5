"""Keys at the public door, over raw sockets: where they count, and what is told without one."""

import json
from collections.abc import Iterator

import pytest

from lakehouse.gateway.auth import new_key
from support.raw_caller import BODY, CHUNKED, Caller, chunk, live, status_of
from support.stack import SCRIPTED, running_stack


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, bytes]]:
    """A stack with keys, and a field that holds a valid one."""
    directory, key = tmp_path_factory.mktemp("guarded"), new_key("test")
    (directory / "script.json").write_text('{"matches": {"": ["{}"]}}')
    config = SCRIPTED + '[gateway]\napi_keys_env = "KEYS"\n'
    with running_stack(
        directory, config, apart=False, environment={"KEYS": key.entry}
    ) as processes:
        yield processes["gateway"].port, f"Authorization: Bearer {key.secret}\r\n".encode()


@pytest.mark.parametrize("name", [b"Authorization", b"authorization", b"AUTHORIZATION"])
def test_a_trailer_authorizes_nothing(name: bytes, guarded: tuple[int, bytes]) -> None:
    """Neither its own request nor the next one of the connection."""
    port, field = guarded
    trailer = name + field[len(b"Authorization") :]
    with Caller(port) as caller:
        caller.send(CHUNKED + chunk(BODY) + b"0\r\n" + trailer + b"\r\n")
        assert status_of(caller) == 401
        caller.send(live(line=b"GET /v1/kinds HTTP/1.1"))
        assert status_of(caller) == 401
        caller.send(live(line=b"GET /v1/kinds HTTP/1.1", extra=field))
        assert status_of(caller) == 200


def test_readiness_names_models_to_key_holders_only(guarded: tuple[int, bytes]) -> None:
    """A probe without a key learns whether it is ready, and how many models are in which state."""
    port, field = guarded
    with Caller(port) as caller:
        told = []
        for extra in (b"", b"Authorization: Bearer wrong\r\n", field):
            caller.send(live(line=b"GET /readyz HTTP/1.1", extra=extra))
            reply = caller.read()
            assert reply is not None
            assert reply.status == 200
            told.append(json.loads(reply.body))
    assert told[0] == told[1]
    assert told[0] == {
        "ready": True,
        "log": "writable",
        "config": "current",
        "config_reason": None,
        "workers": None,
        "states": {"ready": 1},
        "models": None,
    }
    assert [model["name"] for model in told[2]["models"]] == ["small"]
