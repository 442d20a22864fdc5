"""What may happen to a request at the door, and every cell of the matrix.

A situation is the model that a client names, the key that it sends, and the stack that it calls.
"""

from typing import NamedTuple

PROMPT = "VY3901 to Málaga ✈ is 25 minutes late."
# What every accepted session holds, in any language.
OBJECT = {"flight": "VY3901", "city": "Málaga ✈", "minutes": 25}
HELD = "A session that takes the only place."


class Situation(NamedTuple):
    """One thing that happens, in the table's words."""

    name: str
    told: str  # the heading in the table
    answer: str  # what the door answers, for the page
    model: str
    stack: str = "default"
    known_key: bool = True
    idempotent: bool = False  # with an `Idempotency-Key` of its own
    streamed_only: bool = False


SITUATIONS = (
    Situation("accepted", "accepted", "200", "delay@accepted"),
    Situation(
        "no_kind",
        "a model, no kind",
        "200 where the client sends a schema, else 400 `no_contract` and no session",
        "accepted",
    ),
    Situation(
        "second_try",
        "accepted after one rejection",
        "200; a stream begins before the verdict, and has comments",
        "delay@second-try",
        stack="late",
    ),
    Situation(
        "exhausted",
        "exhausted",
        "400 `max_iter_exhausted`, `x-should-retry: false`",
        "delay@exhausted",
    ),
    Situation(
        "down",
        "model down",
        "502 `connect`, `x-should-retry: true`; from the fifth failure on with `retry-after`",
        "delay@down",
    ),
    Situation(
        "loading", "model loading", "504 `model_loading`, `x-should-retry: true`", "delay@loading"
    ),
    Situation(
        "timeout",
        "deadline over",
        "504 `timeout`, `x-should-retry: false`",
        "delay@slow",
        stack="hurried",
    ),
    Situation(
        "timeout_keyed",
        "deadline over, idempotent",
        "the same; each request has an `Idempotency-Key` in its headers",
        "delay@slow",
        stack="hurried",
        idempotent=True,
    ),
    Situation(
        "over_limit",
        "over the limit",
        "429 `rate_limited`, `x-should-retry: true`, `retry-after: 1`; no session",
        "delay@accepted",
        stack="full",
    ),
    Situation(
        "wrong_key",
        "wrong key",
        "401 `invalid_api_key`, `x-should-retry: false`; no session",
        "delay@accepted",
        known_key=False,
    ),
    Situation(
        "exhausted_late",
        "exhausted, told in the stream",
        "200, then an error of type `invalid_request_error`",
        "delay@exhausted-slowly",
        stack="late",
        streamed_only=True,
    ),
    Situation(
        "loading_late",
        "model loading, told in the stream",
        "200, then an error of type `server_error`",
        "delay@loading",
        stack="late",
        streamed_only=True,
    ),
)


class Client(NamedTuple):
    """One client: where it is installed, which program drives it, and its ways of asking.

    The first word of a way is the route.
    """

    name: str
    environment: str
    program: str
    packages: tuple[str, ...]  # whose versions the page shows
    ways: tuple[str, ...]


_OPENAI_WAYS = tuple(
    f"{route} {kind}" for route in ("chat", "responses") for kind in ("schema", "tool", "text")
)
_PYDANTIC_AI_WAYS = tuple(
    f"{route} {output}"
    for route in ("chat", "responses")
    for output in ("tool", "native", "prompted", "text")
)

CLIENTS = (
    *(
        Client(f"openai-python {n}", f"openai-{n}", "openai_python", ("openai",), _OPENAI_WAYS)
        for n in (1, 2, 3)
    ),
    Client(
        "langchain-openai",
        "langchain-openai",
        "langchain_python",
        ("langchain-openai",),
        ("chat schema", "chat tool", "chat json", "chat text", "responses schema"),
    ),
    Client(
        "LiteLLM",
        "litellm",
        "litellm_python",
        ("litellm",),
        ("chat schema", "chat tool", "chat text"),
    ),
    Client(
        "Instructor",
        "instructor",
        "instructor_python",
        ("instructor",),
        ("chat tool", "chat schema", "chat json", "responses tool"),
    ),
    Client(
        "PydanticAI", "pydantic-ai", "pydantic_ai_python", ("pydantic-ai-slim",), _PYDANTIC_AI_WAYS
    ),
    Client(
        "OpenAI Agents",
        "openai-agents",
        "agents_python",
        ("openai-agents",),
        ("responses schema", "responses text", "chat schema", "chat text"),
    ),
    Client("openai-node", "node", "openai_node", ("openai",), _OPENAI_WAYS),
    Client(
        "LangChain.js",
        "node",
        "langchain_node",
        ("@langchain/openai", "@langchain/core"),
        ("chat schema", "chat tool", "chat json", "chat text", "responses schema"),
    ),
    Client(
        "AI SDK with openai",
        "node",
        "ai_openai_node",
        ("ai", "@ai-sdk/openai"),
        ("responses schema", "responses text", "chat schema"),
    ),
    Client(
        "AI SDK with openai-compatible",
        "node",
        "ai_compatible_node",
        ("ai", "@ai-sdk/openai-compatible"),
        ("chat schema", "chat json", "chat text"),
    ),
)


class Cell(NamedTuple):
    """One client that asks one way in one situation; its id stands in the prompt."""

    client: Client
    way: str
    streamed: bool
    situation: Situation

    @property
    def row(self) -> str:
        """Name the line of the table."""
        return f"{self.client.name} | {self.way}{', streamed' if self.streamed else ''}"


def cells(clients: tuple[Client, ...] = CLIENTS) -> list[Cell]:
    """List all cells, row by row."""
    return [
        Cell(client, way, streamed, situation)
        for client in clients
        for way in client.ways
        for streamed in (False, True)
        for situation in SITUATIONS
        if streamed or not situation.streamed_only
    ]
