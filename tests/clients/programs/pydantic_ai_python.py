"""The matrix's program for PydanticAI."""

from typing import Any

import openai
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from clients.programs.outcomes import Case, Delay, serve

MODELS = {"chat": OpenAIChatModel, "responses": OpenAIResponsesModel}
OUTPUTS: dict[str, Any] = {
    "tool": ToolOutput(Delay),
    "native": NativeOutput(Delay),
    "prompted": PromptedOutput(Delay),
    "text": str,
}


async def ask(case: Case) -> Any:
    """Ask through `run`, or `run_stream` and its output."""
    route, output = case.way.split()
    client = openai.AsyncOpenAI(
        base_url=case.base_url, api_key=case.api_key, default_headers=case.headers
    )
    model = MODELS[route](case.model, provider=OpenAIProvider(openai_client=client))
    agent: Agent[None, Any] = Agent(model, output_type=OUTPUTS[output])
    if not case.streamed:
        return (await agent.run(case.prompt)).output
    async with agent.run_stream(case.prompt) as result:
        return await result.get_output()


if __name__ == "__main__":
    serve(ask)
