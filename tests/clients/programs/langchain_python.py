"""The matrix's program for langchain-openai."""

from typing import Any

from langchain_openai import ChatOpenAI

from clients.programs.outcomes import Case, Delay, serve

METHODS = {"schema": "json_schema", "tool": "function_calling", "json": "json_mode"}


def ask(case: Case) -> Any:
    """Ask through `with_structured_output`; of a stream, its last object counts."""
    route, kind = case.way.split()
    model: Any = ChatOpenAI(
        model=case.model,
        base_url=case.base_url,
        api_key=case.api_key,
        default_headers=case.headers,
        use_responses_api=route == "responses",
    )
    if kind == "text":
        answers = model.stream(case.prompt) if case.streamed else [model.invoke(case.prompt)]
        return "".join(answer.content for answer in answers)
    model = model.with_structured_output(Delay, method=METHODS[kind])
    if not case.streamed:
        return model.invoke(case.prompt)
    last = None
    for last in model.stream(case.prompt):  # noqa: B007
        pass
    return last


if __name__ == "__main__":
    serve(ask)
