"""API keys: what opens the door, and what does not."""

import pytest

from lakehouse.core.errors import Refusal, SetupError
from lakehouse.gateway.auth import KeyRing, new_key


def headers(*values: str) -> dict[str, list[str]]:
    return {"authorization": list(values)} if values else {}


def test_a_new_key_opens_the_door_it_was_made_for():
    """The secret goes with the entry; another secret does not."""
    key, other = new_key("billing"), new_key("billing")
    ring = KeyRing.parse(key.entry, variable="$K")

    ring.authorize(headers(f"Bearer {key.secret}"))
    ring.authorize(headers(f"bearer {key.secret}"))
    with pytest.raises(Refusal) as caught:
        ring.authorize(headers(f"Bearer {other.secret}"))
    assert caught.value.status == 401
    assert key.secret not in key.entry


@pytest.mark.parametrize("values", [(), ("",), ("Basic eA==",), ("Bearer",), ("Bearer é",)])
def test_refusals_are_all_alike(values):
    """No key, a wrong scheme, an empty or strange key: one and the same answer."""
    ring = KeyRing.parse(new_key("a").entry, variable="$K")
    with pytest.raises(Refusal) as caught:
        ring.authorize(headers(*values))

    assert (caught.value.code, caught.value.public) == (
        "unauthorized",
        "A valid API key is needed.",
    )


def test_two_authorization_fields_are_none():
    """A proxy that adds one of its own must not open the door."""
    key = new_key("a")
    ring = KeyRing.parse(key.entry, variable="$K")
    with pytest.raises(Refusal):
        ring.authorize(headers(f"Bearer {key.secret}", f"Bearer {key.secret}"))


def test_every_entry_of_the_list_counts():
    """Several keys, white space and a trailing comma."""
    first, second = new_key("a"), new_key("b")
    ring = KeyRing.parse(f" {first.entry} , {second.entry},", variable="$K")

    ring.authorize(headers(f"Bearer {first.secret}"))
    ring.authorize(headers(f"Bearer {second.secret}"))


@pytest.mark.parametrize("text", ["", "  ,", "a:b", "a:" + "0" * 63, "a b:" + "0" * 64])
def test_a_malformed_variable_stops_the_start(text):
    """Its name is told, its value never."""
    with pytest.raises(SetupError) as caught:
        KeyRing.parse(text, variable="$LAKEHOUSE_API_KEYS")

    assert "$LAKEHOUSE_API_KEYS" in caught.value.public
    assert "0" * 63 not in caught.value.public


def test_a_key_name_is_checked():
    """A comma or colon in it would change the list."""
    with pytest.raises(SetupError):
        new_key("a,b")
