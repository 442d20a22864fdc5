"""What is taken from an answer, over HTTP: the same in one process and as three daemons apart."""

import json
from typing import Any

import pytest

from support.stack import call, running_stack

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["city", "n"],
}
BAD, GOOD = '{"city":"Bad","n":1}', '{"city":"Oslo","n":3}'
HARMONY = (
    f"<|channel|>analysis<|message|>perhaps {BAD}<|end|>"
    f"<|start|>assistant<|channel|>final<|message|>{GOOD}"
)
SCRIPT = {
    "matches": {
        "harmony": [HARMONY],
        "own marks": [f"<<plan>>{BAD}<</PLAN>>{GOOD}"],
        "two answers": [f"{BAD} or {GOOD}", GOOD],
        "never closed": ['{\n\n{\n"city":"Oslo","n":3\n}', GOOD],
    }
}
CONFIG = """
[log]
path = "log"
[models.small]
provider = "scripted"
model = "tiny"
script = "script.json"
reasoning_marks = [["<<plan>>", "<</plan>>"]]
[kinds.city]
schema = "city.schema.json"
"""


@pytest.fixture(scope="module", params=["in_process", "apart"])
def gateway(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param)
    (directory / "script.json").write_text(json.dumps(SCRIPT))
    (directory / "city.schema.json").write_text(json.dumps(SCHEMA))
    with running_stack(directory, CONFIG, apart=request.param == "apart") as processes:
        yield processes["gateway"].port


def codes(reply):
    return [[finding["code"] for finding in attempt["findings"]] for attempt in reply["attempts"]]


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ("harmony", [[]]),
        ("own marks", [[]]),
        ("two answers", [["ambiguous"], []]),
        ("never closed", [["invalid_json"], []]),
    ],
)
def test_the_answer_is_what_the_model_meant_and_never_its_draft(gateway, prompt, found):
    """The final answer is judged; where none can be told, the model is asked again."""
    reply = call(gateway, "POST", "/v1/iterate", {"kind": "city", "prompt": prompt}).json()

    assert reply["verdict"] == "accepted"
    assert reply["artifact"] == {"city": "Oslo", "n": 3}
    assert codes(reply) == found
    assert [attempt["artifact"] for attempt in reply["attempts"]][:-1] == [None] * (len(found) - 1)


def test_validate_knows_no_models_marks(gateway):
    """There is no model: the built-in marks count, a model's own do not."""
    for output, verdict in [(HARMONY, "accepted"), (GOOD, "accepted")]:
        body = {"schema": SCHEMA, "output": output}
        assert call(gateway, "POST", "/v1/validate", body).json()["verdict"] == verdict
    body = {"kind": "city", "output": SCRIPT["matches"]["own marks"][0]}
    reply = call(gateway, "POST", "/v1/validate", body).json()
    assert [finding["code"] for finding in reply["findings"]] == ["ambiguous"]


@pytest.mark.parametrize("route", ["/v1/iterate", "/v1/validate", "/v1/chat"])
def test_a_schema_over_its_limit_is_refused_on_every_route(gateway, route):
    """Before it is read or kept anywhere; one below the limit is taken."""
    bodies: dict[str, dict[str, Any]] = {
        "/v1/iterate": {"prompt": "harmony"},
        "/v1/validate": {"output": GOOD},
        "/v1/chat": {"model": "small", "messages": [{"role": "user", "content": "harmony"}]},
    }
    for size, status in [(60_000, 200), (70_000, 400), (900_000, 400)]:
        schema = {**SCHEMA, "description": "x" * size}
        answer = call(gateway, "POST", route, {"schema": schema, **bodies[route]})
        assert answer.status == status
        assert status == 200 or answer.json()["code"] == "invalid_schema"
