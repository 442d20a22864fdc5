"""The small values of the vocabulary: findings, usage, errors, time."""

import time
from datetime import UTC, datetime
from typing import get_args

import msgspec
import pytest

from lakehouse.core.chat import Usage
from lakehouse.core.clock import FixedClock, SystemClock, timestamp
from lakehouse.core.errors import (
    INFRA_HINT,
    INFRA_STATUS,
    PROBLEM_STATUS,
    InfraCode,
    InfraError,
    ProblemCode,
    Refusal,
    TableUnavailable,
)
from lakehouse.core.finding import Finding, evidence, ordered
from lakehouse.core.json_text import parse


def finding(path: str, code: str = "schema", expected: bytes | None = None) -> Finding:
    return Finding(
        code=code,
        path=path,
        message="",
        expected=msgspec.UNSET if expected is None else msgspec.Raw(expected),
    )


def test_findings_are_ordered_by_path_bytes_then_code_then_keyword() -> None:
    expected = [
        finding("", "rule"),
        finding("", "schema", b'{"maximum":1}'),
        finding("", "schema", b'{"required":"a"}'),
        finding("", "schema", b'{"required":"b"}'),
        finding("/B"),
        finding("/a", "schema", b'{"if":{}}'),
        finding("/a", "schema", b'{"ifx":{}}'),
        finding("/a", "ungrounded"),
        finding("/a/0"),
        finding("/a0"),
        finding("/é"),
        finding("/～"),
        finding("/😀"),
    ]
    assert ordered(expected[::-1]) == expected


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ('"é\\u2028"', '"é\u2028"'),
        ("18446744073709551616", None),
        ("1e400", "1E+400"),
        ("null", None),
    ],
)
def test_evidence_is_json(text: str, raw: str | None) -> None:
    assert evidence(parse(text)) == msgspec.Raw((raw or text).encode())


def test_evidence_is_left_out_over_256_bytes() -> None:
    assert evidence("x" * 254) == msgspec.Raw(b'"' + b"x" * 254 + b'"')
    assert evidence("x" * 255) is msgspec.UNSET
    assert evidence("é" * 127) is not msgspec.UNSET
    assert evidence("é" * 128) is msgspec.UNSET


def test_usage_adds_up_and_an_unknown_part_makes_it_unknown() -> None:
    assert Usage(1, 2) + Usage(3, 4) == Usage(4, 6)
    assert Usage(1, None) + Usage(3, 4) == Usage(4, None)
    assert Usage() + Usage(3, 4) == Usage(None, None)


def test_the_codes_have_the_contracts_status() -> None:
    assert PROBLEM_STATUS == {
        "invalid_request": 400,
        "unknown_kind": 400,
        "unknown_model": 400,
        "invalid_schema": 400,
        "invalid_config": 422,
        "unauthorized": 401,
        "not_found": 404,
        "method_not_allowed": 405,
        "ambiguous_session": 409,
        "idempotency_key_reuse": 400,
        "too_large": 413,
        "unsupported_media_type": 415,
        "rate_limited": 429,
        "log_unavailable": 503,
    }
    assert INFRA_STATUS == {
        "connect": 502,
        "upstream_malformed": 502,
        "upstream_status": 502,
        "model_missing": 502,
        "overloaded": 503,
        "timeout": 504,
        "model_loading": 504,
        "table_unavailable": 503,
        "rule_broken": 503,
        "log_unavailable": 503,
        "shutdown": 503,
        "crashed": 502,
    }


def test_the_closed_lists_are_whole() -> None:
    assert set(get_args(InfraCode)) == set(INFRA_STATUS) == set(INFRA_HINT)
    assert set(get_args(ProblemCode)) == set(PROBLEM_STATUS)


def test_errors_know_their_status_and_keep_the_inside_in() -> None:
    refusal = Refusal("log_unavailable", "no disk", retry_after_s=5)
    assert (refusal.status, refusal.retryable, refusal.retry_after_s) == (503, True, 5)
    assert not Refusal("invalid_request", "bad").retryable
    error = InfraError("connect", "refused", internal="10.0.0.1:1 refused")
    assert (error.status, error.retryable, str(error)) == (502, True, "refused")
    assert error.hint
    assert not InfraError("model_missing", "gone").retryable
    assert InfraError("model_missing", "gone", retryable=True).retryable
    table = TableUnavailable("airports", "/srv/secret.parquet: gone")
    assert table.code == "table_unavailable"
    assert "secret" not in table.public
    assert "secret" in table.internal


def test_a_timestamp_has_six_fraction_digits_and_a_z() -> None:
    assert timestamp(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02T03:04:05.000000Z"


def test_clocks() -> None:
    held = FixedClock()
    assert held.now() == held.now()
    held.advance_ms(1.5)
    assert held.monotonic_ms() == 1.5
    real = SystemClock()
    assert real.now().tzinfo is UTC
    assert real.monotonic_ms() <= real.monotonic_ms()


def test_a_clock_writes_the_moment_that_it_tells() -> None:
    assert FixedClock().timestamp() == timestamp(FixedClock().now())
    real = SystemClock()
    earlier, written, later = real.now(), real.timestamp(), real.now()
    assert timestamp(earlier) <= written <= timestamp(later)


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (999_999_999, "1970-01-01T00:00:00.999999Z"),
        (1_767_323_045_000_001_999, "2026-01-02T03:04:05.000001Z"),
        (253_402_300_799_999_999_999, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_the_systems_time_is_written_to_the_microsecond(
    monkeypatch: pytest.MonkeyPatch, time_ns: int, text: str
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: time_ns)
    assert SystemClock().timestamp() == text
