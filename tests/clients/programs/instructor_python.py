"""The matrix's program for Instructor."""

from typing import Any

import instructor
import openai

from clients.programs.outcomes import Case, Delay, serve

MODES = {
    "chat tool": instructor.Mode.TOOLS,
    "chat schema": instructor.Mode.JSON_SCHEMA,
    "chat json": instructor.Mode.JSON,
    "responses tool": instructor.Mode.RESPONSES_TOOLS,
}


def ask(case: Case) -> Any:
    """Ask through `create`, or `create_partial` and its last object."""
    raw = openai.OpenAI(base_url=case.base_url, api_key=case.api_key, default_headers=case.headers)
    client = instructor.from_openai(raw, mode=MODES[case.way])
    how: dict[str, Any] = {"model": case.model, "messages": case.messages, "response_model": Delay}
    if not case.streamed:
        return client.create(**how)
    last = None
    for last in client.create_partial(**how):  # noqa: B007
        pass
    return last


if __name__ == "__main__":
    serve(ask)
