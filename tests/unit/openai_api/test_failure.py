"""Every failure's status, body and headers, chosen so that no client repeats a final outcome."""

import json
from typing import Any, get_args

import msgspec
import pytest

from lakehouse.core.errors import InfraCode, InfraError, ProblemCode, Refusal
from lakehouse.openai_api.failure import (
    REFUSALS,
    REPEATED,
    DoorFailure,
    error_response,
    failure_of,
    failure_of_reply,
)
from lakehouse.openai_api.fault import RequestFault
from lakehouse.providers.status_hint import QUOTA_HINT
from lakehouse.transport.error_shape import FailedCall
from support.openai_replies import ROW_ID, SESSION_ID, accepted, broken, exhausted

CALL = FailedCall(SESSION_ID, inner=False, started_s=0.0)
REPEATED_BY_ALL = {408, 409}  # by every official client, whatever the headers say
INFRA: list[InfraCode] = list(get_args(InfraCode))
PROBLEMS: list[ProblemCode] = list(get_args(ProblemCode))


def told(failure: DoorFailure) -> tuple[int, str, str, bytes]:
    """Status, code and type of the whole reply, and `x-should-retry`."""
    response = failure.response(1.2)
    assert isinstance(response.body, bytes)
    error = json.loads(response.body)["error"]
    assert error["retryable"] is failure.repeat
    return response.status, error["code"], error["type"], dict(response.headers)[b"x-should-retry"]


def test_every_code_of_ours_has_its_line():
    """A new one must be decided."""
    assert set(REPEATED) == set(INFRA)
    assert set(REFUSALS) == set(PROBLEMS)


@pytest.mark.parametrize("code", INFRA)
def test_an_infra_error_keeps_its_code_and_is_repeated_only_where_that_helps(code: InfraCode):
    """Whether it ended the session or was raised; no status is one that is always repeated."""
    again = code in {
        "connect", "overloaded", "model_loading", "shutdown", "table_unavailable",
        "log_unavailable", "crashed",
    }  # fmt: skip
    error = InfraError(code, "It failed.")
    for failure in (failure_of_reply(broken(error)), failure_of(error, SESSION_ID)):
        status, *rest = told(failure)
        assert status == (504 if code == "timeout" else error.status)
        assert status in {502, 503, 504}
        assert rest == [code, "server_error", b"true" if again else b"false"]


@pytest.mark.parametrize("code", INFRA)
def test_an_error_that_a_repetition_does_not_help_is_not_repeated(code: InfraCode):
    failure = failure_of_reply(broken(InfraError(code, "It failed.", retryable=False)))
    assert told(failure)[3] == b"false"


def test_an_infra_code_of_a_later_version_keeps_what_it_says():
    later: Any = "later"
    for retryable in (True, False):
        failure = failure_of_reply(broken(InfraError(later, "It failed.", retryable=retryable)))
        again = b"true" if retryable else b"false"
        assert told(failure) == (502, "later", "server_error", again)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("invalid_request", (400, "invalid_request", "invalid_request_error", b"false")),
        ("unknown_kind", (404, "model_not_found", "invalid_request_error", b"false")),
        ("unknown_model", (404, "model_not_found", "invalid_request_error", b"false")),
        ("invalid_schema", (400, "invalid_schema", "invalid_request_error", b"false")),
        ("unauthorized", (401, "invalid_api_key", "authentication_error", b"false")),
        ("not_found", (404, "not_found", "invalid_request_error", b"false")),
        ("method_not_allowed", (405, "method_not_allowed", "invalid_request_error", b"false")),
        (
            "idempotency_key_reuse",
            (400, "idempotency_key_reuse", "invalid_request_error", b"false"),
        ),
        ("ambiguous_session", (400, "ambiguous_session", "invalid_request_error", b"false")),
        ("too_large", (413, "too_large", "invalid_request_error", b"false")),
        (
            "unsupported_media_type",
            (400, "unsupported_media_type", "invalid_request_error", b"false"),
        ),
        ("rate_limited", (429, "rate_limited", "rate_limit_error", b"true")),
        ("log_unavailable", (503, "log_unavailable", "server_error", b"true")),
    ],
)
def test_a_refusal_has_the_status_that_clients_expect(code: ProblemCode, expected: object):
    failure = failure_of(Refusal(code, "No."), SESSION_ID)
    assert told(failure) == expected
    assert failure.status not in REPEATED_BY_ALL


def test_every_429_says_how_long_to_wait():
    for given_s, header_ms, header_s in ((None, b"1000", b"1"), (7, b"7000", b"7")):
        refusal = Refusal("rate_limited", "Too many.", retry_after_s=given_s)
        headers = dict(failure_of(refusal, SESSION_ID).response().headers)
        assert (headers[b"retry-after-ms"], headers[b"retry-after"]) == (header_ms, header_s)


def test_a_wait_that_is_known_is_told():
    """In whole seconds upwards: an earlier repetition would fail."""
    raised = failure_of(InfraError("overloaded", "Busy.", retry_after_s=1.25), SESSION_ID)
    ended = failure_of_reply(broken(InfraError("overloaded", "Busy.", retry_after_s=1.25)))
    of_raised, of_ended = dict(raised.response().headers), dict(ended.response().headers)
    assert (of_raised[b"retry-after-ms"], of_raised[b"retry-after"]) == (b"1250", b"2")
    assert (of_ended[b"retry-after-ms"], of_ended[b"retry-after"]) == (b"2000", b"2")
    unknown = failure_of_reply(broken(InfraError("connect", "Away."))).response().headers
    assert not {b"retry-after", b"retry-after-ms"} & set(dict(unknown))


def test_an_exhausted_session_is_told_with_its_findings_and_its_last_answer():
    response = failure_of_reply(exhausted()).response(812.4)

    assert isinstance(response.body, bytes)
    assert response.status == 400
    error = json.loads(response.body)["error"]
    assert error.pop("hint")
    assert error == {
        "message": "No answer passed all checks in 2 attempts; the last one failed at /airport: "
        "not good.",
        "type": "invalid_request_error",
        "param": None,
        "code": "max_iter_exhausted",
        "session_id": SESSION_ID,
        "row_id": ROW_ID,
        "retryable": False,
        "findings": [{"code": "schema", "path": "/airport", "message": "not good", "got": "QQQ"}],
        "failed_generation": "QQQ",
    }
    assert dict(response.headers) == {
        b"x-request-id": SESSION_ID.encode(),
        b"x-should-retry": b"false",
        b"openai-processing-ms": b"813",
        b"x-lakehouse-verdict": b"max_iter_exhausted",
        b"x-lakehouse-iterations": b"2",
    }


def test_a_cut_off_answer_is_exhausted_and_the_hint_names_the_limit():
    failure = failure_of_reply(exhausted("truncated", attempts=1))
    assert told(failure)[:2] == (400, "max_iter_exhausted")
    assert "limit of its tokens" in failure.hint
    assert "in 1 attempt;" in failure.message


def test_a_refusal_of_the_provider_is_a_content_filter():
    failure = failure_of_reply(exhausted("refused"))
    assert told(failure) == (400, "content_filter", "invalid_request_error", b"false")


def test_an_accepted_session_is_no_failure():
    with pytest.raises(ValueError, match="accepted"):
        failure_of_reply(accepted())


@pytest.mark.parametrize(
    "word", ["tool_calls", "response_format", "context length", "maximum context"]
)
def test_a_message_has_no_word_by_which_clients_give_it_another_meaning(word: str):
    reply = exhausted()
    finding = msgspec.structs.replace(reply.findings[0], message=f"`{word}` is not good")
    failure = failure_of_reply(msgspec.structs.replace(reply, findings=(finding,)))
    assert failure.message == "No answer passed all checks in 2 attempts."


@pytest.mark.parametrize("code", ["overloaded", "upstream_status"])
def test_a_spent_quota_is_not_repeated(code: InfraCode):
    error = InfraError(code, "Status 429.", hint=QUOTA_HINT, retryable=False)
    failure = failure_of_reply(broken(error))
    assert told(failure) == (502, "insufficient_quota", "server_error", b"false")
    # Clients take a streamed `insufficient_quota` for a 429, and repeat it.
    assert failure.member(streamed=True).code == "quota_exceeded"


@pytest.mark.parametrize(
    "said",
    [
        "(context_length_exceeded): This model's maximum context length is 8192 tokens.",
        "the request exceeds the available context size (4096 tokens)",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "The input token count (40000) exceeds the maximum number of tokens allowed",
    ],
)
def test_a_context_that_is_too_long_upstream_is_the_callers_to_shorten(said: str):
    error = InfraError("upstream_status", f"The endpoint answered status 400: {said}")
    failure = failure_of_reply(broken(error))
    assert told(failure) == (400, "context_length_exceeded", "invalid_request_error", b"false")


def test_a_request_fault_names_its_parameter():
    fault = RequestFault("`n` is 2.", "unsupported_parameter", "n", "Leave it out.")
    response = error_response(fault, CALL)
    assert isinstance(response.body, bytes)
    assert response.status == fault.status == 400
    assert json.loads(response.body)["error"] == {
        "message": "`n` is 2.",
        "type": "invalid_request_error",
        "param": "n",
        "code": "unsupported_parameter",
        "session_id": SESSION_ID,
        "row_id": None,
        "retryable": False,
        "hint": "Leave it out.",
        "findings": [],
        "failed_generation": None,
    }


def test_the_server_and_the_error_do_not_both_say_when_to_repeat():
    """The server adds `retry-after` where an error has one."""
    with_wait = error_response(Refusal("rate_limited", "No.", retry_after_s=3), CALL)
    without = error_response(Refusal("rate_limited", "No."), CALL)
    assert b"retry-after" not in dict(with_wait.headers)
    assert dict(with_wait.headers)[b"retry-after-ms"] == b"3000"
    assert dict(without.headers)[b"retry-after"] == b"1"


@pytest.mark.parametrize("code", INFRA)
def test_a_final_outcome_in_a_stream_looks_like_a_400_and_others_do_not(code: InfraCode):
    member = failure_of_reply(broken(InfraError(code, "It failed."))).member(streamed=True)
    assert member.type == ("server_error" if REPEATED[code] else "invalid_request_error")
