"""What statuses, waits and broken text of an endpoint mean."""

import json
import math
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.providers.http_fault import (
    Malformed,
    decode,
    fault_of_status,
    fault_of_transport,
    malformed,
)
from lakehouse.providers.wait_hint import retry_after_s
from lakehouse.transport.client import HttpReply, TransportFault

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def reply(status: int, body: object = None, **headers: str) -> HttpReply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpReply(status, headers, data)


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"a\ud800b", "a�b"),
        (r"\udc00\ud800", "��"),
        (r"\ud83d\ude00\ud83d", "😀�"),
        (r"\uD83D\uDE00", "😀"),
        (r"\\ud800", r"\ud800"),
    ],
)
def test_lone_surrogates_become_the_replacement_character(escaped: str, text: str) -> None:
    """A model cut inside a character still gives valid Unicode, and whole pairs survive."""
    found: object = decode(f'{{"a": "{escaped}", "b": ["{escaped}"]}}'.encode(), Any)
    assert found == {"a": text, "b": [text]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a":1} x',
        b'{"a":"\\ud800"} x',
        b'{"a":NaN}',
        b'{"a":NaN,"b":"\\ud800"}',
        b'{"a":"\xff"}',
        b"[" * 100_000,
        b'"\\ud800' + b"[" * 100_000,
        b'["\\ud800",' + b"[" * 100_000,
    ],
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    """Broken, trailing, endless and deep text all end in one error, never in another."""
    with pytest.raises(Malformed):
        decode(body, Any)


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_any_text_of_a_model_comes_out_as_valid_unicode(text: str) -> None:
    """Whatever characters an escaped string holds, surrogates included, the result is UTF-8."""
    got = decode(json.dumps({"a": text}).encode(), dict[str, str])["a"]
    assert got.encode("utf-8").decode("utf-8") == got
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    assert len(got) == len(joined)


@given(st.binary(max_size=64))
def test_any_bytes_decode_or_are_malformed(body: bytes) -> None:
    """Nothing that an endpoint sends raises anything else."""
    with suppress(Malformed):
        decode(body, Any)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": " 7 "}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after": "86400"}, 86_400),
        ({"retry-after": "86401"}, 86_400),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "9" * 400}, 86_400),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "7, 9"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sun, 01 Mar 2026 12:01:30 GMT"}, 90),
        ({"retry-after": "Sun, 01 Mar 2026 12:01:30 -0000"}, 90),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "Sun, 01 Mar 2099 11:00:00 GMT"}, 86_400),
        ({"retry-after": "Sun, 99 Mar 2026 11:00:00 GMT"}, None),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds and dates are read, nonsense is not; over a day is a day."""
    assert retry_after_s(headers, NOW) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_breaks_the_reader(text: str) -> None:
    """Any header text gives a finite wait of at most a day, or none."""
    got = retry_after_s({"retry-after": text}, NOW)
    assert got is None or (math.isfinite(got) and 0 <= got <= 86_400)


@given(st.integers(min_value=0, max_value=86_400))
def test_a_date_says_the_same_as_seconds(seconds: int) -> None:
    """RFC 9110 lets an endpoint say either."""
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after_s({"retry-after": date}, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "body", "code", "again"),
    [
        (302, {}, "upstream_status", False),
        (400, {"error": {"message": "no such model", "code": "model_not_found"}}, "model_missing",
         False),
        (400, {"error": {"message": "x/y is not a valid model ID"}}, "model_missing", False),
        (400, {"error": {"message": "invalid model ID"}}, "model_missing", False),
        (400, {"error": {"message": "of this model the parameter `x` is unknown"}},
         "upstream_status", False),
        (500, {"error": "OpenAIException - {'code': 'insufficient_quota'}"}, "upstream_status",
         False),
        (404, {"detail": "Not Found"}, "model_missing", False),
        (408, {}, "upstream_status", True),
        (409, {}, "upstream_status", True),
        (422, {"error": {"message": "no"}}, "upstream_status", False),
        (429, {"error": {"type": "insufficient_quota", "code": None}}, "overloaded", False),
        (500, b"<html>", "upstream_status", True),
        (501, {}, "upstream_status", False),
        (503, {"error": {"message": "Loading model", "type": "unavailable_error"}},
         "model_loading", True),
        (503, {"error": "loading model"}, "model_loading", True),
        (503, {"message": "Service Unavailable"}, "overloaded", True),
        (503, [1, 2], "overloaded", True),
        (522, {}, "upstream_status", True),
        (529, {}, "overloaded", True),
    ],
)  # fmt: skip
def test_a_status_means_one_code(status: int, body: object, code: str, again: bool) -> None:
    """The table of statuses, with the error bodies that refine it."""
    fault = fault_of_status("m", reply(status, body))
    assert (fault.code, fault.again, fault.transport) == (code, again, False)
    assert str(status) in fault.public or code == "model_loading"


def test_a_status_that_may_be_tried_again_is_retryable_for_the_caller_too() -> None:
    """`upstream_status` is not retryable as such; a 500 of today is."""
    assert fault_of_status("m", reply(500)).retryable is True
    assert fault_of_status("m", reply(400)).retryable is False
    assert fault_of_status("m", reply(429, **{"x-should-retry": "false"})).retryable is False


def test_an_error_text_never_carries_the_key() -> None:
    """Endpoints repeat keys in their errors; neither of our texts does."""
    for status in (400, 401, 403, 404, 429, 500, 503):
        body = {"error": {"message": "key sk-canary is bad", "code": "sk-canary", "type": "x"}}
        fault = fault_of_status("m", reply(status, body), secrets=("sk-canary",))
        assert "sk-canary" not in fault.public + fault.internal + str(fault)


def test_an_error_text_is_quoted_short_and_on_one_line() -> None:
    """What an endpoint says goes into our messages, not as lines of its own, and not for ever."""
    fault = fault_of_status("m", reply(400, {"error": {"message": "too\nlong\x1b[2J " * 1000}}))
    assert "too long" in fault.public
    assert len(fault.public) <= 2_000
    assert fault.public.isprintable()
    assert fault.internal == fault.public


@pytest.mark.parametrize(
    ("body", "media_type", "said"),
    [
        ({"error": {"message": "over quota", "code": 429}}, "", "over quota"),
        ({"error": "no such model"}, "", "no such model"),
        ({"message": "Service Unavailable"}, "", "Service Unavailable"),
        ({"Message": "AWS says no"}, "", "AWS says no"),
        ({"detail": "Not Found"}, "", "Not Found"),
        ({"detail": [{"loc": ["body"], "msg": "field required"}, {"msg": "two"}]}, "",
         "field required; two"),
        ([{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}],
         "", "API key not valid"),
        ({"errors": [{"message": "one"}, "two"]}, "", "one; two"),
        ({"error": {"message": {"detail": "nested"}}}, "", "nested"),
        ({"error_description": "the token expired", "error": None}, "", "the token expired"),
        (b"upstream connect error or disconnect/reset before headers", "text/plain",
         "upstream connect error"),
        (b"<html><head><title>502 Bad Gateway</title></head><body>x</body></html>", "text/html",
         "502 Bad Gateway"),
        (b"<h1>no title</h1>", "", "no title"),
        (b"\xff\xfe broken", "", "broken"),
    ],
)  # fmt: skip
def test_the_endpoint_is_quoted_in_every_form(body: object, media_type: str, said: str) -> None:
    """The words are found wherever the endpoint put them."""
    fault = fault_of_status("m", reply(400, body, **{"content-type": media_type}))
    assert said in fault.public


@pytest.mark.parametrize("body", [b"<" * 65536, b"<title" * 10_000, b"[" * 65536, b"", b"null"])
def test_no_error_body_breaks_the_reader(body: bytes) -> None:
    """Whatever it is, the status is told, and soon."""
    started = time.process_time()
    assert "status 400" in fault_of_status("m", reply(400, body)).public
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("status", "body", "key", "part"),
    [
        (401, {}, "secret-key", "rejects the API key"),
        (401, {}, None, "requires an API key"),
        (402, {}, None, "quota"),
        (403, {}, "secret-key", "rights"),
        (429, {}, None, "request rate"),
        (429, {"error": {"type": "insufficient_quota"}}, None, "billing"),
        (400, {"error": {"code": "insufficient_quota"}}, None, "billing"),
        (308, {}, None, "redirects"),
        (
            400,
            {"error": {"message": "API key not valid. Pass a valid API key."}},
            "k",
            "the API key",
        ),
        (403, {"message": "Invalid API key"}, "k", "the API key"),
        (400, {"error": {"message": "Missing API key"}}, None, "requires an API key"),
        (400, {"error": {"message": "Your credit balance is too low"}}, None, "billing"),
        (500, {"error": "OpenAIException - {'code': 'insufficient_quota'}"}, None, "billing"),
        (404, {}, None, "nothing at this URL"),
        (404, {"detail": "Not Found"}, None, "nothing at this URL"),
        (404, "404 page not found", None, "nothing at this URL"),
        (405, {}, None, "base_url"),
        (413, {}, None, "too long"),
        (422, {}, None, "rejects the request"),
        (500, {}, None, "own log"),
        (503, {}, None, "overloaded or down"),
    ],
)
def test_a_hint_fits_its_cause(status: int, body: object, key: str | None, part: str) -> None:
    """One code stands for many causes; what to do depends on the cause."""
    hint = fault_of_status("m", reply(status, body), secrets=() if key is None else (key,)).hint
    assert part in hint
    assert "raise `slots`" not in hint


@pytest.mark.parametrize(
    ("fault", "public", "hint"),
    [
        (TransportFault("connect", "h:1: x", reason="refused"), "connection refused", "start the"),
        (TransportFault("connect", "h:1: x", reason="no_name"), "does not resolve", "host name"),
        (TransportFault("connect", "h:1: certificate verify failed: self-signed (_ssl.c:1)",
                        reason="untrusted"), "not trusted: self-signed.", "SSL_CERT_FILE"),
        (TransportFault("connect", "h:1: x", reason="not_tls"), "does not speak TLS", "http://"),
        (TransportFault("connect", "h:1: x", reason="closed"), "closed the connection", "log"),
        (TransportFault("connect", "h:1: x", reason="limit"), "no more connections", "ulimit"),
        (TransportFault("timeout_connect", "h:1: no connection within 5 ms", reason="timeout"),
         "took too long: no connection within 5 ms.", "reachable"),
        (TransportFault("timeout_first_byte", "no answer within 9 ms"), "within 9 ms",
         "first_byte_timeout_ms"),
        (TransportFault("timeout_total", "no whole answer within 9 ms"), "9 ms", "deadline_ms"),
        (TransportFault("timeout_idle", "nothing for 9 ms amid the answer"), "9 ms",
         "idle_timeout"),
        (TransportFault("malformed", "content-encoding 'br'"), "content-encoding 'br'", "base_url"),
    ],
)  # fmt: skip
def test_a_lost_connection_says_why_and_what_to_do(
    fault: TransportFault, public: str, hint: str
) -> None:
    """The caller reads why, without an address; the operator's text has it all."""
    found = fault_of_transport("m", fault)
    assert public in found.public
    assert "h:1" not in found.public
    assert hint in found.hint
    assert fault.detail in found.internal


@pytest.mark.parametrize(
    ("media_type", "body", "reason", "hint"),
    [
        ("text/event-stream", b"data: {}", "streams", "streaming"),
        ("application/x-ndjson", b"{}", "streams", "streaming"),
        ("application/json", b'data: {"choices":[]}', "streams", "streaming"),
        ("text/plain", b"event: error\ndata: {}", "streams", "streaming"),
        ("application/json", b": PROCESSING\n\n{}", "streams", "streaming"),
        ("text/html; charset=utf-8", b"<title>Log in</title>", "web page", "base_url"),
        ("application/json", b"", "empty", "base_url"),
        ("application/json", b'{"x": 1}', "lacks choices", "base_url"),
    ],
)
def test_an_answer_that_is_none_says_what_it_is(
    media_type: str, body: bytes, reason: str, hint: str
) -> None:
    """What came instead of a completion is no secret of our log."""
    answer = HttpReply(200, {"content-type": media_type}, body)
    fault = malformed("m", answer, "it lacks choices")
    assert reason in fault.public
    assert hint in fault.hint
    assert media_type in fault.internal
