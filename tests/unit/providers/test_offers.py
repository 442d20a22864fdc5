"""What endpoints do with values of tables in a schema: refused or not, no call is lost for it."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from lakehouse.core.chat import ChatReply, Offer
from lakehouse.core.errors import InfraError
from lakehouse.providers.capability import REPEATS_MAX, Ask, Capabilities, _fitting
from lakehouse.providers.llama_cpp import LlamaCppSettings
from lakehouse.providers.ollama import OllamaProvider, OllamaSettings
from lakehouse.providers.openai import OpenAiSettings
from lakehouse.providers.provider import ModelSettings, ProviderFault
from lakehouse.providers.scripted import ScriptedSettings
from lakehouse.transport.client import HttpClient
from support.capability import CLOSED, LOST, Case, form_of, question
from support.endpoint import Answer, refusal
from support.offered_calls import HINT, narrowed, offering, schema_in, told_in, values_in
from support.raw_server import Exchange, RawServer

MOST = 100
# What endpoints said of schemas with too many values, as their users reported it.
REFUSALS: dict[str, Answer] = {
    "openai values": refusal(
        "Invalid schema for response_format 'artifact': Expected at most 500 enum values in total "
        "within a single schema when using structured outputs, but received 520. Consider reducing "
        "the number of enums, or use 'strict: false' to opt out of structured outputs.",
        type="invalid_request_error", param="response_format", code=None,
    ),
    "openai characters": refusal(
        "Invalid schema for response_format 'artifact': a single enum property with more than 250 "
        "values exceeds the maximum combined enum string length of 15000 characters",
        type="invalid_request_error", param="response_format",
    ),
    "gemini": (400, {}, json.dumps([{"error": {
        "code": 400, "status": "INVALID_ARGUMENT",
        "message": "The specified schema produces a constraint that has too many states for "
        "serving. Typical causes of this error are schemas with lots of text (for example, very "
        "long property or enum names), schemas with long array length limits (especially when "
        "nested), or schemas using complex value matchers (for example, integers or numbers with "
        "minimum/maximum bounds or strings with complex formats like date-time)",
    }}])),
    "gemini details": (400, {}, {"error": {
        "code": 400, "status": "INVALID_ARGUMENT",
        "message": "Request contains an invalid argument.",
        "details": [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [
            {"description": "The specified schema produces a constraint that has too many states "
             "for serving."}]}],
    }}),
    "anthropic": (400, {}, {"type": "error", "error": {
        "type": "invalid_request_error",
        "message": "The compiled grammar is too large, which would cause performance issues. "
        "Simplify your tool schemas or reduce the number of strict tools.",
    }}),
    "anthropic unions": refusal(
        "Schemas contains too many parameters with union types (49 parameters with type arrays or "
        "anyOf) which exceeds the limit: 16", type="invalid_request_error",
    ),
    "llama.cpp": refusal("Failed to initialize samplers: failed to parse grammar", code=400,
                         type="invalid_request_error"),
    "vllm": (400, {}, {"object": "error", "type": "BadRequestError", "code": 400, "param": None,
                       "message": "Failed to convert the grammar from JSON schema: too large"}),
    "vllm engine": (500, {}, {"object": "error", "type": "Internal Server Error", "code": 500,
                              "message": "EngineCore encountered an issue. See stack trace (above) "
                              "for the root cause."}),
    "sglang": (400, {}, {"object": "error", "type": "BadRequest", "code": 400,
                         "message": "Failed to compile json_schema grammar"}),
    "schema too complex": refusal("Schema is too complex."),
    "unprocessable": (422, {}, {"detail": [{"loc": ["body", "response_format", "json_schema"],
                                            "msg": "List should have at most 100 items"}]}),
    "names a value": refusal("City 7 seed stop temperature: not acceptable"),
    "context": refusal("This model's maximum context length is 8192 tokens. However, you requested "
                       "9000 tokens.", code="context_length_exceeded"),
    "too large": (413, {}, "Request Entity Too Large"),
    "mute": (400, {}, {}),
    "mute 500": (500, {}, ""),
    "bad gateway": (502, {}, "<html><title>502 Bad Gateway</title></html>"),
    "gateway timeout": (504, {}, "upstream request timeout"),
    "in a 200": (200, {}, {"choices": None, "error": {"code": 400, "message": "Provider error"}}),
}  # fmt: skip
OLLAMA_REFUSALS: dict[str, Answer] = {
    "vocabulary": (500, {}, {"error": "failed to load model vocabulary required for format"}),
    "sequence": (500, {}, {"error": "Failed to create new sequence: unable to create sampling "
                           "context\n"}),
    "grammar": (400, {}, {"error": "Failed to initialize samplers: failed to parse grammar"}),
    "in a 200": (200, {}, {"error": "llama runner process no longer running: -1"}),
}  # fmt: skip
# These say nothing that proves the size: counted when they come again, or not at all.
UNSURE = {"vllm engine", "mute 500", "bad gateway", "gateway timeout"}
OF_LENGTH = {"context", "too large"}


def too_many(answer: Answer) -> Callable[[dict[str, Any]], Answer | None]:
    return lambda body: answer if values_in(body) >= MOST else None


def offered(replies: list[ChatReply | InfraError]) -> list[str | None]:
    for reply in replies:
        assert isinstance(reply, ChatReply), reply
    return [reply.offered for reply in replies if isinstance(reply, ChatReply)]


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refused_schema_gives_way_to_a_hint_and_its_size_is_remembered(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Four calls are answered; one refusal, then none; fewer values are still decoded under."""
    caplog.set_level(logging.WARNING)
    case = Case(too_many(REFUSALS[name]))
    replies = case.ask(offering(MOST), offering(MOST + 1), offering(MOST - 1), offering(3))
    assert offered(replies) == ["hint", "hint", "decode", "decode"]
    again = 2 if name in UNSURE | OF_LENGTH else 1
    assert [values_in(body) >= MOST for body in case.bodies].count(True) == again, "refused"
    assert set(case.forms) == {"strict"}, "the form is not at fault"
    first, own = case.bodies[:2]
    assert (values_in(first), told_in(first)) == (MOST, False)
    assert (values_in(own), told_in(own)) == (0, True)
    told = [one.getMessage() for one in caplog.records if "does not accept" in one.getMessage()]
    assert len(told) == (0 if name in OF_LENGTH else 1)
    if told and name not in UNSURE:
        assert f"{MOST} values" in told[0]
        assert "enum_values_max" in told[0]


@pytest.mark.parametrize("name", OLLAMA_REFUSALS)
def test_ollama_is_asked_under_its_own_schema_with_the_hint(name: str) -> None:
    """Whatever it says of its grammar."""
    bodies: list[dict[str, Any]] = []

    async def case() -> list[ChatReply]:
        async def handler(exchange: Exchange) -> None:
            bodies.append(exchange.request.json())
            if values_in(bodies[-1]) >= MOST:
                status, _, answer = OLLAMA_REFUSALS[name]
                await exchange.reply(answer, status)
                return
            message = {"role": "assistant", "content": "{}"}
            await exchange.reply({"message": message, "done": True, "done_reason": "stop"})

        async with RawServer(handler) as server:
            http = HttpClient()
            provider = OllamaProvider(OllamaSettings(model="m", base_url=server.url), http)
            found = [
                await provider.complete(request, trace={}, deadline_ms=60_000)
                for request in (offering(MOST), offering(3))
            ]
            await http.close()
            return found

    replies = asyncio.run(case())
    assert [reply.offered for reply in replies] == ["hint", "decode"]
    assert [(values_in(body), told_in(body)) for body in bodies] == [
        (MOST, False), (0, True), (3, False),
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["strict", "json_schema", "json_object", "none"])
def test_the_form_is_searched_under_the_own_schema_when_that_is_refused_too(form: str) -> None:
    """The steps of a call without values, with the hint; from then on the best that is known."""

    def rule(body: dict[str, Any]) -> Answer | None:
        taken = form_of(body) == form and values_in(body) == 0
        return None if taken else refusal("response_format is not supported")

    case = Case(rule)
    assert offered(case.ask(offering(3), offering(3))) == ["hint", "hint"]
    steps = ["strict", "strict", "json_schema", "json_object", "none"]
    expected = steps[: steps.index(form) + (2 if form == "strict" else 1)]
    assert case.forms[: len(expected)] == expected
    assert [told_in(body) for body in case.bodies[1 : len(expected)]] == [True] * (
        len(expected) - 1
    )
    if form in {"json_object", "none"}:
        assert case.forms[len(expected) :] == [form], "not decoded under: no schema is tried"


def test_a_form_that_is_not_taken_says_nothing_of_values() -> None:
    """The next call has them in the schema, in the form that is taken."""
    case = Case(
        lambda body: refusal("strict is not permitted") if form_of(body) == "strict" else None
    )
    assert offered(case.ask(offering(3), offering(3))) == ["hint", "decode"]
    assert case.forms == ["strict", "strict", "json_schema", "json_schema"]


@pytest.mark.parametrize("status", [401, 402, 429])
def test_a_status_about_the_caller_is_none_of_the_values(status: int) -> None:
    """The key, the account and the pace are not helped by other words in the prompt."""
    case = Case(lambda _: refusal("The request is too long for your plan.", status))
    [found] = case.ask(offering(3))
    assert isinstance(found, InfraError)
    assert {values_in(body) for body in case.bodies} == {3}


@pytest.mark.parametrize("setting", ["json_object", "none"])
def test_a_form_that_does_not_decode_gets_the_hint_at_once(setting: str) -> None:
    """One call, with the values in its prompt."""
    case = Case(lambda _: None, response_format=setting)
    assert offered(case.ask(offering(3))) == ["hint"]
    [body] = case.bodies
    assert schema_in(body) is None
    assert told_in(body)
    assert offered(case.ask(offering(3, hint=""))) == [None]


def test_an_empty_hint_adds_nothing_and_says_so() -> None:
    """The row then says that nothing was offered."""
    case = Case(too_many(refusal("Schema is too complex.")))
    assert offered(case.ask(offering(MOST, hint=""), offering(3, hint=""))) == [None, "decode"]
    assert case.bodies[1]["messages"] == [{"role": "user", "content": "Which city?"}]


def test_a_hint_that_makes_the_prompt_too_long_is_left_out() -> None:
    """Both were added by us: the call is answered without either, and no size is learned."""

    def rule(body: dict[str, Any]) -> Answer | None:
        over = values_in(body) or told_in(body)
        return refusal("The maximum context length is 9 tokens") if over else None

    case = Case(rule)
    assert offered(case.ask(offering(3), offering(2))) == [None, None]
    assert [values_in(body) for body in case.bodies] == [3, 0, 0, 2, 0, 0]


@pytest.mark.parametrize("schema", [b"null", narrowed(3)])
def test_what_stands_beside_the_schema_is_left_out_too(schema: bytes) -> None:
    """Whatever we add to a prompt costs no session."""

    def rule(body: dict[str, Any]) -> Answer | None:
        return refusal("The maximum context length is 9 tokens") if told_in(body) else None

    case = Case(rule)
    offer = Offer(msgspec.Raw(schema), beside=HINT)
    assert offered(case.ask(question(CLOSED, "Which city?", offer=offer))) == [None]
    assert told_in(case.bodies[0])


def test_a_prompt_that_is_too_long_by_itself_is_no_sign_of_trouble() -> None:
    """It is told as it is, and the next call is still asked in every form."""

    def rule(body: dict[str, Any]) -> Answer | None:
        if body["messages"][0]["content"].startswith("Long"):
            return refusal("The maximum context length is 9 tokens")
        return None if form_of(body) == "none" else (500, {}, "")

    case = Case(rule)
    failed, later = case.ask(offering(3, text="Long"), question())
    assert isinstance(failed, InfraError)
    assert "context length" in failed.public
    assert isinstance(later, ChatReply), later


def test_a_refusal_of_everything_is_told_and_bounded() -> None:
    """What the caller set is the last that was tried."""
    case = Case(lambda _: refusal("nope", 400))
    [error] = case.ask(offering(3))
    assert isinstance(error, InfraError)
    assert "nope" in error.public
    assert len(case.bodies) <= REPEATS_MAX + 1
    last = case.bodies[-1]
    assert (form_of(last), values_in(last), told_in(last)) == ("none", 0, False)


def test_an_endpoint_that_refuses_everything_is_asked_without_the_hint_again() -> None:
    """Also by the second call, when fewer guesses are made."""

    def rule(body: dict[str, Any]) -> Answer | None:
        return refusal("nope", 400) if told_in(body) or len(case.bodies) <= 2 else None

    case = Case(rule, response_format="json_object")
    failed, later = case.ask(offering(3), offering(3))
    assert isinstance(failed, InfraError)
    assert offered([later]) == [None]
    assert [told_in(body) for body in case.bodies] == [True, False, True, False]


def test_an_endpoint_in_trouble_still_loses_no_call_over_values() -> None:
    """After guesses that did not help, a refusal without words is still taken for one of values."""
    case = Case(lambda body: (500, {}, "") if down(case) or values_in(body) else None)

    def down(case: Case) -> bool:
        return all(body["messages"][0]["content"].startswith("First") for body in case.bodies)

    failed, *later = case.ask(offering(3, text="First"), offering(3), offering(3))
    assert isinstance(failed, InfraError)
    assert offered(later) == ["hint", "hint"]
    assert [values_in(body) for body in case.bodies[-4:]] == [3, 0, 3, 0]


def test_a_failure_that_passes_teaches_nothing_of_sizes() -> None:
    """Two failures without words, and an accepted schema between them: the next is sent as well."""

    def rule(body: dict[str, Any]) -> Answer | None:
        sent = sum(values_in(one) > 0 for one in case.bodies)
        return (500, {}, "") if values_in(body) and sent in {1, 3} else None

    case = Case(rule)
    assert offered(case.ask(*[offering(3)] * 4)) == ["hint", "decode", "hint", "decode"]


def test_a_lost_answer_is_not_asked_for_under_values_again() -> None:
    """A server that its grammar stopped is asked again by the retry loop, with the hint."""
    case = Case(lambda body: LOST if values_in(body) else None)
    assert offered(case.ask(offering(3), offering(3))) == ["hint", "hint"]
    assert [values_in(body) for body in case.bodies] == [3, 0, 0]


def test_a_size_is_tried_again_after_an_hour() -> None:
    """An endpoint that was updated takes the schema again, without a restart."""
    now = [0.0]
    found = Capabilities("m", ("strict", "none"), tokens_fields=("n",), now_s=lambda: now[0])
    asked: list[str | None] = []
    refused, reply = _refused(), _reply()

    async def call(ask: Ask, _: int) -> ChatReply:
        asked.append(ask.offered)
        if ask.offered == "decode" and now[0] < 1_000:
            raise refused
        return reply

    async def case() -> list[str | None]:
        replies = []
        for now[0] in (0.0, 3_599.0, 3_601.0):
            replies.append(await found.ask(offering(3), call, deadline_ms=60_000))
        return [reply.offered for reply in replies]

    assert asyncio.run(case()) == ["hint", "hint", "decode"]
    assert asked == ["decode", "hint", "hint", "decode"]


def _refused() -> ProviderFault:
    case = Case(lambda _: refusal("Schema is too complex."), response_format="json_schema")
    [error] = case.ask(offering(3))
    assert isinstance(error, ProviderFault)
    return error


def _reply() -> ChatReply:
    [reply] = Case(lambda _: None).ask(offering(3))
    assert isinstance(reply, ChatReply)
    return reply


def test_narrowed_schemas_are_in_no_cache() -> None:
    """They differ with every text, and would push out the schemas of kinds."""
    _fitting.cache_clear()
    Case(lambda _: None).ask(*[offering(n) for n in range(1, 30)])
    assert _fitting.cache_info().currsize == 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (OpenAiSettings(model="m"), (500, False)),
        (OpenAiSettings(model="m", response_format="json_schema"), (500, False)),
        (OpenAiSettings(model="m", response_format="json_object"), None),
        (OpenAiSettings(model="m", response_format="none"), None),
        (OpenAiSettings(model="m", enum_values_max=20), (20, False)),
        (OpenAiSettings(model="m", enum_values_max=2_000), (500, False)),
        (OllamaSettings(model="m"), (1_000, True)),
        (OllamaSettings(model="m", response_format="none"), None),
        (LlamaCppSettings(model="m", enum_values_max=1), (1, True)),
        (ScriptedSettings(model="m"), (None, True)),
        (ScriptedSettings(model="m", enum_values_max=7), (7, True)),
    ],
)
def test_a_model_says_what_it_decodes_under(
    settings: ModelSettings, expected: tuple[int | None, bool] | None
) -> None:
    """Its provider's limits, lowered by its setting; none where it gets no schema."""
    limits = settings.named("a").decoding
    assert limits == settings.decoding()
    found = None if limits is None else (limits.values_max, limits.root_union)
    assert found == expected
