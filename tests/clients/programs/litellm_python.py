"""The matrix's program for LiteLLM's SDK, which gives text: its user parses that."""

from typing import Any

import litellm
import openai

from clients.programs.outcomes import Case, Delay, serve

FORCED = {"type": "function", "function": {"name": "Delay"}}


def ask(case: Case) -> Any:
    """Ask with a schema, a forced tool or neither; of a stream, the pieces are joined."""
    tool = case.way == "chat tool"
    how: dict[str, Any] = {"response_format": Delay} if case.way == "chat schema" else {}
    if tool:
        how = {"tools": [openai.pydantic_function_tool(Delay)], "tool_choice": FORCED}
    answer = litellm.completion(
        model=f"openai/{case.model}",
        base_url=case.base_url,
        api_key=case.api_key,
        extra_headers=case.headers,
        messages=case.messages,
        stream=case.streamed,
        **how,
    )
    said = (
        [one.choices[0].delta for one in answer] if case.streamed else [answer.choices[0].message]
    )
    if tool:
        text = "".join(
            call.function.arguments or "" for one in said for call in one.tool_calls or ()
        )
    else:
        text = "".join(one.content or "" for one in said)
    return Delay.model_validate_json(text)


if __name__ == "__main__":
    litellm.suppress_debug_info = True
    serve(ask)
