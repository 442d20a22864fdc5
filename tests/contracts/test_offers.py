"""Values of a table on their way to a model, in one process and over two others."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lakehouse.core.limits import OFFER_HINT_BYTES_MAX, OFFER_SCHEMA_BYTES_MAX
from support.endpoint import Answer, Endpoint, completion, endpoint, refusal
from support.offered_calls import schema_in, values_in
from support.stack import SCRIPTED, call, running_stack

CITIES = ("Oslo", "Bergen", "Bodø", "Tromsø")
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TEXT = "From Oslo to Bergen."


@contextmanager
def stack_at(
    tmp_path: Path, answer: Callable[[dict[str, Any]], Answer], *, apart: bool, model: str = ""
) -> Iterator[tuple[int, Endpoint]]:
    """Run a stack whose kind `city` has one rule, and whose model is an endpoint."""
    (tmp_path / "city.json").write_text(json.dumps(SCHEMA))
    (tmp_path / "cities.csv").write_text("\n".join(("name", *CITIES)))
    with endpoint(answer) as server:
        config = (
            '[log]\npath = "log"\n[models.m]\nprovider = "openai"\nmodel = "m"\n'
            f'base_url = "{server.base_url}"\n{model}\n[tables.cities]\npath = "cities.csv"\n'
            '[kinds.city]\nschema = "city.json"\n'
            '[[kinds.city.grounding]]\npath = "/city"\ncolumn = "cities.name"\n'
        )
        with running_stack(tmp_path, config, apart=apart) as processes:
            yield processes["gateway"].port, server


def narrowed(port: int, text: str = TEXT) -> list[tuple[str, str, str, int]]:
    """Run a session; gives what its row says was offered."""
    reply = call(port, "POST", "/v1/iterate", {"kind": "city", "prompt": text}).json()
    assert reply.get("verdict") == "accepted", reply
    [row] = call(port, "GET", f"/v1/sessions/{reply['row_id']}").json()["rows"]
    [attempt] = row["attempts"]
    return [
        (one["path"], one["column"], one["mode"], one["candidates"])
        for one in attempt.get("narrowed", ())
    ]


@pytest.mark.parametrize("apart", [False, True], ids=["one process", "apart"])
def test_what_the_model_is_sent_is_what_the_row_says(tmp_path: Path, *, apart: bool) -> None:
    """Under the values where the endpoint takes them; else in its prompt, and no session ends."""
    refuses = False

    def answer(body: dict[str, Any]) -> Answer:
        if refuses and values_in(body):
            return refusal("Schema is too complex.")
        return completion('{"city": "Oslo"}')

    with stack_at(tmp_path, answer, apart=apart) as (port, server):
        assert narrowed(port) == [("/city", "cities.name", "decode", 2)]
        [sent] = server.calls
        assert sent["response_format"]["json_schema"]["strict"] is True
        schema = schema_in(sent) or {}
        assert schema["properties"]["city"]["enum"] == ["Oslo", "Bergen"]
        assert sent["messages"][-1]["content"].endswith(TEXT), "no hint beside the schema"

        refuses = True
        assert narrowed(port) == [("/city", "cities.name", "hint", 2)]
        _, tried, told = server.calls
        assert values_in(tried) == 2
        assert schema_in(told) == SCHEMA
        assert 'that the text names: "Oslo", "Bergen".' in told["messages"][-1]["content"]

        assert narrowed(port) == [("/city", "cities.name", "hint", 2)]
        assert len(server.calls) == 4, "not tried again"
        assert narrowed(port, "No city at all.") == []


@pytest.mark.parametrize("apart", [False, True], ids=["one process", "apart"])
@pytest.mark.parametrize(
    ("model", "form"),
    [('response_format = "json_object"', "json_object"), ("enum_values_max = 1", "json_schema")],
)
def test_settings_of_the_model_put_values_into_the_prompt(
    tmp_path: Path, model: str, form: str, *, apart: bool
) -> None:
    """Both daemons read them: one call, with the own schema or none."""
    with stack_at(tmp_path, lambda _: completion('{"city": "Oslo"}'), apart=apart, model=model) as (
        port,
        server,
    ):
        assert narrowed(port) == [("/city", "cities.name", "hint", 2)]
        [sent] = server.calls
        assert sent["response_format"]["type"] == form
        assert values_in(sent) == 0
        assert 'that the text names: "Oslo", "Bergen".' in sent["messages"][-1]["content"]


def test_a_caller_of_chat_may_offer_values(tmp_path: Path) -> None:
    """What is wrong with an offer is said by its member, and what is allowed."""
    (tmp_path / "script.json").write_text('["{}"]')
    messages = [{"role": "user", "content": "Hi"}]
    large = {"const": "x" * OFFER_SCHEMA_BYTES_MAX}
    with running_stack(tmp_path, SCRIPTED, apart=False) as processes:
        port = processes["gateway"].port

        def chat(offer: Any) -> Any:
            body = {"model": "small", "messages": messages, "schema": {}, "offer": offer}
            return call(port, "POST", "/v1/chat", body)

        taken = chat({"schema": {"enum": ["a"]}, "hint": "a"})
        assert (taken.status, taken.json()["offered"]) == (200, "decode")
        assert chat(None).json()["offered"] is None
        assert chat({"schema": None, "beside": "a"}).json()["offered"] == "hint"
        for offer, code, words in (
            ({"schema": large}, "invalid_schema", ["`offer.schema`", str(OFFER_SCHEMA_BYTES_MAX)]),
            ({"schema": ["a"]}, "invalid_schema", ["`offer.schema`", "not a JSON object"]),
            ({"schema": {}, "hint": "é" * OFFER_HINT_BYTES_MAX}, "invalid_request",
             ["`offer.hint`", str(2 * OFFER_HINT_BYTES_MAX), str(OFFER_HINT_BYTES_MAX)]),
            ({"hint": "a"}, "invalid_request", ["schema"]),
            ({"schema": {}, "hnt": "a"}, "invalid_request", ["hnt"]),
        ):  # fmt: skip
            problem = chat(offer)
            assert (problem.status, problem.json()["code"]) == (400, code), problem.json()
            for word in words:
                assert word in problem.json()["detail"]
