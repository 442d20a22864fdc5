"""What a web page can do through the browser of somebody who runs a stack: nothing, unless allowed.

What browsers send is written out here; the daemons are real ones.
"""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.gateway.auth import new_key
from support.stack import SCRIPTED, Answer, Process, call, running_stack

PAGE = "https://app.example"
CONFIG = SCRIPTED + f'[gateway]\nallowed_origins = ["{PAGE}"]\n'
ASK = json.dumps({"schema": {"type": "object"}, "prompt": "secret"}).encode()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Process]]:
    directory = tmp_path_factory.mktemp("pages")
    (directory / "script.json").write_text('{"matches": {"": ["{}"]}}')
    with running_stack(directory, CONFIG, apart=True) as processes:
        yield processes


@pytest.fixture
def port(stack: dict[str, Process]) -> int:
    return stack["gateway"].port


def ask(port: int, method: str, path: str, **headers: str) -> Answer:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    body = ASK if method == "POST" else None
    if body is not None and "Content-Type" not in fields:
        fields["Content-Type"] = "application/json"
    return call(port, method, path, body, fields)


def sessions(port: int) -> int:
    return len(call(port, "GET", "/v1/sessions?limit=200").json()["sessions"])


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", None])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", PAGE])
def test_a_post_without_a_preflight_runs_no_session(
    port: int, origin: str, media_type: str | None
) -> None:
    """A form or a `no-cors` fetch; an allowed page must send JSON, and so must be asked for."""
    before = sessions(port)
    connection_headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    if media_type is not None:
        connection_headers["Content-Type"] = media_type
    answer = raw_post(port, connection_headers)
    assert answer == (415 if origin == PAGE else 400)
    assert sessions(port) == before


def raw_post(port: int, headers: dict[str, str]) -> int:
    """Post with just these headers; `http.client` would not add a Content-Type to bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/v1/iterate", body=ASK, headers=headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def test_no_content_type_is_taken_from_programs_only(port: int) -> None:
    """A page of the daemon's own origin must say it too: an origin alone is no proof of JSON."""
    assert raw_post(port, {}) == 200
    assert raw_post(port, {"Origin": f"http://127.0.0.1:{port}"}) == 415
    assert raw_post(port, {"Sec-Fetch-Site": "same-origin"}) == 415


@pytest.mark.parametrize("role", ["gateway", "validatord", "chatd"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:4110"},
        {"Host": "localhost.evil.example"},
        {"Host": "0.0.0.0"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
    ],
)
def test_every_door_is_shut_on_every_route(
    stack: dict[str, Process], role: str, headers: dict[str, str]
) -> None:
    """Reading is refused as running is: names rebound to loopback read prompts else."""
    port = stack[role].port
    for path in ("/v1/models", "/v1/sessions", "/livez", "/readyz", "/metrics", "/openapi.json"):
        answer = ask(port, "GET", path, **headers)
        told = answer.json()
        code = told.get("error", told)["code"]  # `/v1/models` tells errors as OpenAI does
        assert (answer.status, code) == (400, "invalid_request"), path
        assert "access-control-allow-origin" not in answer.headers
    route = "/v1/chat" if role == "chatd" else "/v1/iterate"
    assert ask(port, "POST", route, **headers).status == 400
    assert ask(port, "GET", "/livez").status == 200


def test_the_inner_doors_allow_no_page(stack: dict[str, Process]) -> None:
    """`allowed_origins` is the gateway's."""
    for role in ("validatord", "chatd"):
        assert ask(stack[role].port, "GET", "/livez", Origin=PAGE).status == 400


def test_an_allowed_page_asks_first_and_then_reads(port: int) -> None:
    """The preflight names what may be sent; errors can be read too, and ids."""
    preflight = ask(
        port,
        "OPTIONS",
        "/v1/iterate",
        Origin=PAGE,
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="content-type",
    )
    assert preflight.status == 204
    assert preflight.body == b""
    assert preflight.headers["access-control-allow-origin"] == PAGE
    assert preflight.headers["access-control-allow-methods"] == "POST"
    assert "content-type" in preflight.headers["access-control-allow-headers"]
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in preflight.headers

    answer = ask(port, "POST", "/v1/iterate", Origin=PAGE, Sec_Fetch_Site="cross-site")
    assert (answer.status, answer.json()["verdict"]) == (200, "accepted")
    for read in (answer, ask(port, "GET", "/v1/nothing", Origin=PAGE)):
        assert read.headers["access-control-allow-origin"] == PAGE
        assert "x-lakehouse-trace-id" in read.headers["access-control-expose-headers"]
        assert read.headers["vary"] == "Origin"


def test_an_openai_client_in_an_allowed_page_may_send_and_read_what_it_needs(port: int) -> None:
    """Without `x-should-retry` it would repeat what is final."""
    sent = "authorization,content-type,idempotency-key,x-stainless-os,x-stainless-retry-count"
    preflight = ask(
        port,
        "OPTIONS",
        "/v1/chat/completions",
        Origin=PAGE,
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers=f"{sent},x-stainless-É,cookie",
    )
    allowed = preflight.headers["access-control-allow-headers"].split(", ")
    assert set(sent.split(",")) <= set(allowed)
    assert "cookie" not in allowed
    assert all(map(str.isascii, allowed))

    refused = ask(port, "POST", "/v1/chat/completions", Origin=PAGE)
    assert refused.status == 400
    exposed = refused.headers["access-control-expose-headers"].split(", ")
    assert {"x-should-retry", "x-request-id", "x-lakehouse-verdict", "retry-after"} <= set(exposed)
    own = {name for name in refused.headers if name.startswith(("x-", "openai-", "retry-"))}
    assert own <= set(exposed)


def test_a_page_that_is_not_allowed_is_told_nothing_by_a_preflight(port: int) -> None:
    """Without the header that names it, its browser sends no request."""
    answer = ask(
        port,
        "OPTIONS",
        "/v1/iterate",
        Origin="https://evil.example",
        Access_Control_Request_Method="POST",
    )
    assert answer.status == 400
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_options_without_a_page_is_a_method_like_any_other(port: int) -> None:
    """Nothing but a browser's question is answered by it."""
    assert ask(port, "OPTIONS", "/v1/iterate").status == 405
    assert ask(port, "OPTIONS", "/v1/iterate", Origin=PAGE).status == 405
    assert (
        ask(port, "OPTIONS", "/no", Origin=PAGE, Access_Control_Request_Method="GET").status == 404
    )


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "[::1]:1", "127.0.0.2"])
def test_loopback_names_are_served(port: int, host: str) -> None:
    """With any port: it may be forwarded."""
    assert ask(port, "GET", "/v1/sessions", Host=host).status == 200


def test_with_keys_any_host_is_served_and_pages_still_are_not(tmp_path: Path) -> None:
    """The key is what a rebound name lacks; a page must be allowed all the same."""
    key = new_key("test")
    (tmp_path / "script.json").write_text('{"matches": {"": ["{}"]}}')
    config = CONFIG + 'api_keys_env = "KEYS"\n'
    with running_stack(tmp_path, config, apart=False, environment={"KEYS": key.entry}) as processes:
        port = processes["gateway"].port
        fields = {"Host": "lake.example", "Authorization": f"Bearer {key.secret}"}
        assert ask(port, "GET", "/v1/models", **fields).status == 200
        assert ask(port, "GET", "/v1/models", Host="lake.example").status == 401
        assert ask(port, "GET", "/v1/models", **fields, Origin="https://evil.example").status == 400
        assert ask(port, "GET", "/v1/models", **fields, Origin=PAGE).status == 200
        preflight = ask(
            port, "OPTIONS", "/v1/models", Origin=PAGE, Access_Control_Request_Method="GET"
        )
        assert preflight.status == 204
