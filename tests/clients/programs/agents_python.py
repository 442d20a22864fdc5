"""The matrix's program for the OpenAI Agents SDK."""

from typing import Any

import openai
from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner

from clients.programs.outcomes import Case, Delay, serve

MODELS = {"chat": OpenAIChatCompletionsModel, "responses": OpenAIResponsesModel}


async def ask(case: Case) -> Any:
    """Ask through `run`, or `run_streamed` to its end."""
    client = openai.AsyncOpenAI(
        base_url=case.base_url, api_key=case.api_key, default_headers=case.headers
    )
    model = MODELS[case.way.split()[0]](model=case.model, openai_client=client)
    output_type = None if case.way.endswith("text") else Delay
    agent = Agent(name="reader", model=model, output_type=output_type)
    if not case.streamed:
        return (await Runner.run(agent, case.prompt)).final_output
    result = Runner.run_streamed(agent, case.prompt)
    async for _ in result.stream_events():
        pass
    return result.final_output


if __name__ == "__main__":
    serve(ask)
