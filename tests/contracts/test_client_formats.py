"""A wrong date never reaches an OpenAI client: the official `parse()`, both deployments."""

import datetime as dt
import ipaddress
import json
import uuid
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import AnyUrl, BaseModel

from support.client_models import STAMP, UUID, Mail
from support.stack import SCRIPTED, call, running_stack

RIGHT = {
    "day": "2026-03-01",
    "at": STAMP,
    "id": UUID,
    "opens": "08:15:30Z",
    "lasts": "PT1H25M",
    "host": "192.0.2.1",
    "mail": "ann@example.org",
    "url": "https://example.org/a",
}
WRONG = {
    "day": "tomorrow",
    "at": "2026-03-01T08:15:30",
    "id": "7",
    "opens": "24:15:00Z",
    "lasts": "an hour",
    "host": "192.0.2.256",
    "mail": "ann",
    "url": "http://example.org:99999/",
}
TOLD = {"at": "date and time with an offset or Z, such as 2026-03-01T08:15:30Z"}
NEVER = "<never>"


class Booking(BaseModel):
    day: dt.date
    at: dt.datetime
    id: uuid.UUID
    opens: dt.time
    lasts: dt.timedelta
    host: ipaddress.IPv4Address
    mail: Mail
    url: AnyUrl


EXPECTED = Booking.model_validate(RIGHT)
CONFIG = SCRIPTED + '[kinds.booking]\nschema = "booking.json"\n'
WAYS = ("chat", "responses", "stream", "tool")


def answers() -> dict[str, list[str]]:
    right = json.dumps(RIGHT)
    wrong = {name: json.dumps(RIGHT | {name: value}) for name, value in WRONG.items()}
    return {
        **{f"<{name}>": [answer, right] for name, answer in wrong.items()},
        NEVER: [json.dumps(WRONG)] * 3,
        "<right>": [right],
    }


@pytest.fixture(scope="module", params=["in_process", "apart"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    directory = tmp_path_factory.mktemp(request.param)
    (directory / "script.json").write_text(json.dumps({"matches": answers()}))
    (directory / "booking.json").write_text('{"type":"object"}')
    with running_stack(directory, CONFIG, apart=request.param == "apart") as processes:
        yield processes["gateway"].port


@pytest.fixture
def client(port: int) -> Iterator[openai.OpenAI]:
    url = f"http://127.0.0.1:{port}/v1"
    with openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client:
        yield client


def asked(client: openai.OpenAI, way: str, model: str, prompt: str) -> tuple[Any, dict[str, Any]]:
    """Ask in one way; return what `parse()` made of the answer, and what is told of the session."""
    messages: Any = [{"role": "user", "content": prompt}]
    answer: Any
    if way == "responses":
        answer = client.responses.parse(model=model, input=prompt, text_format=Booking)
        return answer.output_parsed, answer.lakehouse
    if way == "stream":
        with client.chat.completions.stream(
            model=model, messages=messages, response_format=Booking
        ) as stream:
            answer = stream.get_final_completion()
        return answer.choices[0].message.parsed, {}
    if way == "tool":
        tool = openai.pydantic_function_tool(Booking)
        answer = client.chat.completions.parse(model=model, messages=messages, tools=[tool])
        called = answer.choices[0].message.tool_calls[0]
        return called.function.parsed_arguments, answer.lakehouse
    answer = client.chat.completions.parse(model=model, messages=messages, response_format=Booking)
    return answer.choices[0].message.parsed, answer.lakehouse


@pytest.mark.parametrize("model", ["small", "booking"])
@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_value_is_asked_for_again(
    client: openai.OpenAI, port: int, model: str, name: str
) -> None:
    found, told = asked(client, "chat", model, f"<{name}>")
    assert found == EXPECTED
    assert (told["iterations"], told["accepted_iteration"]) == (2, 1)
    [row] = call(port, "GET", f"/v1/sessions/{told['session_id']}").json()["rows"]
    [finding] = row["attempts"][0]["findings"]
    assert (finding["code"], finding["path"]) == ("schema", f"/{name}")
    assert TOLD.get(name, "format") in finding["message"]
    assert row["settings"]["assert_formats"] is True


@pytest.mark.parametrize("way", WAYS)
def test_in_every_form_a_right_answer_parses_and_a_wrong_one_is_no_success(
    client: openai.OpenAI, way: str
) -> None:
    assert asked(client, way, "small", "<right>")[0] == EXPECTED
    assert asked(client, way, "booking", "<day>")[0] == EXPECTED
    with pytest.raises(openai.BadRequestError) as refused:
        asked(client, way, "small", NEVER)
    assert refused.value.code == "max_iter_exhausted"
    findings: Any = refused.value.body["findings"]
    assert {finding["path"] for finding in findings} == {f"/{name}" for name in WRONG}


def test_without_a_schema_of_the_client_a_format_is_what_the_kind_says(
    client: openai.OpenAI,
) -> None:
    answer = client.chat.completions.create(
        model="booking", messages=[{"role": "user", "content": NEVER}]
    )
    assert json.loads(answer.choices[0].message.content or "") == WRONG
