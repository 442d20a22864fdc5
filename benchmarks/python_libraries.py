"""One library that turns an answer into an instance, asked again and again: a process of its own.

Run by `bench_python.py` with the library's name and the mock model's port. Prints a line when it is
ready. For each line on standard input, a number of calls, it makes them, `IN_FLIGHT` at once, and
prints the CPU seconds of this process and the elapsed seconds that they took.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pydantic

if TYPE_CHECKING:
    import lakehouse

IN_FLIGHT = 16
TEXT = "ZRH Zurich: fog, 40 minutes late."


class Event(pydantic.BaseModel):
    """What the mock model's answer says."""

    event: str
    airport: str
    city: str
    delay_minutes: int
    quote: str


Call = Callable[[], Awaitable[Event]]


async def lake_of(port: int, stack: AsyncExitStack) -> "lakehouse.AsyncLake":
    """Open a client in this process, with a log of its own."""
    import lakehouse  # noqa: PLC0415  only where it is installed

    directory = stack.enter_context(TemporaryDirectory(dir=Path(__file__).parent))
    model = {
        "provider": "openai",
        "model": "mock",
        "slots": 64,
        "base_url": f"http://127.0.0.1:{port}/v1",
    }
    settings = {"log": {"path": str(Path(directory) / "log")}, "models": {"mock": model}}
    return await stack.enter_async_context(lakehouse.open_async(settings))


async def lakehouse_call(port: int, stack: AsyncExitStack) -> Call:
    """`create` in process: the loop, all checks, and a durable row in the log."""
    lake = await lake_of(port, stack)
    return lambda: lake.create(Event, TEXT)


async def loop_call(port: int, stack: AsyncExitStack) -> Call:
    """The same session without a type: `iterate`, and the artifact as it is."""
    lake = await lake_of(port, stack)
    schema = Event.model_json_schema()

    async def call() -> Event:
        session = await lake.iterate(schema=schema, prompt=TEXT, max_iterations=3)
        return Event.model_construct(**session.artifact)

    return call


async def instructor_call(port: int, stack: AsyncExitStack) -> Call:
    """Instructor over OpenAI's client, its answer decoded from JSON."""
    import instructor  # noqa: PLC0415  only where it is installed
    import openai  # noqa: PLC0415  only where it is installed

    raw = await stack.enter_async_context(
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none")
    )
    client = instructor.from_openai(raw, mode=instructor.Mode.JSON_SCHEMA)
    messages = [{"role": "user", "content": TEXT}]

    async def call() -> Event:
        found: Event = await client.create(
            model="mock", messages=messages, response_model=Event, max_retries=2
        )
        return found

    return call


async def pydantic_ai_call(port: int, stack: AsyncExitStack) -> Call:
    """PydanticAI's agent with a native JSON Schema."""
    import openai  # noqa: PLC0415  only where it is installed
    from pydantic_ai import Agent, NativeOutput  # noqa: PLC0415  likewise
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415  likewise
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415  likewise

    raw = await stack.enter_async_context(
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none")
    )
    model = OpenAIChatModel("mock", provider=OpenAIProvider(openai_client=raw))
    agent: Agent[None, Event] = Agent(model, output_type=NativeOutput(Event), retries=2)

    async def call() -> Event:
        found: Event = (await agent.run(TEXT)).output
        return found

    return call


CALLS = {
    "lakehouse": lakehouse_call,
    "lakehouse-loop": loop_call,
    "instructor": instructor_call,
    "pydantic-ai": pydantic_ai_call,
}


async def main() -> None:
    async with AsyncExitStack() as stack:
        call = await CALLS[sys.argv[1]](int(sys.argv[2]), stack)
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            left = int(line)

            async def worker() -> None:
                nonlocal left
                while left > 0:
                    left -= 1
                    found = await call()
                    if found.airport != "ZRH":
                        raise RuntimeError(found)

            cpu_s, began_s = time.process_time(), time.perf_counter()
            await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
            print(time.process_time() - cpu_s, time.perf_counter() - began_s, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
