"""No half of what a request asks for is left out in silence."""

import json
from typing import Any

import pytest

from lakehouse.openai_api.chat_request import read_chat_request
from lakehouse.openai_api.contract import ClientContract
from lakehouse.openai_api.fault import RequestFault
from lakehouse.openai_api.responses_request import read_responses_request
from lakehouse.validation.schema import compile_schema

NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def chat(**members: Any) -> ClientContract:
    body = {"model": "k", "messages": [{"role": "user", "content": "Ann"}], **members}
    return read_chat_request(json.dumps(body).encode()).contract


def responses(**members: Any) -> ClientContract:
    return read_responses_request(
        json.dumps({"model": "k", "input": "Ann", **members}).encode()
    ).contract


def tools(*names: str, **members: Any) -> list[dict[str, Any]]:
    return [
        {"type": "function", "function": {"name": name, "parameters": NUMBER, **members}}
        for name in names
    ]


def fault_of(read: Any, **members: Any) -> tuple[str, str | None]:
    with pytest.raises(RequestFault) as caught:
        read(**members)
    return caught.value.api_code, caught.value.param


@pytest.mark.parametrize("name", ["*", "function_call:f", "a\nb", "é", "", "x" * 65])
def test_a_functions_name_has_the_characters_that_openai_takes(name: str):
    """Others would have a meaning of their own here: `*` stands for any function."""
    assert fault_of(chat, tools=tools(name)) == ("invalid_value", "tools[0]")
    assert fault_of(responses, tools=[{"type": "function", "name": name}]) == (
        "invalid_value",
        "tools[0]",
    )
    assert chat(tools=tools("a.B_9-")).function == "a.B_9-"


@pytest.mark.parametrize("kind", ["text", "json_object"])
def test_a_schema_beside_a_format_that_leaves_it_out_is_an_error(kind: str):
    schema = {"name": "x", "schema": NUMBER}
    assert fault_of(chat, response_format={"type": kind, "json_schema": schema}) == (
        "invalid_value",
        "response_format.json_schema.schema",
    )
    assert fault_of(responses, text={"format": {"type": kind, **schema}}) == (
        "invalid_value",
        "text.format.schema",
    )


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"tools": tools("a"), "tool_choice": "required", "function_call": "none"},
         "function_call"),
        ({"functions": [{"name": "a"}], "tool_choice": "none"}, "functions"),
        ({"functions": [{"name": "a"}], "tools": tools("a")}, "functions"),
    ],
)  # fmt: skip
def test_both_forms_of_one_thing_are_an_error(members: dict[str, Any], param: str):
    """Neither is left out in silence."""
    assert fault_of(chat, **members) == ("invalid_value", param)


@pytest.mark.parametrize("root", ["", "#"])
def test_a_reference_to_the_whole_schema_of_one_function_stays_there(root: str):
    tree = {"type": "object", "properties": {"in": {"$ref": root}}, "additionalProperties": False}
    offered = [
        {"type": "function", "function": {"name": name, "parameters": tree}} for name in ("a", "b")
    ]
    schema = compile_schema(bytes(chat(tools=offered, tool_choice="required").schema))

    def accepts(arguments: Any) -> bool:
        return schema.accepts({"name": "b", "arguments": arguments})

    assert accepts({"in": {"in": {}}})
    assert not accepts({"in": {"name": "a", "arguments": {}}})


def test_a_choice_of_functions_says_one_thing():
    """A name beside a list of those that are allowed is left out by nobody."""
    named = {"function": {"name": "a"}}
    listed = {"allowed_tools": {"mode": "required", "tools": [{"type": "function", **named}]}}
    for kind, param in (("function", "allowed_tools"), ("allowed_tools", "function")):
        choice = {"type": kind, **named, **listed}
        assert fault_of(chat, tools=tools("a"), tool_choice=choice) == (
            "invalid_value",
            f"tool_choice.{param}",
        )
    flat = [{"type": "function", "name": "a"}]
    for kind, param in (("function", "tools"), ("allowed_tools", "name")):
        members: dict[str, Any] = {"type": kind, "name": "a", "mode": "required", "tools": flat}
        assert fault_of(responses, tools=flat, tool_choice=members) == (
            "invalid_value",
            f"tool_choice.{param}",
        )
