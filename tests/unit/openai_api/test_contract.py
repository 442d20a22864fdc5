"""Which schema the answer must satisfy for the client, and how it is told."""

import json
import time
from typing import Any

import pytest

from lakehouse.core.json_text import NULL
from lakehouse.core.limits import FUNCTIONS_MAX, SCHEMA_BYTES_MAX
from lakehouse.openai_api.chat_request import CHAT_SCHEMA, read_chat_request
from lakehouse.openai_api.contract import NO_STRUCTURE, ClientContract, no_contract
from lakehouse.openai_api.fault import RequestFault
from lakehouse.openai_api.responses_request import read_responses_request
from lakehouse.validation.schema import compile_schema

NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": NUMBER}}
AUTO_NOT_DECIDED = ("unsupported_value", "tool_choice")


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


def value(contract: ClientContract) -> Any:
    return json.loads(bytes(contract.schema))


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"response_format": None},
        {"response_format": {"type": "text"}},
        {"tools": []},
        {"tools": None, "tool_choice": "auto"},
        {"tool_choice": "none"},
        {"tools": tools("a", "b"), "tool_choice": "none"},
        {"functions": [], "function_call": "none"},
    ],
)
def test_a_request_that_asks_for_no_structure(members: dict[str, Any]):
    assert chat(**members) == NO_STRUCTURE
    assert NO_STRUCTURE.schema == NULL


def test_what_is_said_of_it():
    fault = no_contract(CHAT_SCHEMA)

    assert (fault.api_code, fault.param, fault.status) == ("no_contract", CHAT_SCHEMA, 400)
    assert f"`{CHAT_SCHEMA}`" in fault.hint


def test_a_format_is_the_schema_of_the_content_and_keeps_its_bytes():
    raw = '{"type": "number", "maximum": 1.10}'
    body = (
        '{"model":"k","messages":[{"role":"user","content":"a"}],"response_format":'
        f'{{"type":"json_schema","json_schema":{{"name":"x","schema":{raw}}}}}}}'
    )
    contract = read_chat_request(body.encode()).contract

    assert bytes(contract.schema) == b'{"type":"number","maximum":1.10}'
    assert (contract.told, contract.function, contract.param) == ("content", None, CHAT_SCHEMA)


def test_json_mode_wants_an_object():
    for contract in (
        chat(response_format={"type": "json_object"}),
        responses(text={"format": {"type": "json_object"}}),
    ):
        assert value(contract) == {"type": "object"}
        assert contract.told == "content"


def test_a_format_without_its_schema_is_an_error():
    missing = "missing_required_parameter"
    assert fault_of(chat, response_format={"type": "json_schema"}) == (missing, CHAT_SCHEMA)
    assert fault_of(
        chat, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": None}}
    ) == (missing, CHAT_SCHEMA)
    assert fault_of(responses, text={"format": {"type": "json_schema", "name": "x"}}) == (
        missing,
        "text.format.schema",
    )


@pytest.mark.parametrize(
    "choice",
    [
        None,
        "auto",
        "required",
        {"type": "function", "function": {"name": "a"}},
        {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "auto",
                "tools": [{"type": "function", "function": {"name": "a"}}],
            },
        },
    ],
)
def test_one_function_is_its_parameters(choice: Any):
    contract = chat(tools=tools("a", strict=True), tool_choice=choice)

    assert value(contract) == NUMBER
    assert (contract.told, contract.function) == ("tool_call", "a")
    assert contract.param == "tools[0].function.parameters"
    assert not contract.several


def test_a_forced_function_of_several_is_its_parameters():
    flat = [{"type": "function", "name": name, "parameters": NUMBER} for name in ("a", "b")]
    for contract, param in (
        (
            chat(
                tools=tools("a", "b"), tool_choice={"type": "function", "function": {"name": "b"}}
            ),
            "tools[1].function.parameters",
        ),
        (
            responses(tools=flat, tool_choice={"type": "function", "name": "b"}),
            "tools[1].parameters",
        ),
    ):
        assert value(contract) == NUMBER
        assert (contract.function, contract.param) == ("b", param)


def test_of_several_functions_the_answer_names_one():
    contract = chat(tools=tools("a", "b", description="Counts."), tool_choice="required")
    compiled = compile_schema(bytes(contract.schema))

    assert (contract.told, contract.function, contract.several) == ("tool_call", None, True)
    assert contract.param == "tools"
    assert compiled.accepts({"name": "b", "arguments": {"n": 1}})
    assert not compiled.accepts({"name": "c", "arguments": {"n": 1}})
    assert not compiled.accepts({"name": "b", "arguments": {"n": "1"}})
    assert not compiled.accepts({"name": "b", "arguments": {"n": 1}, "more": 1})
    assert not compiled.accepts({"n": 1})
    branch = value(contract)["anyOf"][1]["properties"]["arguments"]
    assert branch["description"] == "Counts."


@pytest.mark.parametrize("names", [("b", "c"), ("c",)])
def test_allowed_tools_leave_out_the_others(names: tuple[str, ...]):
    flat = [{"type": "function", "name": name, "parameters": NUMBER} for name in ("a", "b", "c")]
    chosen = [{"type": "function", "name": name} for name in names]
    contract = responses(
        tools=flat, tool_choice={"type": "allowed_tools", "mode": "required", "tools": chosen}
    )

    assert contract.function == ("c" if len(names) == 1 else None)
    assert b'"a"' not in bytes(contract.schema)
    assert contract.param == ("tools" if len(names) > 1 else "tools[2].parameters")


def test_references_hold_where_a_schema_stands_among_others():
    parameters = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.com/node",
        "type": "object",
        "properties": {
            "self": {"$ref": "#"},
            "city": {"$ref": "#/$defs/city"},
            "$ref": {"enum": [{"$ref": "#/$defs/city"}]},
        },
        "$defs": {"city": {"type": "string"}},
    }
    listed = [
        {"type": "function", "name": name, "parameters": parameters} for name in ("a", "b", "c")
    ]
    compiled = compile_schema(bytes(responses(tools=listed, tool_choice="required").schema))

    def accepts(arguments: dict[str, Any]) -> bool:
        return compiled.accepts({"name": "c", "arguments": arguments})

    assert accepts({"city": "x", "self": {"city": "y"}})
    assert not accepts({"city": 1})
    assert not accepts({"self": {"city": 1}})
    assert accepts({"$ref": {"$ref": "#/$defs/city"}})
    assert not accepts({"$ref": 1})


@pytest.mark.parametrize("read", [chat, responses])
@pytest.mark.parametrize("parameters", [{}, {"parameters": None}])
def test_a_function_without_parameters_takes_an_empty_object(read: Any, parameters: dict[str, Any]):
    function = {"name": "a", **parameters}
    tool = {"function": function} if read is chat else function
    compiled = compile_schema(bytes(read(tools=[{"type": "function", **tool}]).schema))

    assert compiled.accepts({})
    assert not compiled.accepts({"n": 1})
    assert not compiled.accepts([])


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"properties": {"n": {"type": "integer"}}},
        {"$ref": "#/$defs/it", "$defs": {"it": {"properties": {"n": {"type": "integer"}}}}},
    ],
)
def test_arguments_are_an_object_whatever_the_schema_says(parameters: dict[str, Any]):
    compiled = compile_schema(bytes(chat(tools=tools("a", parameters=parameters)).schema))

    assert compiled.accepts({"n": 1})
    assert not compiled.accepts(1)
    assert compiled.accepts({"n": "1"}) == (parameters == {})


def test_what_the_client_says_of_a_function_reaches_the_schema_unless_it_says_so_itself():
    assert value(chat(tools=tools("a", description='A "b".')))["description"] == 'A "b".'
    own = {**NUMBER, "description": "Own."}
    assert value(chat(tools=tools("a", description="x", parameters=own))) == own
    assert value(chat(tools=tools("a", description="x", parameters={}))) == {
        "type": "object",
        "description": "x",
    }


def test_the_older_form_is_told_in_the_older_form():
    functions = [{"name": name, "parameters": NUMBER} for name in ("a", "b")]
    contract = chat(functions=functions, function_call={"name": "b"})

    assert (contract.told, contract.function) == ("function_call", "b")
    assert contract.param == "functions[1].parameters"
    assert chat(functions=functions[:1]).told == "function_call"
    assert fault_of(chat, functions=functions) == ("unsupported_value", "function_call")


def test_a_call_that_is_asked_for_outranks_the_format_which_is_named():
    body = {
        "model": "k",
        "messages": [{"role": "user", "content": "Ann"}],
        "tools": tools("a"),
        "tool_choice": "required",
        "response_format": {"type": "json_object"},
    }
    request = read_chat_request(json.dumps(body).encode())

    assert request.contract.told == "tool_call"
    assert request.ignored == ("response_format",)


def test_with_the_choice_none_the_format_holds():
    contract = chat(tools=tools("a"), tool_choice="none", response_format=FORMAT)

    assert (contract.told, value(contract)) == ("content", NUMBER)


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"tools": tools("a", "b")}, AUTO_NOT_DECIDED),
        ({"tools": tools("a", "b"), "tool_choice": "auto"}, AUTO_NOT_DECIDED),
        ({"tools": tools("a"), "response_format": FORMAT}, AUTO_NOT_DECIDED),
        ({"tool_choice": "required"}, ("invalid_value", "tool_choice")),
        ({"tools": tools("a"), "tool_choice": "any"}, ("invalid_value", "tool_choice")),
        (
            {"tools": tools("a"), "tool_choice": {"type": "function", "function": {"name": "A"}}},
            ("invalid_value", "tool_choice"),
        ),
        (
            {"tools": tools("a"), "tool_choice": {"type": "function"}},
            ("missing_required_parameter", "tool_choice.function"),
        ),
        (
            {"tools": tools("a"), "tool_choice": {"type": "allowed_tools"}},
            ("missing_required_parameter", "tool_choice.allowed_tools"),
        ),
        (
            {
                "tools": tools("a"),
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "required", "tools": []},
                },
            },
            ("invalid_value", "tool_choice"),
        ),
        ({"tools": tools("a", "a"), "tool_choice": "required"}, ("invalid_value", "tools[1]")),
        ({"tools": tools("")}, ("invalid_value", "tools[0]")),
        ({"tools": tools("x" * 65)}, ("invalid_value", "tools[0]")),
        (
            {
                "tools": tools(*(f"f{n}" for n in range(FUNCTIONS_MAX + 1))),
                "tool_choice": "required",
            },
            ("invalid_value", "tools"),
        ),
        (
            {"tools": tools("a", parameters={"description": "x" * SCHEMA_BYTES_MAX})},
            ("invalid_schema", "tools[0].function.parameters"),
        ),
        (
            {"tools": tools("a", parameters=True)},
            ("invalid_type", "tools[0].function.parameters"),
        ),
        (
            {"tools": tools("a", parameters={"type": "array"})},
            ("invalid_schema", "tools[0].function.parameters"),
        ),
        (
            {
                "tools": tools("a", "b", parameters={"properties": {"x": {"$id": "u:x"}}}),
                "tool_choice": "required",
            },
            ("invalid_schema", "tools[0].function.parameters"),
        ),
        ({"tools": [{"type": "function"}]}, ("missing_required_parameter", "tools[0].function")),
        (
            {"tools": tools("a"), "functions": [{"name": "a"}]},
            ("invalid_value", "functions"),
        ),
        ({"function_call": {"name": "a"}}, ("invalid_value", "function_call")),
        ({"function_call": "required"}, ("invalid_value", "function_call")),
    ],
)
def test_a_request_that_leaves_open_what_it_asks_for_is_an_error(
    members: dict[str, Any], fault: tuple[str, str]
):
    assert fault_of(chat, **members) == fault


def test_sixteen_functions_are_not_too_many():
    names = [f"f{n}" for n in range(FUNCTIONS_MAX)]

    assert compile_schema(bytes(chat(tools=tools(*names), tool_choice="required").schema))


def test_a_wrong_name_of_a_function_is_told_with_those_there_are():
    with pytest.raises(RequestFault) as caught:
        chat(tools=tools("person"), tool_choice={"type": "function", "function": {"name": "Persn"}})

    assert "'Persn' (did you mean 'person'?); the functions are 'person'" in caught.value.public


def test_a_body_full_of_functions_costs_no_more_than_its_length():
    """Half a megabyte of them, with the last one chosen by name: no pair of them is compared."""
    names = [f"f{n}" for n in range(8_000)]
    chosen = {"type": "function", "function": {"name": names[-1]}}
    listed = [{"type": "function", "function": {"name": name}} for name in names]
    started = time.process_time()
    contract = chat(tools=listed, tool_choice=chosen)

    assert contract.function == names[-1]
    assert time.process_time() - started < 2
