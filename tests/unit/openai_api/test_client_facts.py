"""What a row says of the client, by headers that anybody may write."""

import pytest

from lakehouse.openai_api.client_facts import client_facts

LANG, VERSION, RETRY = (
    f"x-stainless-{name}" for name in ("lang", "package-version", "retry-count")
)


@pytest.mark.parametrize(
    ("headers", "client"),
    [
        ({LANG: "python", VERSION: "3.57.0"}, "openai-python 3.57"),
        ({LANG: "js", VERSION: "7.59.0"}, "openai-node 7.59"),
        ({LANG: "go", VERSION: "v2"}, None),
        ({LANG: "python", VERSION: "", "user-agent": "x/1.2.3"}, "x 1.2"),
        ({"user-agent": "ai-sdk/openai/2.0.1 runtime/node"}, "ai-sdk/openai 2.0"),
        ({"user-agent": "@scope/name/4"}, "@scope/name 4"),
        ({"user-agent": "curl/8.9.1"}, "curl 8.9"),
        ({"user-agent": "no version here"}, "no"),
        ({"user-agent": "a\x1b[31mb/1.0"}, None),
        ({"user-agent": "x" * 5_000}, "x" * 100),
        ({LANG: "y" * 5_000, VERSION: "1.0"}, f"openai-{'y' * 100} 1.0"),
        ({}, None),
    ],
)
def test_a_client_is_named_shortly(headers, client):
    facts = dict(client_facts({name: [value] for name, value in headers.items()}))

    assert facts.get("client") == client


@pytest.mark.parametrize(
    ("count", "told"),
    [("1", "1"), ("2", "2"), ("999", "999")]
    + [(text, None) for text in ("0", "00", "-1", "1000", "²", "٣", "1.0", "", "one", "1e2")],
)
def test_repetitions_are_counted_from_one(count, told):
    assert dict(client_facts({RETRY: [count]})).get("client_retry") == told
