"""Whose request it is: what `Host` and `Origin` let through, and what they do not."""

import pytest

from lakehouse.core.errors import Refusal
from lakehouse.transport.host import check_host, parse_authority
from lakehouse.transport.origins import check_origin, origin_fault

LOOPBACK = [
    "localhost",
    "LOCALHOST",
    "LocalHost:4110",
    "localhost.",
    "localhost.:4110",
    "localhost:",
    "127.0.0.1",
    "127.0.0.1:4110",
    "127.0.0.1.",
    "127.0.0.1:65535",
    "127.255.255.254",
    "[::1]",
    "[::1]:4110",
    "[0:0:0:0:0:0:0:1]",
    "[::FFFF:127.0.0.1]",
    "[::ffff:7f00:1]:80",
]
OTHERS = [
    "evil.example",
    "evil.example:4110",
    "localhost.evil.example",
    "localhost.localdomain",
    "evil.localhost",
    "notlocalhost",
    "127.0.0.1.nip.io",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.0.0.01",
    "0.0.0.0",
    "0",
    "[::]",
    "[fe80::1]",
    "[::ffff:10.0.0.1]",
    "10.0.0.1",
    "169.254.169.254",
    "ip6-localhost",
    "xn--lcalhost-n4a",
]
NONE = [
    "",
    ".",
    ":4110",
    "::1",
    "[::1",
    "[::1%lo]",
    "[127.0.0.1]",
    "[localhost]",
    "localhost:٤٥",
    "localhost:²",
    "localhost:+80",
    "localhost:-1",
    "localhost:8_0",
    "localhost: 80",
    "localhost:65536",
    "localhost:00000000080",
    "localhost:80:80",
    "localhost/",
    "localhost@evil.example",
    "evil.example#localhost",
    "localhost, evil.example",
    "localhost evil.example",
    "localhost\tevil.example",
    "http://localhost",
    "ｌocalhost",
    "localhost。",
    "１２７.0.0.1",
    "a" * 300,
]


def check(host: str | None, *, loopback_only: bool = True, version: str = "1.1") -> None:
    headers = {} if host is None else {"host": [host]}
    check_host(headers, http_version=version, target_authority=None, loopback_only=loopback_only)


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_is_served(host: str) -> None:
    """In every form that means this machine wherever it is looked up."""
    check(host)


@pytest.mark.parametrize("host", OTHERS)
def test_another_host_is_served_with_keys_only(host: str) -> None:
    """A name may have been made to point here; a key is what the page that did it lacks."""
    with pytest.raises(Refusal) as caught:
        check(host)
    assert caught.value.code == "invalid_request"
    assert host in caught.value.public
    assert "api_keys_env" in caught.value.hint
    check(host, loopback_only=False)


@pytest.mark.parametrize("host", NONE)
def test_what_is_no_host_is_refused_with_keys_too(host: str) -> None:
    """Digits of other scripts are no port, and full-width letters are no `localhost`."""
    assert parse_authority(host) is None
    for loopback_only in (True, False):
        with pytest.raises(Refusal):
            check(host, loopback_only=loopback_only)


def test_only_the_older_version_may_come_without() -> None:
    """A browser cannot send HTTP/1.0; a probe may."""
    check(None, version="1.0")
    with pytest.raises(Refusal):
        check(None)


def origin(*origins: str, host: str = "localhost:4110", site: str | None = None) -> str | None:
    headers = {"origin": list(origins)} if origins else {}
    if site is not None:
        headers["sec-fetch-site"] = site.split("|")
    allowed = frozenset({"https://app.example", "tauri://localhost"})
    return check_origin(headers, parse_authority(host), allowed)


def test_an_own_page_and_an_allowed_one_may_ask() -> None:
    """Its own answers name no origin; an allowed one's name just that."""
    assert origin("http://localhost:4110") is None
    assert origin("http://localhost:4110", site="same-origin") is None
    assert origin("http://LOCALHOST:4110".lower(), host="LocalHost:4110") is None
    assert origin("http://localhost", host="localhost:80") is None
    assert origin("https://localhost", host="localhost:443") is None
    assert origin(site="same-origin") is None
    assert origin(site="none") is None
    assert origin("https://app.example", site="cross-site") == "https://app.example"
    assert origin("tauri://localhost") == "tauri://localhost"


@pytest.mark.parametrize(
    ("origins", "site"),
    [
        (["https://evil.example"], None),
        (["https://evil.example"], "same-origin"),
        (["null"], None),
        (["null"], "cross-site"),
        ([""], None),
        (["http://localhost:3000"], None),
        (["http://localhost:3000"], "same-site"),
        (["http://localhost"], None),
        (["https://localhost:41100"], None),
        (["http://127.0.0.1:4110"], None),
        (["http://localhost:4110", "https://evil.example"], None),
        (["http://localhost:4110", "http://localhost:4110"], None),
        (["https://app.example", "https://app.example"], None),
        (["https://app.example https://evil.example"], None),
        (["https://app.example.evil.example"], None),
        (["https://app.example:444"], None),
        (["http://app.example"], None),
        (["https://sub.app.example"], None),
        (["https://APP.example"], None),
        (["http://localhost:4110/"], None),
        (["http://user@localhost:4110"], None),
        (["file://"], None),
        (["chrome-extension://abcdef"], None),
        (["ftp://localhost:4110"], None),
        (["http://localhost:4110"], "cross-site"),
        ([], "cross-site"),
        ([], "same-site"),
        ([], "same-origin|cross-site"),
        ([], "Cross-Site"),
        ([], ""),
        ([], "anything"),
    ],
)
def test_a_page_of_another_origin_is_refused(origins: list[str], site: str | None) -> None:
    """An origin is taken as a whole, and only as a browser writes it."""
    with pytest.raises(Refusal) as caught:
        origin(*origins, site=site)
    assert caught.value.code == "invalid_request"
    assert "allowed_origins" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["https://app.example", "http://localhost:3000", "http://[::1]:3000", "chrome-extension://ab"],
)
def test_an_origin_can_be_configured_as_browsers_send_it(text: str) -> None:
    """Schemes of desktop programs and extensions too."""
    assert origin_fault(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "null",
        "",
        "app.example",
        "https://",
        "https://*.app.example",
        "https://app.example/",
        "https://app.example/path",
        "https://app.example:443",
        "http://app.example:80",
        "https://App.example",
        "https://app.example https://b.example",
        "https://app.example:٤٥",
        "https://user@app.example",
    ],
)
def test_an_origin_that_no_browser_sends_is_no_setting(text: str) -> None:
    """It would seem to allow something and never would; a wildcard would allow everything."""
    assert origin_fault(text) is not None
