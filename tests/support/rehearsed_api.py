"""OpenAI's chat completions with rehearsed answers: content or calls, whole or streamed.

Unlike the scripted provider it is a server, so that programs with other libraries can call it. The
answers of a conversation are chosen by the text of its first user turn, and given one after the
other; the last one is repeated.
"""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from support.handler_server import serving

_PIECE_CHARS: Final = 8
_USAGE: Final = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}


class RehearsedApi:
    """A running server. `forget` begins every conversation anew."""

    def __init__(self, base_url: str, asked: list[str]) -> None:
        self.base_url = base_url
        self._asked = asked

    @property
    def calls(self) -> int:
        """How many calls there were since `forget`."""
        return len(self._asked)

    def forget(self) -> None:
        self._asked.clear()


@contextlib.contextmanager
def rehearsed_api(answers: Mapping[str, Sequence[Any]]) -> Iterator[RehearsedApi]:
    """Serve until the block ends. A conversation that is not rehearsed gets a 404 that names it."""
    asked: list[str] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            opening = _opening(body["messages"])
            steps = answers.get(opening)
            if steps is None:
                error = {"message": f"not rehearsed: {opening!r}", "type": "invalid_request_error"}
                self._send("application/json", json.dumps({"error": error}), 404)
                return
            with lock:
                step = asked.count(opening)
                asked.append(opening)
            text = _text(body, steps[min(step, len(steps) - 1)])
            if body.get("stream"):
                self._send("text/event-stream", "".join(_events(body, text)))
            else:
                self._send("application/json", json.dumps(_whole(body, text)))

        def _send(self, media_type: str, text: str, status: int = 200) -> None:
            payload = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            return

    with serving(Handler) as port:
        yield RehearsedApi(f"http://127.0.0.1:{port}/v1", asked)


def _opening(messages: list[dict[str, Any]]) -> str:
    first = next(one for one in messages if one["role"] == "user")
    content = first["content"]
    if isinstance(content, list):
        content = "".join(part["text"] for part in content)
    # Without a format, we ask for JSON by a sentence after a blank line.
    return str(content).partition("\n\n")[0]


def _text(body: dict[str, Any], answer: Any) -> str:
    """Write an answer; in the one member that the request's schema has, where it has another."""
    members = list(_schema(body)["properties"])
    if len(members) == 1 and (isinstance(answer, list) or members[0] not in answer):
        answer = {members[0]: answer}
    return json.dumps(answer)


def _schema(body: dict[str, Any]) -> dict[str, Any]:
    if _function(body) is not None:
        schema: dict[str, Any] = body["tools"][0]["function"]["parameters"]
    else:
        schema = body["response_format"]["json_schema"]["schema"]
    return schema


def _function(body: dict[str, Any]) -> str | None:
    """Name the function whose call is the answer; None if the answer is content."""
    tools = body.get("tools")
    return None if not tools else str(tools[0]["function"]["name"])


def _whole(body: dict[str, Any], text: str) -> dict[str, Any]:
    name = _function(body)
    message: dict[str, Any] = {"role": "assistant", "content": text if name is None else None}
    if name is not None:
        function = {"name": name, "arguments": text}
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
    finish = "stop" if name is None else "tool_calls"
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {**_head(body, "chat.completion"), "choices": [choice], "usage": _USAGE}


def _events(body: dict[str, Any], text: str) -> Iterator[str]:
    name = _function(body)
    head = _head(body, "chat.completion.chunk")
    pieces = [text[at : at + _PIECE_CHARS] for at in range(0, len(text), _PIECE_CHARS)]
    for number, piece in enumerate(pieces):
        delta: dict[str, Any] = {"role": "assistant"} if number == 0 else {}
        if name is None:
            delta["content"] = piece
        else:
            function = {"arguments": piece} | ({"name": name} if number == 0 else {})
            call = {"index": 0, "function": function}
            delta["tool_calls"] = [
                call | ({"id": "call_1", "type": "function"} if number == 0 else {})
            ]
        yield _event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    finish = "stop" if name is None else "tool_calls"
    yield _event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    yield _event({**head, "choices": [], "usage": _USAGE})
    yield "data: [DONE]\n\n"


def _head(body: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": body["model"]}


def _event(chunk: dict[str, Any]) -> str:
    return f"data: {json.dumps(chunk)}\n\n"
