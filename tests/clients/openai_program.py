"""Reads recorded replies with the installed `openai` package; it runs in an environment of its own.

Input: JSON lines, each a case `{route, status, headers, body}` with `body` in base64, and `stream`
and `function`. Output: for each what the package's own client made of it, and how many requests it
sent. Nothing goes over a network.
"""

import base64
import importlib
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

_RELEASE = int(openai.__version__.split(".", maxsplit=1)[0])
httpx = importlib.import_module("httpx2" if _RELEASE >= 3 else "httpx")
CHUNK = TypeAdapter(ChatCompletionChunk)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TOOL = {"name": "record", "parameters": {"type": "object"}}
time.sleep = lambda _: None  # the waits between repetitions


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(outcome(json.loads(line))), flush=True)


def outcome(case: dict[str, Any]) -> dict[str, Any]:
    """What a caller of the package sees."""
    requests: list[object] = []
    body = base64.b64decode(case["body"])

    def answer(request: object) -> object:
        requests.append(request)
        content = torn(body) if case["stream"] and case["status"] == 200 else body
        return httpx.Response(case["status"], headers=case["headers"], content=content)

    transport = httpx.MockTransport(answer)
    client = openai.OpenAI(
        api_key="none",
        base_url="http://lakehouse/v1",
        http_client=httpx.Client(transport=transport),
    )
    try:
        seen = CALLS[case["route"], case["stream"]](client, case["function"])
    except openai.APIError as error:
        seen = {"raised": type(error).__name__, "code": error.code, "type": error.type}
    except (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError) as error:
        seen = {"raised": type(error).__name__}  # the package's own word for a text that was cut
    return {**seen, "requests": len(requests)}


def torn(body: bytes) -> Iterator[bytes]:
    """In pieces that end anywhere."""
    for start in range(0, len(body), 1021):
        yield body[start : start + 1021]


def chat(client: openai.OpenAI, function: bool) -> dict[str, Any]:
    made = client.chat.completions.create(model="m", messages=[])
    return completion(ChatCompletion.model_validate(made.to_dict(), strict=True), function)


def completion(made: ChatCompletion, function: bool) -> dict[str, Any]:
    [choice] = made.choices
    text = choice.message.content
    seen: dict[str, Any] = {"id": made.id, "finish": choice.finish_reason}
    if function:
        assert choice.message.tool_calls is not None
        [call] = choice.message.tool_calls
        assert call.type == "function"
        text = call.function.arguments
        seen |= {"call": call.id, "name": call.function.name}
    return {**seen, "text": text, "tokens": made.usage and made.usage.total_tokens}


def chat_stream(client: openai.OpenAI, function: bool) -> dict[str, Any]:
    tools: Any = [{"type": "function", "function": TOOL}] if function else openai.NOT_GIVEN
    with client.chat.completions.stream(model="m", messages=[], tools=tools) as stream:
        for event in stream:
            if event.type == "chunk":
                CHUNK.validate_python(event.chunk.to_dict(), strict=True)
        made = stream.get_final_completion()
    return completion(made, function)


def responses(client: openai.OpenAI, function: bool) -> dict[str, Any]:
    made = client.responses.create(model="m", input="")
    return response(Response.model_validate(made.to_dict(), strict=True), function)


def response(made: Response, function: bool) -> dict[str, Any]:
    [item] = made.output
    seen: dict[str, Any] = {"id": made.id, "finish": made.status}
    text = made.output_text
    if function:
        assert item.type == "function_call"
        text = item.arguments
        seen |= {"call": item.call_id, "name": item.name}
    return {**seen, "text": text, "tokens": made.usage and made.usage.total_tokens}


def responses_stream(client: openai.OpenAI, function: bool) -> dict[str, Any]:
    joined, numbers = "", []
    for event in client.responses.create(model="m", input="", stream=True):
        EVENT.validate_python(event.to_dict(), strict=True)
        numbers.append(event.sequence_number)
    assert numbers == list(range(len(numbers)))
    with client.responses.stream(model="m", input="") as stream:
        for event in stream:
            if event.type.endswith(".delta"):
                joined += event.delta
            last = event
        # The helper knows no end but `response.completed`.
        cut = last.type == "response.incomplete"
        made = last.response if cut else stream.get_final_response()
    seen = response(made, function)
    assert joined == seen["text"]
    return seen


CALLS = {
    ("chat", False): chat,
    ("chat", True): chat_stream,
    ("responses", False): responses,
    ("responses", True): responses_stream,
}

if __name__ == "__main__":
    main()
