"""Every upstream behaviour, in both dialects, whole and streamed: what the provider makes of it.

Each case asserts that its fault fired. Every limit is ample but for the one that ends the case:
what the provider makes of another is another outcome, and a busy machine makes none.
"""

import socket
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any

import pytest
import uvloop

from lakehouse.core.chat import ChatReply, ChatRequest, Message, Usage
from lakehouse.providers.access import Access
from lakehouse.providers.ollama import OllamaProvider
from lakehouse.providers.openai import OpenAiProvider
from lakehouse.providers.provider import ProviderFault
from lakehouse.transport.client import HttpClient
from support.dialect import provider_at
from support.fault_bodies import TEXT, Dialect
from support.fault_server import FAULTS, FaultServer
from support.offered_calls import offering
from support.raw_server import Exchange, RawServer
from support.steady_loop import run_steadily

KEY = "sk-canary"
AMPLE_MS = 60_000
# The limit that ends a case, where one does.
SHORT_MS: dict[str, dict[str, int]] = {
    "06_never_answers": {"first_byte_timeout_ms": 300},
    "07_slow_headers": {"first_byte_timeout_ms": 300},
    "08_slow_body": {"deadline_ms": 500},
    "09_stall_mid_body": {"idle_timeout_ms": 200},
}
REQUEST = ChatRequest(model="alias", messages=(Message("user", "Which city?"),))


@dataclass(frozen=True)
class Fault:
    code: str
    again: bool = False
    transport: bool = False
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Reply:
    text: str = TEXT
    finish_reason: str = "stop"


UNREACHED = Fault("connect", again=True, transport=True)
CUT = Fault("upstream_malformed", again=True, transport=True)
NOT_AN_ANSWER = Fault("upstream_malformed")
STATUS = Fault("upstream_status")
STATUS_AGAIN = Fault("upstream_status", again=True)
OVERLOADED = Fault("overloaded", again=True)

EXPECTED: dict[str, Fault | Reply] = {
    "02_reset_before_bytes": UNREACHED,
    "02_closed_before_bytes": UNREACHED,
    "03_reset_mid_body": CUT,
    "06_never_answers": Fault("timeout", transport=True),
    "07_slow_headers": Fault("timeout", transport=True),
    "08_slow_body": Fault("timeout"),
    "09_stall_mid_body": Fault("timeout", transport=True),
    "10_content_length_too_long": CUT,
    "11_content_length_too_short": NOT_AN_ANSWER,
    "12_bad_chunk_size": CUT,
    "13_no_last_chunk": CUT,
    "14_truncated_json": NOT_AN_ANSWER,
    "15_trailing_garbage": NOT_AN_ANSWER,
    "16_html": NOT_AN_ANSWER,
    "17_wrong_content_type": Reply(),
    "18_empty_200": NOT_AN_ANSWER,
    "19_no_content": NOT_AN_ANSWER,
    "20_truncated_stream": NOT_AN_ANSWER,
    "21_split_in_a_character": Reply(),
    "22_keep_alives_only": NOT_AN_ANSWER,
    "23_error_amid_stream": NOT_AN_ANSWER,
    "23_error_object_in_a_200": STATUS_AGAIN,
    "24_crlf_stream": NOT_AN_ANSWER,
    "25_429_seconds": replace(OVERLOADED, retry_after_s=7),
    "26_429_date": replace(OVERLOADED, retry_after_s=40),
    "27_429_absurd": replace(OVERLOADED, retry_after_s=86_400),
    "27_429_negative": OVERLOADED,
    "27_429_absent": OVERLOADED,
    "27_429_milliseconds": replace(OVERLOADED, retry_after_s=1.5),
    "28_quota_by_header": Fault("overloaded"),
    "29_500_once": STATUS_AGAIN,
    "29_502_once": STATUS_AGAIN,
    "29_503_once": OVERLOADED,
    "29_504_once": STATUS_AGAIN,
    "30_500_for_ever": STATUS_AGAIN,
    "30_502_for_ever": STATUS_AGAIN,
    "30_503_for_ever": OVERLOADED,
    "30_504_for_ever": STATUS_AGAIN,
    "31_529": OVERLOADED,
    "32_401": STATUS,
    "32_403": STATUS,
    "33_context_too_long": STATUS,
    "34_model_missing": Fault("model_missing"),
    "35_301_elsewhere": STATUS,
    "35_307_elsewhere": STATUS,
    "36_no_choices": NOT_AN_ANSWER,
    "37_content_null": Reply(""),
    "38_tool_calls_only": Reply("", "tool_calls"),
    "40_length": Reply(finish_reason="length"),
    "41_content_filter": Reply(finish_reason="content_filter"),
    "42_gzip_bomb": NOT_AN_ANSWER,
    "42_wrong_encoding": NOT_AN_ANSWER,
    "42_endless_body": NOT_AN_ANSWER,
    "43_duplicate_headers": Reply(),
    "43_huge_header": CUT,
    "43_many_headers": CUT,
    "43_two_content_lengths": CUT,
    "44_out_of_memory": STATUS_AGAIN,
    "44_queue_full": OVERLOADED,
}
# What only one API has a word for.
EXPECTED_OPENAI: dict[str, Fault | Reply] = {
    "28_quota_by_code": Fault("overloaded"),
    "39_refusal": Reply("", "content_filter"),
    "44_loading": Fault("model_loading", again=True),
}
# Ollama has no field for a refusal: what the model says is its text.
EXPECTED_OLLAMA: dict[str, Fault | Reply] = {"39_refusal": Reply("")}
# Behaviours whose body matters, played again by a server that streams though asked not to.
STREAMED = [
    name for name in EXPECTED if name[:2] in {"03", "08", "09", "10", "11", "12", "13", "17", "21"}
] + ["20_truncated_stream", "22_keep_alives_only", "23_error_amid_stream", "24_crlf_stream"]

CASES: list[tuple[str, Dialect, bool]] = [
    *((name, dialect, False) for name in EXPECTED for dialect in ("openai", "ollama")),
    *((name, "openai", False) for name in EXPECTED_OPENAI),
    *((name, "ollama", False) for name in EXPECTED_OLLAMA),
    *((name, dialect, True) for name in STREAMED for dialect in ("openai", "ollama")),
]


def limited(
    dialect: Dialect, base_url: str, http: HttpClient, **limits: int
) -> OpenAiProvider | OllamaProvider:
    names = ("connect_timeout_ms", "first_byte_timeout_ms", "idle_timeout_ms")
    settings = {name: limits.get(name, AMPLE_MS) for name in names}
    return provider_at(dialect, base_url, http, access=Access(api_key=KEY), **settings)


async def outcome(
    provider: OpenAiProvider | OllamaProvider,
    request: ChatRequest = REQUEST,
    *,
    deadline_ms: int = AMPLE_MS,
) -> ChatReply | ProviderFault:
    """Call once; a fault is given back, not raised."""
    try:
        return await provider.complete(request, trace={}, deadline_ms=deadline_ms)
    except ProviderFault as fault:
        return fault


async def outcome_of(
    name: str, server: FaultServer, dialect: Dialect, request: ChatRequest = REQUEST
) -> ChatReply | ProviderFault:
    """Call once with the limits of the case, and see the behaviour played out."""
    limits = SHORT_MS.get(name, {})
    http = HttpClient()
    provider = limited(dialect, server.base_url, http, **limits)
    got = await outcome(provider, request, deadline_ms=limits.get("deadline_ms", AMPLE_MS))
    await server.has_fired()
    await http.close()
    return got


def run(name: str, case: Coroutine[Any, Any, None]) -> None:
    """Run on the daemons' loop, but where a pause could end the call before it is sent."""
    if "deadline_ms" in SHORT_MS.get(name, {}):
        run_steadily(case)
    else:
        uvloop.run(case)


def agree(got: ChatReply | ProviderFault, expected: Fault | Reply) -> None:
    if isinstance(expected, Reply):
        assert isinstance(got, ChatReply), got
        assert (got.text, got.finish_reason) == (expected.text, expected.finish_reason)
        assert got.usage == Usage(7, 5)
        return
    assert isinstance(got, ProviderFault), got
    assert (got.code, got.again, got.transport) == (
        expected.code,
        expected.again,
        expected.transport,
    ), got.internal
    if expected.retry_after_s is None:
        assert got.retry_after_s is None
    else:
        assert got.retry_after_s == pytest.approx(expected.retry_after_s, abs=2)
    assert KEY not in got.internal + got.public + got.hint + str(got)


@pytest.mark.parametrize(("name", "dialect", "streaming"), CASES)
def test_a_behaviour_gives_its_outcome_in_time(
    name: str, dialect: Dialect, streaming: bool
) -> None:
    """Whatever the endpoint does, the call ends in time with a reply or the right fault."""

    async def case() -> None:
        async with (
            RawServer(_never) as other,
            FaultServer(name, dialect, streaming=streaming, elsewhere=other.url) as server,
        ):
            got = await outcome_of(name, server, dialect)
            assert (server.fired, len(server.requests)) == (1, 1)
            assert other.connections == 0
            own = EXPECTED_OPENAI if dialect == "openai" else EXPECTED_OLLAMA
            expected = (EXPECTED | own)[name]
            agree(got, NOT_AN_ANSWER if streaming and isinstance(expected, Reply) else expected)

    run(name, case())


@pytest.mark.parametrize(("name", "dialect", "streaming"), CASES)
def test_values_in_the_schema_hide_no_fault_and_make_none(
    name: str, dialect: Dialect, streaming: bool
) -> None:
    """A failure that has another cause is told as it is, in time; one that passes is no failure."""

    async def case() -> None:
        async with FaultServer(name, dialect, streaming=streaming, elsewhere="") as server:
            got = await outcome_of(name, server, dialect, offering(3))
            own = EXPECTED_OPENAI if dialect == "openai" else EXPECTED_OLLAMA
            expected = (EXPECTED | own)[name]
            passes = name.endswith("_once") and len(server.requests) > 1
            expected = Reply() if passes else expected
            agree(got, NOT_AN_ANSWER if streaming and isinstance(expected, Reply) else expected)

    run(name, case())


@pytest.mark.parametrize("dialect", ["openai", "ollama"])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_the_call_after_a_single_failure_is_answered(dialect: Dialect, status: int) -> None:
    """A status that came once leaves nothing behind: the same provider's next call succeeds."""

    async def case() -> None:
        async with FaultServer(f"29_{status}_once", dialect) as server:
            http = HttpClient()
            provider = limited(dialect, server.base_url, http)
            assert isinstance(await outcome(provider), ProviderFault)
            agree(await outcome(provider), Reply())
            await http.close()
            assert server.fired == 2

    uvloop.run(case())


@pytest.mark.parametrize("dialect", ["openai", "ollama"])
def test_01_a_refused_connection_is_connect(dialect: Dialect) -> None:
    """Nobody listens: `connect`, worth another try."""

    async def case() -> None:
        with socket.socket() as bound:  # bound and not listening: refused, and nobody else's
            bound.bind(("127.0.0.1", 0))
            http = HttpClient()
            url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            got = await outcome(limited(dialect, url, http))
            agree(got, UNREACHED)
            assert isinstance(got, ProviderFault)
            assert "refused" in got.internal

    uvloop.run(case())


@pytest.mark.parametrize("dialect", ["openai", "ollama"])
def test_04_a_name_that_does_not_resolve_is_connect(dialect: Dialect) -> None:
    """`.invalid` never resolves (RFC 6761): `connect`, unless the resolver hangs past the limit."""

    async def case() -> None:
        http = HttpClient()
        url = "http://no-such-host.invalid:80"
        got = await outcome(limited(dialect, url, http, connect_timeout_ms=400))
        assert isinstance(got, ProviderFault)
        assert got.code in {"connect", "timeout"}
        assert (got.again, got.transport) == (True, True)

    uvloop.run(case())


@pytest.mark.parametrize("dialect", ["openai", "ollama"])
def test_05_a_port_that_speaks_no_tls_is_connect(dialect: Dialect) -> None:
    """The endpoint answers the TLS greeting with something else: `connect`."""

    async def case() -> None:
        async with RawServer(_never) as server:
            http = HttpClient()
            url = f"https://127.0.0.1:{server.port}"
            agree(await outcome(limited(dialect, url, http)), UNREACHED)
            assert server.first_bytes == [b"\x16"], "no TLS greeting arrived"

    uvloop.run(case())


def test_every_behaviour_of_the_server_has_an_expected_outcome() -> None:
    """No behaviour goes untested, and the numbers of the list are all there."""
    assert set(FAULTS) == set(EXPECTED) | set(EXPECTED_OPENAI)
    apart = {1, 4, 5}  # have tests of their own
    assert {int(name[:2]) for name in FAULTS} | apart == set(range(1, 45))


async def _never(_: Exchange) -> None:
    raise AssertionError("this server should not have been asked")
