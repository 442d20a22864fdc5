"""What an endpoint does not take of what we add: asked otherwise, remembered, told once."""

import asyncio
import json
import logging
from typing import Any

import msgspec
import pytest

from lakehouse.core.chat import ChatReply, Sampling
from lakehouse.core.errors import InfraError
from lakehouse.providers.capability import REPEATS_MAX, Capabilities
from lakehouse.providers.ollama import OllamaProvider, OllamaSettings
from lakehouse.providers.provider import ProviderFault
from lakehouse.providers.strict_schema import is_of_objects, may_be_strict
from lakehouse.transport.client import HttpClient
from support.capability import CLOSED, Case, Rule, form_of, question
from support.endpoint import Answer, refusal
from support.raw_server import Exchange, RawServer

OPEN = b'{"type":"object","properties":{"city":{"type":"string"}}}'
LIST = b'{"type":"array","items":{"type":"string"}}'


def no_format(status: int, message: str, *taken: str, **members: object) -> Rule:
    """Refuse every form but those taken."""
    return lambda body: None if form_of(body) in taken else refusal(message, status, **members)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, "response_format is not enabled for your plan"),
        (405, "json_schema is not available here"),
        (502, "structured outputs failed upstream"),
        (503, "The grammar backend is unavailable."),
    ],
)
def test_any_status_that_names_the_format_is_about_the_format(status: int, message: str) -> None:
    case = Case(no_format(status, message, "none"))
    [reply] = case.ask(question())
    assert isinstance(reply, ChatReply), reply
    assert case.forms[-1] == "none"


@pytest.mark.parametrize("status", [401, 402, 429])
def test_a_status_about_the_caller_is_none_of_the_format(status: int) -> None:
    """The key, the account and the pace are not helped by asking otherwise."""
    case = Case(no_format(status, "response_format is not for you", "none"))
    [found] = case.ask(question())
    assert isinstance(found, InfraError)
    assert set(case.forms) == {"strict"}


@pytest.mark.parametrize("status", [400, 404, 415, 422, 500, 501])
@pytest.mark.parametrize(
    "message",
    ["response_format is not supported", "Bad Request", ""],
    ids=["named", "bare", "mute"],
)
def test_an_endpoint_that_takes_no_response_format_is_asked_without_it(
    status: int, message: str
) -> None:
    """Whatever the status and the words: the call is answered, and no retry was spent."""
    case = Case(no_format(status, message, "none"))
    [reply] = case.ask(question())
    assert isinstance(reply, ChatReply), reply
    assert case.forms == ["strict", "json_schema", "json_object", "none"]


@pytest.mark.parametrize(
    ("rule", "forms"),
    [
        (no_format(400, "strict is not permitted", "json_schema"), ["strict", "json_schema"]),
        (no_format(400, "'response_format.type' must be 'json_object'", "json_object", "none"),
         ["strict", "json_schema", "json_object"]),
        (no_format(400, "'response_format.type' must be 'json_schema' or 'text'", "json_schema"),
         ["strict", "json_schema"]),
        (lambda body: (422, {}, {"detail": [{"loc": ["body", "response_format", "json_schema"],
                                              "msg": "Extra inputs are not permitted"}]})
         if form_of(body) in {"strict", "json_schema"} else None,
         ["strict", "json_schema", "json_object"]),
        (lambda body: (200, {}, {"choices": None, "error": {"code": 400, "message": "no"}})
         if form_of(body) != "none" else None,
         ["strict", "json_schema", "json_object", "none"]),
        (lambda body: (404, {}, {"error": {"code": 404, "message": "No endpoints found that can "
                                           "handle the requested parameters."}})
         if form_of(body) != "none" else None,
         ["strict", "json_schema", "json_object", "none"]),
    ],
)  # fmt: skip
def test_the_best_form_that_is_taken_is_found_and_remembered(rule: Rule, forms: list[str]) -> None:
    """Step by step, once: the second call goes straight to what was found."""
    case = Case(rule)
    first, second = case.ask(question(), question())
    assert isinstance(first, ChatReply), first
    assert isinstance(second, ChatReply), second
    assert case.forms == [*forms, forms[-1]]


def test_what_is_refused_is_said_once_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """The model, the form that is not taken, what is used, and the endpoint's words."""
    caplog.set_level(logging.WARNING)
    Case(no_format(400, "response_format is not supported", "none")).ask(*[question()] * 5)
    [record] = [one for one in caplog.records if "does not accept" in one.getMessage()]
    assert "'m'" in record.getMessage()
    assert "none" in record.getMessage()
    assert "response_format is not supported" in record.getMessage()


def test_a_schema_that_is_refused_does_not_spoil_another() -> None:
    """The message blames the schema: only that one is asked for differently."""

    def rule(body: dict[str, Any]) -> Answer | None:
        if form_of(body) in {"strict", "json_schema"} and '"bad"' in json.dumps(body):
            return refusal("Invalid schema for response_format 'artifact': oneOf is not permitted")
        return None

    bad = b'{"type":"object","properties":{"bad":{"type":"string"}}}'
    case = Case(rule)
    case.ask(question(bad), question(CLOSED), question(bad))
    assert case.forms == ["json_schema", "json_object", "strict", "json_object"]


def test_a_failure_that_passes_teaches_nothing() -> None:
    """One bare 500 is no proof: the next call is put in the best form again."""
    answers: list[Answer] = [refusal("it broke", 500)]
    case = Case(lambda _: answers.pop() if answers else None)
    replies = case.ask(question(), question())
    assert all(isinstance(reply, ChatReply) for reply in replies)
    assert case.forms == ["strict", "json_schema", "strict"]


def test_a_bare_500_that_comes_again_teaches() -> None:
    """Twice in a row it is the form; from then on nothing is wasted."""
    case = Case(no_format(500, "it broke", "none"))
    case.ask(*[question()] * 4)
    assert case.forms == ["strict", "json_schema", "json_object", "none"] * 2 + ["none"] * 2


def test_an_outage_is_not_asked_four_times_for_ever() -> None:
    """A 500 that the form has nothing to do with: guesses end, and retries stay what they were."""
    case = Case(lambda _: refusal("it broke", 500))
    replies = case.ask(*[question()] * 5)
    assert [getattr(reply, "code", None) for reply in replies] == ["upstream_status"] * 5
    guesses = len(case.bodies) - case.forms.count("strict")
    assert guesses == 3


def test_a_bare_400_of_something_else_costs_one_more_call_from_then_on() -> None:
    """It is told plainly, and what only the format causes is found out all the same."""
    case = Case(lambda _: refusal("nope", 400))
    first, second = case.ask(question(), question())
    assert isinstance(first, InfraError)
    assert isinstance(second, InfraError)
    assert "nope" in first.public
    assert case.forms == ["strict", "json_schema", "json_object", "none", "strict", "none"]


def test_json_object_mode_says_json_and_keeps_the_conversation() -> None:
    """OpenAI refuses the mode where no message says JSON; where one does, nothing is added."""

    def rule(body: dict[str, Any]) -> Answer | None:
        if form_of(body) in {"strict", "json_schema"}:
            return refusal("json_schema is not supported")
        said = any("json" in turn["content"].lower() for turn in body["messages"])
        return None if said else refusal("'messages' must contain the word 'json'")

    case = Case(rule)
    first, second = case.ask(question(), question(text="Give JSON."))
    assert isinstance(first, ChatReply), first
    assert isinstance(second, ChatReply), second
    assert case.bodies[2]["messages"][0]["content"].startswith("Which city?\n\n")
    assert case.bodies[3]["messages"] == [{"role": "user", "content": "Give JSON."}]


def test_json_object_mode_is_not_asked_for_a_list() -> None:
    """It could give nothing that the schema takes."""
    case = Case(no_format(400, "json_schema is not supported", "json_object", "none"))
    case.ask(question(LIST))
    assert case.forms == ["strict", "json_schema", "none"]


def test_the_repeats_of_a_call_are_bounded_and_within_its_deadline() -> None:
    """An endpoint that dislikes everything, differently each time, ends the call."""
    words = iter(["response_format", "schema", "json_object", "max_tokens", "temperature"] * 9)
    case = Case(lambda _: refusal(f"{next(words)} is not supported"))
    request = question(max_tokens=5, temperature=0.9, fallback=Sampling(max_tokens=5))
    [error] = case.ask(request)
    assert isinstance(error, InfraError)
    assert 1 < len(case.bodies) <= REPEATS_MAX + 1


def test_what_was_learned_is_tried_again_after_an_hour() -> None:
    """An endpoint that was updated gets its schema again, without a restart."""
    now = [0.0]
    found = Capabilities("m", ("json_schema", "none"), tokens_fields=("n",), now_s=lambda: now[0])
    asked = []

    async def call(ask: Any, _: int) -> ChatReply:
        asked.append(ask.form)
        if ask.form != "none" and now[0] < 1_000:
            raise refused
        return reply

    refused, reply = _refused(), _reply()

    async def case() -> None:
        for now[0] in (0.0, 10.0, 3_599.0, 3_601.0):
            await found.ask(question(), call, deadline_ms=60_000)

    asyncio.run(case())
    assert asked == ["json_schema", "none", "none", "none", "json_schema"]


def _refused() -> ProviderFault:
    case = Case(lambda _: refusal("response_format is not supported"))
    [error] = case.ask(question())
    assert isinstance(error, ProviderFault)
    return error


def _reply() -> ChatReply:
    [reply] = Case(lambda _: None).ask(question())
    assert isinstance(reply, ChatReply)
    return reply


def test_ollama_without_schemas_is_asked_for_json_and_then_for_text() -> None:
    """An older Ollama knows `format: "json"` only; another none at all."""
    bodies: list[dict[str, Any]] = []

    async def case() -> ChatReply:
        async def handler(exchange: Exchange) -> None:
            body = exchange.request.json()
            bodies.append(body)
            if isinstance(body.get("format"), dict):
                error = "json: cannot unmarshal object into Go struct field ChatRequest.format"
                await exchange.reply({"error": error}, 400)
            else:
                message = {"role": "assistant", "content": "{}"}
                await exchange.reply({"message": message, "done": True, "done_reason": "stop"})

        async with RawServer(handler) as server:
            http = HttpClient()
            settings = OllamaSettings(model="m", base_url=server.url)
            reply = await OllamaProvider(settings, http).complete(
                question(), trace={}, deadline_ms=60_000
            )
            await http.close()
            return reply

    assert asyncio.run(case()).text == "{}"
    assert [body.get("format") for body in bodies] == [msgspec.json.decode(CLOSED), "json"]


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        (OPEN, False),
        (b'{"anyOf":[{"type":"string"}]}', False),
        ((b'{"type":"object","properties":{"a":{"oneOf":[{"type":"string"}]}},"required":["a"],'
         b'"additionalProperties":false}'), False),
        ((b'{"type":"object","properties":{"a":{"type":"string","minLength":1}},"required":["a"],'
         b'"additionalProperties":false}'), False),
        ((b'{"type":"object","properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"}]}},'
         b'"required":["a"],"additionalProperties":false}'), True),
        ((b'{"type":"object","properties":{"oneOf":{"type":"string"}},"required":["oneOf"],'
         b'"additionalProperties":false}'), True),
        ((b'{"type":"object","properties":{"a":{"enum":[{"oneOf":1}]}},"required":["a"],'
         b'"additionalProperties":false}'), True),
        ((b'{"$defs":{"x":{"type":"object"}},"type":"object","properties":{"a":{"$ref":"#/$defs/x"}},'
         b'"required":["a"],"additionalProperties":false}'), False),
        (b"true", False),
    ],
)  # fmt: skip
def test_strict_mode_is_asked_for_only_where_it_can_be_taken(schema: bytes, strict: bool) -> None:
    """Tagged unions, optional members, open objects, unknown keywords: not strict."""
    assert may_be_strict(schema) is strict


def test_what_may_be_an_object_is_told_from_the_type() -> None:
    """Nothing said: it may be."""
    assert is_of_objects(OPEN)
    assert is_of_objects(b"{}")
    assert is_of_objects(b'{"type":["object","null"]}')
    assert not is_of_objects(LIST)
    assert not is_of_objects(b'{"type":"integer"}')


def test_the_breaker_stays_closed_over_refused_forms() -> None:
    """Ten calls with four refusals each: the endpoint is there all the time."""
    case = Case(no_format(500, "it broke", "none"))
    replies = case.ask(*[question(text=str(n)) for n in range(10)])
    assert all(isinstance(reply, ChatReply) for reply in replies)


def test_a_call_without_time_left_is_not_repeated() -> None:
    """The refusal itself is told, not a deadline that it did not miss."""

    async def slow(ask: Any, _: int) -> ChatReply:
        await asyncio.sleep(0.2)
        raise refused

    refused = _refused()
    found = Capabilities("m", ("json_schema", "none"), tokens_fields=("n",))
    with pytest.raises(ProviderFault) as caught:
        asyncio.run(found.ask(question(), slow, deadline_ms=250))
    assert caught.value is refused
