"""Every parameter has one of four fates, and the table knows all that OpenAI's own client knows."""

import json
from typing import Any, get_args

import msgspec
import pytest

from lakehouse.openai_api.chat_request import ChatBody, read_chat_request
from lakehouse.openai_api.fault import RequestFault
from lakehouse.openai_api.parameters import PARAMETERS, ApiRoute, fate_of
from lakehouse.openai_api.request import LakehouseOptions
from lakehouse.openai_api.responses_request import ResponsesBody, read_responses_request
from support.openai_parameters import declared

ROUTES: tuple[ApiRoute, ...] = get_args(ApiRoute)
READ = {"chat": read_chat_request, "responses": read_responses_request}
STRUCTURE: dict[str, dict[str, Any]] = {
    "chat": {"response_format": {"type": "json_object"}},
    "responses": {"text": {"format": {"type": "json_object"}}},
}
SAID: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "Ann"}]},
    "responses": {"input": "Ann"},
}


def sent(route: str, **members: Any) -> bytes:
    return json.dumps({"model": "k", **SAID[route], **STRUCTURE[route], **members}).encode()


def fault_of(route: str, **members: Any) -> RequestFault:
    with pytest.raises(RequestFault) as caught:
        READ[route](sent(route, **members))
    return caught.value


@pytest.mark.parametrize("route", ROUTES)
def test_the_table_knows_every_parameter_of_the_openai_package(route: ApiRoute):
    names = declared(route)

    assert len(names) > 80
    assert [name for name in sorted(names) if fate_of(name, route) == "unknown"] == []


def test_a_parameter_that_the_table_lacks_is_unknown():
    """Otherwise the test above could not fail."""
    assert fate_of("brand_new", "chat") == "unknown"


@pytest.mark.parametrize(("route", "kind"), [("chat", ChatBody), ("responses", ResponsesBody)])
def test_used_is_what_the_code_reads(route: ApiRoute, kind: type[msgspec.Struct]):
    used = {one.path for one in PARAMETERS[route] if one.fate == "used"}
    ours = {name.partition(".")[2] for name in used if name.startswith("lakehouse.")}

    assert {name for name in used if name.isidentifier()} == set(kind.__struct_fields__)
    assert ours == set(LakehouseOptions.__struct_fields__)


@pytest.mark.parametrize("route", ROUTES)
def test_each_parameter_stands_once_with_its_reason(route: ApiRoute):
    paths = [one.path for one in PARAMETERS[route]]

    assert paths == sorted(set(paths))
    assert [one.path for one in PARAMETERS[route] if not one.reason or one.reason[-1] == "."] == []
    assert {one.fate for one in PARAMETERS[route]} == {"used", "ignored", "refused"}


@pytest.mark.parametrize(
    ("route", "name"),
    [
        (route, one.path)
        for route in ROUTES
        for one in PARAMETERS[route]
        if one.fate == "ignored" and one.path.isidentifier()
    ],
)
def test_an_ignored_parameter_is_named_unless_it_asks_for_nothing(route: str, name: str):
    value: Any = ["reasoning.encrypted_content"] if name == "include" else "some"

    assert READ[route](sent(route, **{name: value})).ignored == (name,)
    assert READ[route](sent(route, **{name: None})).ignored == ()
    assert READ[route](sent(route, **{name: []})).ignored == ()


@pytest.mark.parametrize(
    ("route", "name"),
    [
        (route, one.path)
        for route in ROUTES
        for one in PARAMETERS[route]
        if one.fate == "refused" and one.path.isidentifier()
    ],
)
def test_a_refused_parameter_is_refused_unless_it_asks_for_nothing(route: ApiRoute, name: str):
    fault = fault_of(route, **{name: ["audio"]})
    [parameter] = [one for one in PARAMETERS[route] if one.path == name]

    assert fault.param == name
    assert fault.api_code == ("unsupported_value" if parameter.only else "unsupported_parameter")
    assert parameter.reason in fault.public
    for harmless in (None, *parameter.only):
        assert READ[route](sent(route, **{name: harmless})).ignored == ()


@pytest.mark.parametrize(
    ("route", "members", "code", "param", "words"),
    [
        ("chat", {"n": 2}, "unsupported_value", "n", "one answer; allowed is 1."),
        ("chat", {"n": True}, "unsupported_value", "n", "is True"),
        (
            "chat",
            {"temprature": 1},
            "unknown_parameter",
            "temprature",
            "did you mean 'temperature'",
        ),
        ("chat", {"guided_json": {}}, "unknown_parameter", "guided_json", "Unknown parameter"),
        ("chat", {"seed": 1, "input": "x"}, "unknown_parameter", "input", "Unknown parameter"),
        ("responses", {"messages": []}, "unknown_parameter", "messages", "Unknown parameter"),
        (
            "chat",
            {"stream_options": {"include_usge": True}},
            *("unknown_parameter", "stream_options.include_usge", "'include_usage'"),
        ),
        (
            "chat",
            {"lakehouse": {"max_iteration": 2}},
            *("unknown_parameter", "lakehouse.max_iteration", "did you mean 'max_iterations'"),
        ),
        (
            "chat",
            {"response_format": {"type": "json_object", "schema": {}}},
            *("unknown_parameter", "response_format.schema", "did you mean 'json_schema'"),
        ),
        (
            "responses",
            {"reasoning": {"efort": "low"}},
            *("unknown_parameter", "reasoning.efort", "did you mean 'effort'"),
        ),
        (
            "responses",
            {"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]},
            *("unsupported_value", "include[1]", "log probabilities are not reported"),
        ),
        (
            "responses",
            {"prompt_cache_options": {"mode": "explicit", "prewarm": True}},
            *("unsupported_value", "prompt_cache_options.prewarm", "every request is answered"),
        ),
        (
            "responses",
            {"tools": [{"type": "web_search", "search_context_size": "low"}]},
            *("unsupported_value", "tools[0].type", "custom and built-in tools are not run"),
        ),
        (
            "responses",
            {"tool_choice": {"type": "mcp", "server_label": "x"}},
            *("unsupported_value", "tool_choice.type", "allowed are 'function', 'allowed_tools'"),
        ),
        (
            "chat",
            {"tools": [{"type": "custom", "custom": {"name": "x"}}]},
            *("unsupported_value", "tools[0].type", "custom and built-in tools are not run"),
        ),
        (
            "chat",
            {"response_format": {"type": "json_shema"}},
            *("unsupported_value", "response_format.type", "did you mean 'json_schema'"),
        ),
    ],
)
def test_a_fault_names_the_place_the_value_and_what_is_allowed(
    route: str, members: dict[str, Any], code: str, param: str, words: str
):
    fault = fault_of(route, **members)

    assert (fault.api_code, fault.param) == (code, param)
    assert f"`{param}`" in fault.public
    assert words in fault.public
    assert fault.status == 400


def test_an_option_of_lakehouse_outside_its_member_is_told_where_it_belongs():
    fault = fault_of("chat", max_iterations=2)

    assert fault.param == "max_iterations"
    assert '{"lakehouse": {"max_iterations": …}}' in fault.hint


def test_a_name_of_any_length_makes_a_short_message():
    fault = fault_of("chat", **{"x" * 100_000: 1})

    assert len(fault.public) < 1_000
    assert fault.param is not None
    assert len(fault.param) < 300


def test_what_ignored_members_hold_is_not_named_again():
    request = READ["responses"](sent("responses", reasoning={"effort": "low", "summary": "auto"}))

    assert request.ignored == ("reasoning",)
