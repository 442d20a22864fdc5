"""The door's answers on the wire, whole and streamed: chat completions, Responses, and errors."""

import json
from collections.abc import Iterator
from typing import Any

from clients.situations import OBJECT

TEXT = json.dumps(OBJECT, ensure_ascii=False)
PIECE_CHARS = 9
CREATED = 1_795_937_641
SESSION = "0198a6a0-0000-7000-8000-000000000001"
CALL = "call_0198a6a0-0000-7000-8000-000000000002"
PIECES = [TEXT[start : start + PIECE_CHARS] for start in range(0, len(TEXT), PIECE_CHARS)]


def error(code: str, message: str, kind: str, *, retryable: bool) -> dict[str, Any]:
    """Give the body of an error; `kind` is its `type`."""
    told: dict[str, Any] = {
        "message": message,
        "type": kind,
        "param": None,
        "code": code,
        "session_id": SESSION,
        "row_id": None,
        "retryable": retryable,
        "hint": "Look at the findings.",
        "findings": [],
        "failed_generation": None,
    }
    if code == "max_iter_exhausted":
        finding = {"code": "ungrounded", "path": "/city", "message": "is not in cities.name"}
        told |= {"row_id": SESSION, "findings": [finding], "failed_generation": TEXT}
    return {"error": told}


def _facts(iterations: int) -> dict[str, Any]:
    return {
        "session_id": SESSION,
        "row_id": SESSION,
        "verdict": "accepted",
        "iterations": iterations,
        "accepted_iteration": iterations - 1,
        "grounded": True,
        "model": "large",
    }


def chat(model: str, tool: str | None, iterations: int) -> dict[str, Any]:
    """An accepted chat completion; as a call of `tool`, where there is one."""
    message: dict[str, Any] = {"role": "assistant", "content": TEXT, "refusal": None}
    if tool is not None:
        call = {"id": CALL, "type": "function", "function": {"name": tool, "arguments": TEXT}}
        message |= {"content": None, "tool_calls": [call]}
    finish = "tool_calls" if tool is not None else "stop"
    choice = {"index": 0, "finish_reason": finish, "logprobs": None, "message": message}
    return {
        "id": f"chatcmpl-{SESSION}",
        "object": "chat.completion",
        "created": CREATED,
        "model": model,
        "system_fingerprint": "fp_0123456789ab",
        "choices": [choice],
        "usage": {"prompt_tokens": 812, "completion_tokens": 96, "total_tokens": 908},
        "lakehouse": _facts(iterations),
    }


def chat_stream(model: str, tool: str | None, iterations: int, *, usage: bool) -> Iterator[bytes]:
    """The same, streamed; `usage` is whether the client asked for it."""
    whole = chat(model, tool, iterations)
    shared = {name: whole[name] for name in ("id", "created", "model", "system_fingerprint")}
    shared |= {"object": "chat.completion.chunk"} | ({"usage": None} if usage else {})

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _data(shared | {"choices": [choice]})

    def call(function: dict[str, str], **others: str) -> bytes:
        return chunk({"tool_calls": [{"index": 0, **others, "function": function}]})

    yield chunk({"role": "assistant", "content": None if tool else ""})
    if iterations > 1:
        yield b": waiting\n: attempt 1 rejected\n"
    if tool is not None:
        yield call({"name": tool, "arguments": ""}, id=CALL, type="function")
    for piece in PIECES:
        yield call({"arguments": piece}) if tool is not None else chunk({"content": piece})
    yield chunk({}, whole["choices"][0]["finish_reason"])
    if usage:
        yield _data(shared | {"choices": [], "usage": whole["usage"]})
    yield b"data: [DONE]\n\n"


def chat_failure(model: str, body: dict[str, Any]) -> Iterator[bytes]:
    """A stream that has begun, and fails."""
    yield next(chat_stream(model, None, 1, usage=False))
    yield b": waiting\n: attempt 1 rejected\n"
    yield _data(body)


def _item(tool: str | None, *, done: bool) -> dict[str, Any]:
    status = "completed" if done else "in_progress"
    if tool is not None:
        told = {"type": "function_call", "call_id": CALL, "name": tool}
        return told | {"id": "fc_1", "status": status, "arguments": TEXT if done else ""}
    content = [_part(TEXT)] if done else []
    told = {"type": "message", "id": "msg_1", "role": "assistant"}
    return told | {"status": status, "content": content}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def response(
    model: str, tool: str | None, iterations: int, asked: dict[str, Any], status: str = "completed"
) -> dict[str, Any]:
    """A Responses reply; what the request asked for is echoed where the shape has it."""
    usage = {
        "input_tokens": 812,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 96,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 908,
    }
    done = status == "completed"
    return {
        "id": f"resp_{SESSION}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "metadata": asked.get("metadata") or {},
        "model": model,
        "output": [_item(tool, done=True)] if done else [],
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "temperature": asked.get("temperature"),
        "tool_choice": asked.get("tool_choice", "auto"),
        "tools": asked.get("tools", []),
        "top_p": asked.get("top_p"),
        "text": asked.get("text", {"format": {"type": "text"}}),
        "truncation": "disabled",
        "usage": usage if done else None,
    } | ({"lakehouse": _facts(iterations)} if done else {})


class _Events:
    """Numbers the events of one Responses stream."""

    def __init__(self) -> None:
        self._number = -1

    def __call__(self, name: str, /, **members: Any) -> bytes:
        self._number += 1
        event = {"type": name, "sequence_number": self._number, **members}
        return f"event: {name}\n".encode() + _data(event)


def response_stream(
    model: str, tool: str | None, iterations: int, asked: dict[str, Any]
) -> Iterator[bytes]:
    """The same, streamed."""
    event = _Events()
    begun = response(model, tool, iterations, asked, "in_progress")
    yield event("response.created", response=begun)
    yield event("response.in_progress", response=begun)
    if iterations > 1:
        yield b": waiting\n: attempt 1 rejected\n"
    item = _item(tool, done=False)
    yield event("response.output_item.added", output_index=0, item=item)
    where = {"item_id": item["id"], "output_index": 0}
    if tool is not None:
        name = "response.function_call_arguments"
        for piece in PIECES:
            yield event(f"{name}.delta", **where, delta=piece)
        yield event(f"{name}.done", **where, name=tool, arguments=TEXT)
    else:
        where |= {"content_index": 0}
        yield event("response.content_part.added", **where, part=_part(""))
        for piece in PIECES:
            yield event("response.output_text.delta", **where, delta=piece, logprobs=[])
        yield event("response.output_text.done", **where, text=TEXT, logprobs=[])
        yield event("response.content_part.done", **where, part=_part(TEXT))
    yield event("response.output_item.done", output_index=0, item=_item(tool, done=True))
    yield event("response.completed", response=response(model, tool, iterations, asked))


def response_failure(model: str, body: dict[str, Any], asked: dict[str, Any]) -> Iterator[bytes]:
    """A stream that has begun, and fails: `response.failed`, then `error`."""
    event = _Events()
    yield event("response.created", response=response(model, None, 1, asked, "in_progress"))
    yield b": waiting\n: attempt 1 rejected\n"
    told = body["error"]
    code = "server_error" if told["retryable"] else "invalid_prompt"
    failed = response(model, None, 1, asked, "failed")
    failed["error"] = {"code": code, "message": told["message"]}
    yield event("response.failed", response=failed)
    members = {name: told[name] for name in ("code", "message", "param")}
    yield event("error", **members, error=told)


def _data(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"
