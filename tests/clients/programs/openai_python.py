"""The matrix's program for openai-python: 1.x, 2.x and 3.x alike."""

from typing import Any

import openai

from clients.programs.outcomes import Case, Delay, serve

FORCED = {"type": "function", "function": {"name": "Delay"}}


def ask(case: Case) -> Any:
    """Ask through `parse()`, or `stream()` and its final answer."""
    client = openai.OpenAI(
        base_url=case.base_url, api_key=case.api_key, default_headers=case.headers
    )
    with client:
        return (_chat if case.way.startswith("chat") else _responses)(client, case)


def _chat(client: openai.OpenAI, case: Case) -> Any:
    tool = case.way == "chat tool"
    how: dict[str, Any] = {"response_format": Delay} if case.way == "chat schema" else {}
    if tool:
        how = {"tools": [openai.pydantic_function_tool(Delay)], "tool_choice": FORCED}
    how |= {"model": case.model, "messages": case.messages}
    if case.streamed:
        with client.chat.completions.stream(**how) as stream:
            answer = stream.get_final_completion()
    else:
        answer = client.chat.completions.parse(**how)
    message = answer.choices[0].message
    if case.way == "chat text":
        return message.content
    return message.tool_calls[0].function.parsed_arguments if tool else message.parsed


def _responses(client: openai.OpenAI, case: Case) -> Any:
    tool = case.way == "responses tool"
    how: dict[str, Any] = {"text_format": Delay} if case.way == "responses schema" else {}
    if tool:
        how = {"tools": [openai.pydantic_function_tool(Delay)], "tool_choice": "required"}
    how |= {"model": case.model, "input": case.prompt}
    if case.streamed:
        with client.responses.stream(**how) as stream:
            answer = stream.get_final_response()
    else:
        answer = client.responses.parse(**how)
    if case.way == "responses text":
        return answer.output_text
    return answer.output[0].parsed_arguments if tool else answer.output_parsed


if __name__ == "__main__":
    serve(ask)
