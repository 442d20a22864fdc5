"""Errors told inside a 2xx, refusals in every shape, waits: shapes that public reports show."""

import asyncio
import json
from typing import Any

import pytest

from lakehouse.core.chat import ChatReply, ChatRequest, Message
from lakehouse.providers.access import Access
from lakehouse.providers.provider import ProviderFault
from lakehouse.transport.client import HttpClient
from support.dialect import provider_at
from support.raw_server import Exchange, RawServer

KEY = "sk-canary-0123456789abcdef"
REQUEST = ChatRequest(model="alias", messages=(Message("user", "Hi"),))
GOOD = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
NOTHING = {"index": 0, "message": {"role": "assistant", "content": None}, "finish_reason": "stop"}


def outcome(
    body: object, *, status: int = 200, dialect: str = "openai", **headers: str
) -> ChatReply | ProviderFault:
    """Ask once; asserts that the server was asked exactly once."""

    async def case() -> ChatReply | ProviderFault:
        async def handler(exchange: Exchange) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
            await exchange.reply(data, status, fields)

        async with RawServer(handler) as server:
            http = HttpClient()
            url = server.url + ("/v1" if dialect == "openai" else "")
            try:
                return await provider_at(dialect, url, http, access=Access(api_key=KEY)).complete(
                    REQUEST, trace={}, deadline_ms=60_000
                )
            except ProviderFault as fault:
                return fault
            finally:
                assert len(server.requests) == 1
                await http.close()

    return asyncio.run(case())


def fault(body: object, **kwargs: Any) -> ProviderFault:
    got = outcome(body, **kwargs)
    assert isinstance(got, ProviderFault), got
    assert not got.transport, "an endpoint that answers is there"
    return got


ROUTER_RAW = {
    "error": {
        "message": "Provider returned error",
        "code": 429,
        "metadata": {
            "raw": '{"error":{"message":"slow down, please retry in 12s","type":"rate"}}',
            "provider_name": "Somebody",
        },
    },
    "user_id": "user_1",
}
GOOGLE = [
    {
        "error": {
            "code": 429,
            "message": "You exceeded your current quota.",
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "39s"},
            ],
        }
    }
]


@pytest.mark.parametrize(
    ("body", "code", "again", "wait_s"),
    [
        ({"choices": None, "error": {"code": 429}}, "overloaded", True, None),
        ({"choices": None, "error": {"code": "429", "message": "busy"}}, "overloaded", True, None),
        ({"choices": [], "error": {"code": "rate_limit_exceeded"}}, "overloaded", True, None),
        (ROUTER_RAW, "overloaded", True, 12),
        (GOOGLE, "overloaded", True, 39),
        ({"error": {"type": "overloaded_error", "message": "x"}}, "overloaded", True, None),
        ({"type": "error", "error": {"type": "overloaded_error"}}, "overloaded", True, None),
        ({"error": {"code": 503, "message": "no instance"}}, "overloaded", True, None),
        ({"error": {"code": 502, "message": "bad"}}, "upstream_status", True, None),
        ({"error": {"code": "insufficient_quota"}}, "overloaded", False, None),
        ({"error": {"code": 402, "message": "Insufficient credits"}}, "upstream_status", False,
         None),
        ({"error": {"code": 400, "message": "context too long"}}, "upstream_status", False, None),
        ({"error": {"type": "invalid_request_error", "message": "no"}}, "upstream_status", False,
         None),
        ({"error": {"code": 401, "message": "No auth"}}, "upstream_status", False, None),
        ({"error": {"code": "model_not_found"}}, "model_missing", False, None),
        ({"error": {"code": 404, "message": "No endpoints"}}, "model_missing", False, None),
        ({"error": "CUDA error"}, "upstream_status", True, None),
        ({"error": "Rate limit reached, try again in 1.5s"}, "overloaded", True, 1.5),
        ({"object": "error", "message": "too many", "type": "TooManyRequests", "code": 429},
         "overloaded", True, None),
        ({"detail": "Internal Server Error"}, "upstream_status", True, None),
        ({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, "overloaded", True,
         None),
        ({"code": 20012, "message": "Model does not exist.", "data": None}, "model_missing",
         False, None),
        ({"choices": [NOTHING], "error": {"message": "Provider returned error", "code": 429}},
         "overloaded", True, None),
        ({"choices": [{**NOTHING, "error": {"code": 502, "message": "cut"}}]}, "upstream_status",
         True, None),
        ({"choices": [{**GOOD, "finish_reason": "error"}]}, "upstream_status", True, None),
        ({"choices": [{**GOOD, "error": {"code": "429"}}]}, "overloaded", True, None),
        ({"choices": [{**NOTHING, "finish_reason": "insufficient_system_resource"}]},
         "overloaded", True, None),
        ({"choices": [{**NOTHING, "finish_reason": "network_error"}]}, "upstream_status", True,
         None),
        ({"choices": [{**NOTHING, "finish_reason": "abort"}]}, "overloaded", True, None),
        ({"code": "rate_limit_daily", "message": "Too much for today."}, "overloaded", True, None),
        ({"code": "oops", "message": "Error code: 429 - slow down"}, "overloaded", True, None),
        ({"message": "upstream status: 503"}, "overloaded", True, None),
        ({"error": "HTTP 401 from the provider"}, "upstream_status", False, None),
        ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
         "upstream_status", False, None),
        ({"error": {"message": "Unknown model m"}}, "model_missing", False, None),
    ],
)  # fmt: skip
def test_an_error_inside_a_200_is_the_fault_that_its_code_says(
    body: object, code: str, again: bool, wait_s: float | None
) -> None:
    """Retried or not as the same status would be; never a bad answer, never "not a completion"."""
    got = fault(body)
    assert (got.code, got.again) == (code, again), got.public
    assert got.retry_after_s == wait_s
    assert code == "model_missing" or "inside status 200" in got.public


def test_the_words_of_an_error_inside_a_200_reach_the_caller_without_keys() -> None:
    """Nested texts too: the router's own sentence alone would say nothing."""
    inner = json.dumps({"error": {"message": f"z-ai is busy, key {KEY}"}})
    got = fault({"error": {"message": "Provider returned error", "code": 429,
                           "metadata": {"raw": inner}}})  # fmt: skip
    assert "Provider returned error" in got.public
    assert "z-ai is busy" in got.public
    assert KEY not in got.public + got.internal + got.hint


@pytest.mark.parametrize(
    "error", [None, {}, "", [], False, {"code": 0, "message": ""}, {"code": None, "message": None}]
)
def test_an_empty_error_beside_an_answer_is_none(error: object) -> None:
    """Some send the member always."""
    got = outcome({"choices": [GOOD], "error": error})
    assert isinstance(got, ChatReply), got
    assert got.text == "hi"


@pytest.mark.parametrize(
    ("body", "code", "again"),
    [
        ({"error": "CUDA error"}, "upstream_status", True),
        ({"error": "model 'm' not found"}, "model_missing", False),
        ({"error": "server busy, please try again"}, "overloaded", True),
        ({"error": "llm server loading model"}, "model_loading", True),
        ({"error": "error loading model: bad magic"}, "upstream_status", True),
        ({"error": {"code": 429, "message": "x"}}, "overloaded", True),
        ({"message": {"content": "{"}, "done": False, "error": "unexpected EOF"},
         "upstream_status", True),
        ({"message": {"content": ""}, "done": True, "done_reason": "load"}, "model_loading", True),
        ({"message": {"content": ""}, "done": True, "done_reason": "unload"}, "model_loading",
         True),
    ],
)  # fmt: skip
def test_ollama_tells_errors_and_mere_loads_in_a_200_too(
    body: object, code: str, again: bool
) -> None:
    """A load that answers nothing is no empty answer."""
    got = fault(body, dialect="ollama")
    assert (got.code, got.again) == (code, again), got.public


AZURE = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content "
        "management policy. Please modify your prompt and retry.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"hate": {"filtered": True, "severity": "high"}},
        },
    }
}
FILTERED = {"violence": {"filtered": True, "severity": "medium"}, "hate": {"filtered": False}}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, AZURE),
        (400, {"error": {"code": "BadRequest", "message": "no",
                         "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
        (400, {"error": {"code": "content_policy_violation", "message": "Your request…"}}),
        (400, {"error": {"code": "data_inspection_failed", "message": "Input data may contain…"}}),
        (400, {"error": {"message": "Content Exists Risk", "code": "invalid_request_error"}}),
        (400, {"error": {"message": "The request was rejected because it was considered high risk",
                         "type": "content_filter"}}),
        (400, {"error": {"code": "invalid_prompt", "message": "Invalid prompt: flagged as "
                         "potentially violating our usage policy."}}),
        (403, {"error": {"code": 403, "message": "x requires moderation",
                         "metadata": {"reasons": ["violence"], "flagged_input": "…"}}}),
        (403, {"error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE"}),
        (400, {"message": "Guardrail was triggered: guardrail intervened."}),
        (400, {"error": {"message": "Input blocked: the guardrail blocked it"}}),
        (200, {"choices": None, "error": {"code": "content_filter"}}),
        (200, {"choices": [{**NOTHING, "error": {"code": "content_filter", "message": "x"}}]}),
        (200, {"choices": [], "prompt_filter_results": [
            {"prompt_index": 0, "content_filter_results": FILTERED}]}),
        (200, {"choices": None, "promptFeedback": {"blockReason": "SAFETY"}}),
        (200, {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}),
        (200, {"choices": [], "prompt_feedback": {"block_reason": "OTHER"}}),
        (200, {"choices": [{"index": 0, "finish_reason": "content_filter",
                            "content_filter_results": FILTERED}]}),
        (200, {"choices": [{**NOTHING, "finish_reason": None,
                            "content_filter_results": FILTERED}]}),
        (200, {"choices": [{"message": None, "finish_reason": "SAFETY"}]}),
        (200, {"choices": [{**NOTHING, "finish_reason": "error",
                            "native_finish_reason": "PROHIBITED_CONTENT"}]}),
        (200, {"choices": [{**GOOD, "message": {"content": [
            {"type": "refusal", "refusal": "I cannot."}]}}]}),
        *(
            (200, {"choices": [{**NOTHING, "finish_reason": word}]})
            for word in ("SAFETY", "content_filter", "RECITATION", "PROHIBITED_CONTENT", "SPII",
                         "BLOCKLIST", "content_filter: RECITATION", "FinishReason.SAFETY",
                         "FINISH_REASON_SAFETY", "refusal", "sensitive")
        ),
    ],
)  # fmt: skip
def test_a_refusal_in_any_shape_is_an_answer_that_refuses(status: int, body: object) -> None:
    """The finding `refused`, not an outage: nothing is wrong with the endpoint."""
    got = outcome(body, status=status)
    assert isinstance(got, ChatReply), got
    assert (got.text, got.finish_reason) == ("", "content_filter")


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, {"error": {"code": "context_length_exceeded", "message": "content is too long"}},
         "upstream_status"),
        (401, {"error": {"message": "this key violates our usage policies"}}, "upstream_status"),
        (200, {"choices": [], "prompt_filter_results": [
            {"content_filter_results": {"hate": {"filtered": False}}}]}, "upstream_malformed"),
        (200, {"choices": [], "promptFeedback": {"safetyRatings": []}}, "upstream_malformed"),
        (200, {"choices": []}, "upstream_malformed"),
        (200, "just a text", "upstream_malformed"),
    ],
)  # fmt: skip
def test_what_is_no_refusal_stays_a_fault(status: int, body: object, code: str) -> None:
    """A filter that let everything through has refused nothing."""
    assert fault(body, status=status).code == code


def test_an_answer_that_the_endpoint_found_to_be_no_json_is_judged_here() -> None:
    """Groq tells it as a 400 with the text: it is the model's doing, not an outage."""
    error = {
        "message": "Failed to generate JSON. Please adjust your prompt.",
        "type": "invalid_request_error",
        "code": "json_validate_failed",
        "failed_generation": '{"city": "Oslo",}',
    }
    got = outcome({"error": error}, status=400)
    assert isinstance(got, ChatReply), got
    assert (got.text, got.finish_reason) == ('{"city": "Oslo",}', "stop")


def test_an_answer_without_a_message_that_ran_out_of_tokens_is_empty() -> None:
    """Thinking took them all: the loop gives the next attempt more."""
    got = outcome({"choices": [{"index": 0, "finish_reason": "length"}]})
    assert isinstance(got, ChatReply), got
    assert (got.text, got.finish_reason) == ("", "length")


@pytest.mark.parametrize(
    ("body", "headers", "wait_s"),
    [
        (GOOGLE, {}, 39),
        ({"error": {"message": "Please try again in 1.5s."}}, {}, 1.5),
        ({"error": {"message": "Please try again in 6m0s. Visit …"}}, {}, 360),
        ({"error": {"message": "Please try again in 20ms."}}, {}, 0.02),
        ({"error": {"message": "try again in 1h2m3s"}}, {}, 3_723),
        ({"error": {"message": "Please retry after 30 seconds."}}, {}, 30),
        ({"error": {"message": "Please retry in 39.488201735s."}}, {}, 39.488201735),
        ({"error": {"message": "wait 2 minutes and 5 seconds"}}, {}, 125),
        ({"error": {"message": "Rate limit of 30 requests in 60 s"}}, {}, None),
        ({"error": {"message": "x", "retry_after": 3}}, {}, 3),
        ({"error": {"message": "x", "metadata": {"headers": {"Retry-After": "8"}}}}, {}, 8),
        ({"error": {"message": "try again in 9s"}}, {"retry_after": "4"}, 4),
        ({}, {"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({}, {"x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "6m0s"}, 360),
        ({}, {"x_ratelimit_remaining_requests": "99", "x_ratelimit_reset_requests": "1h",
              "x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "7.66s"}, 7.66),
        ({}, {"x_ratelimit_reset": "17"}, 17),
        ({}, {"x_rate_limit_reset_tokens": "55"}, 55),
        ({}, {"x_rate_limit_reset_requests": "9", "x_ratelimit_remaining_requests": "3"}, None),
        ({}, {"retry_after": "99999999"}, 86_400),
    ],
)  # fmt: skip
def test_a_wait_is_read_wherever_the_endpoint_tells_it(
    body: object, headers: dict[str, str], wait_s: float | None
) -> None:
    """In details, in prose, in limits that are used up; the header says it best."""
    got = fault(body, status=429, **headers)
    assert got.code == "overloaded"
    assert got.retry_after_s == (None if wait_s is None else pytest.approx(wait_s))
