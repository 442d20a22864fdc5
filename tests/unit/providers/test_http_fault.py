"""What statuses, waits and broken text of an endpoint mean."""

import json
import math
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
    retry_after_s,
)
from lakehouse.transport.client import HttpReply

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
    assert decode(f'{{"a": "{escaped}", "b": ["{escaped}"]}}'.encode(), Any) == {
        "a": text,
        "b": [text],
    }


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
        ({"retry-after": "86401"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "7, 9"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sun, 01 Mar 2026 12:01:30 GMT"}, 90),
        ({"retry-after": "Sun, 01 Mar 2026 12:01:30 -0000"}, 90),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "Sun, 01 Mar 2099 11:00:00 GMT"}, None),
        ({"retry-after": "Sun, 99 Mar 2026 11:00:00 GMT"}, None),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds and dates are read; nonsense and over a day are not believed."""
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
        fault = fault_of_status("m", reply(status, body), secret="sk-canary")
        assert "sk-canary" not in fault.public + fault.internal + str(fault)


def test_an_error_text_is_quoted_short_and_on_one_line() -> None:
    """What an endpoint says goes to our log, not into it as lines of its own."""
    fault = fault_of_status("m", reply(400, {"error": {"message": "too\nlong " * 1000}}))
    assert "too long" in fault.internal
    assert "too" not in fault.public
    assert len(fault.internal) < 400
    assert "\n" not in fault.internal
