"""What the endpoints of the fault matrix answer, in two dialects, whole or streamed."""

import json
from typing import Any, Literal

Dialect = Literal["openai", "ollama"]
TEXT = '{"city": "Malmö 🛬"}'


def answer(
    dialect: Dialect,
    text: str | None = TEXT,
    finish: str = "stop",
    message: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A good answer in a dialect, with 7 and 5 tokens of usage."""
    said = {"role": "assistant", "content": text} | (message or {})
    if dialect == "openai":
        choice = {"index": 0, "message": said, "finish_reason": finish}
        usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
        return {"object": "chat.completion", "choices": [choice], "usage": usage}
    counts = {"prompt_eval_count": 7, "eval_count": 5}
    return {"model": "m", "message": said, "done": True, "done_reason": finish} | counts


def error_body(dialect: Dialect, message: str, code: str = "some_code") -> dict[str, Any]:
    if dialect == "openai":
        return {"error": {"message": message, "type": "some_error", "code": code}}
    return {"error": message}


def events(dialect: Dialect, *, whole: bool = True, line_end: str = "\n") -> bytes:
    """The same answer as a stream: SSE or one JSON object a line; `whole` ends it properly."""
    if dialect == "openai":
        parts = [{"choices": [{"delta": {"content": piece}}]} for piece in (TEXT[:8], TEXT[8:])]
        lines = [f"data: {json.dumps(part, ensure_ascii=False)}" for part in parts]
        lines += ["data: [DONE]"] if whole else []
        return "".join(line + line_end * 2 for line in lines).encode()
    pieces = [{"message": {"content": piece}, "done": False} for piece in (TEXT[:8], TEXT[8:])]
    lines = [json.dumps(piece, ensure_ascii=False) for piece in pieces]
    lines += [json.dumps(answer("ollama", ""))] if whole else []
    return "".join(line + line_end for line in lines).encode()
