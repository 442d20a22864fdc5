"""Lengths and sampling that an endpoint refuses: ours are dropped, the caller’s are told."""

from typing import Any

import pytest

from lakehouse.core.chat import ChatReply, Sampling
from lakehouse.core.errors import InfraError
from support.capability import CLOSED, Case, question
from support.endpoint import Answer, refusal


@pytest.mark.parametrize(
    "message",
    [
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead."
        ),
        "Unrecognized request argument supplied: max_tokens",
        "body.max_tokens: Extra inputs are not permitted",
    ],
)
def test_the_length_goes_under_the_name_that_is_taken(message: str) -> None:
    """The caller's limit holds under the other name, and the name is remembered."""
    case = Case(lambda body: refusal(message, param="max_tokens") if "max_tokens" in body else None)
    replies = case.ask(*[question(None, max_tokens=64)] * 2)
    assert all(isinstance(reply, ChatReply) for reply in replies)
    lengths = [(body.get("max_tokens"), body.get("max_completion_tokens")) for body in case.bodies]
    assert lengths == [(64, None), (None, 64), (None, 64)]


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        ({"temperature": 0.8}, ("Unsupported value: 'temperature' does not support 0.8 with this "
         "model. Only the default (1) value is supported.")),
        ({"temperature": 0.8}, "bad request"),
        ({"seed": 8}, "Unrecognized request argument supplied: seed"),
        ({"max_tokens": 8_192}, ("max_tokens is too large: 8192. This model supports at most 4096 "
         "completion tokens")),
        ({"max_tokens": 8_192}, ("This model's maximum context length is 4096 tokens. However, you "
         "requested 8300 tokens")),
    ],
)  # fmt: skip
def test_sampling_that_we_changed_is_dropped_where_it_is_refused(
    refused: dict[str, Any], message: str
) -> None:
    """The caller set none of it: the call goes out as the caller wanted it."""
    [(name, value)] = refused.items()
    was = 4_096 if name == "max_tokens" else None
    case = Case(lambda body: refusal(message) if body.get(name) == value else None)
    request = question(CLOSED, **refused, fallback=Sampling(max_tokens=was))
    [reply] = case.ask(request)
    assert isinstance(reply, ChatReply), reply
    assert case.bodies[-1].get(name) == was
    if message != "bad request":
        assert case.forms == ["strict", "strict"], "the form was not at fault"


def test_a_changed_temperature_that_is_refused_is_not_sent_again() -> None:
    """Remembered for the model: the next repetition costs no call."""
    case = Case(lambda body: refusal("temperature?") if "temperature" in body else None)
    case.ask(*[question(None, temperature=0.8, fallback=Sampling())] * 3)
    assert ["temperature" in body for body in case.bodies] == [True, False, False, False]


@pytest.mark.parametrize(
    ("member", "value"), [("temperature", 0.3), ("seed", 7), ("max_tokens", 9), ("top_p", 0.5)]
)
def test_what_the_caller_set_and_the_endpoint_refuses_is_told_plainly(
    member: str, value: float
) -> None:
    """Never dropped without a word: the endpoint's own words reach the caller, after one call."""
    message = f"'{member}' is too large for this model"
    case = Case(lambda body: refusal(message, param=member) if member in body else None)
    sampling: dict[str, Any] = {member: value}
    [error] = case.ask(question(**sampling))
    assert isinstance(error, InfraError), error
    assert (error.code, error.retryable) == ("upstream_status", False)
    assert message in error.public
    assert len(case.bodies) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refusal("bad key", 401), "upstream_status"),
        (refusal("The model `m` does not exist", 404, code="model_not_found"), "model_missing"),
        (refusal("maximum context length is 100 tokens", code="context_length_exceeded"),
         "upstream_status"),
        (refusal("pay", 400, code="insufficient_quota"), "upstream_status"),
        (refusal("", 403), "upstream_status"),
    ],
)  # fmt: skip
def test_what_is_clearly_something_else_is_not_asked_otherwise(answer: Answer, code: str) -> None:
    """One call, one error."""
    case = Case(lambda _: answer)
    [error] = case.ask(question())
    assert isinstance(error, InfraError)
    assert error.code == code
    assert len(case.bodies) == 1
