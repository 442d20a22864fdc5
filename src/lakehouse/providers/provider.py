"""The seam between `chatd` and a model backend, and the settings of one configured model.

A provider makes exactly one call per `complete`, with no retry of its own: the only retry loop of
the stack is in `chatd/service.py`.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol

import msgspec

from lakehouse.core.chat import ChatReply, ChatRequest, History, ModelName, ModelState, Sampling
from lakehouse.core.errors import InfraCode, InfraError
from lakehouse.core.limits import (
    CALL_SLOTS_DEFAULT,
    CONNECT_TIMEOUT_MS_DEFAULT,
    FIRST_BYTE_TIMEOUT_MS_LOCAL,
    FIRST_BYTE_TIMEOUT_MS_REMOTE,
    IDLE_TIMEOUT_MS_DEFAULT,
    LOAD_BUDGET_MS_DEFAULT,
)

ProviderName = Literal["llama_cpp", "ollama", "openai", "scripted"]


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[models.NAME]` of the configuration. None means the provider's default.

    `base_url` is the API's address for `openai`, often ending in `/v1`, and the server's root for
    `ollama`. `preload` starts
    loading when the daemon starts. `slots` bounds calls at once. `context_tokens` is `num_ctx` for
    ollama and the context size for llama_cpp. `keep_alive` and `think` are ollama's own. `script`
    is the file of answers of `scripted`. `history` is what a later attempt sees of the earlier
    ones; a kind's own setting goes first. `reasoning_marks` are pairs of an opening and a closing
    mark between which this model thinks, beside those that are known.

    `temperature`, `top_p`, `max_tokens`, `seed` and `stop` hold where neither a request nor a kind
    sets them. `max_tokens_field` is the member that `max_tokens` goes out as, `response_format` how
    a schema is handed over; by default both are found out. `extra_body` goes into every call as it
    is, `headers` and `query` beside it. `$NAME` in `headers`, `query` and `proxy` is read from the
    environment. `ca_file` holds authorities to trust beside the system's.
    """

    provider: ProviderName
    model: str
    base_url: str | None = None
    api_key_env: str | None = None
    preload: bool | None = None
    slots: int | None = None
    connect_timeout_ms: int = CONNECT_TIMEOUT_MS_DEFAULT
    load_timeout_ms: int = LOAD_BUDGET_MS_DEFAULT
    first_byte_timeout_ms: int | None = None
    idle_timeout_ms: int = IDLE_TIMEOUT_MS_DEFAULT
    context_tokens: int | None = None
    keep_alive: str | None = None
    think: bool | Literal["low", "medium", "high"] | None = None
    script: str | None = None
    history: History | None = None
    reasoning_marks: tuple[tuple[str, str], ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] | None = None
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    response_format: Literal["json_schema", "json_object", "none"] | None = None
    extra_body: dict[str, Any] = {}
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    proxy: str | None = None
    ca_file: str | None = None

    def sampling(self) -> Sampling:
        """Give how its answers are sampled where nobody else says."""
        return sampling_of(self)

    def named(self, alias: str) -> ModelName:
        """Give what sessions need to know of the model, under our alias for it."""
        return ModelName(
            alias,
            self.model,
            self.provider,
            self.history,
            self.reasoning_marks,
            self.sampling(),
        )

    def first_byte_ms(self) -> int:
        """Give the limit in force: what is set, else 90 s on this machine and 30 s elsewhere."""
        if self.first_byte_timeout_ms is not None:
            return self.first_byte_timeout_ms
        local = self.provider in {"llama_cpp", "ollama", "scripted"}
        return FIRST_BYTE_TIMEOUT_MS_LOCAL if local else FIRST_BYTE_TIMEOUT_MS_REMOTE

    def call_slots(self) -> int:
        """Give the calls at once in force: what is set, else by what a slot costs.

        A slot of `llama_cpp` is a worker with weights of its own: two for the tiny known model,
        one for a file of unknown size. An endpoint bounds itself; ours only bounds our queue.
        """
        if self.slots is not None:
            return self.slots
        if self.provider == "llama_cpp":
            return 1 if self.model.endswith(".gguf") else 2
        return CALL_SLOTS_DEFAULT

    def preloads(self) -> bool:
        """Say whether the daemon loads the model when it starts."""
        if self.preload is not None:
            return self.preload
        return self.provider in {"llama_cpp", "ollama"}


def sampling_of(settings: msgspec.Struct) -> Sampling:
    """Take the sampling out of the settings of a model or a kind."""
    return Sampling(**{name: getattr(settings, name) for name in Sampling.__struct_fields__})


LOAD_HINT: Final = "Raise load_timeout_ms of the model, or use a smaller one."


class ProviderFault(InfraError):
    """One failed call. `again` says whether the retry loop may try it again.

    `transport` marks faults of the way to the model (these open the breaker), as against
    answers of the endpoint such as a status.
    """

    def __init__(
        self,
        code: InfraCode,
        public: str,
        *,
        again: bool,
        transport: bool = False,
        hint: str = "",
        internal: str = "",
        retryable: bool | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(
            code,
            public,
            hint=hint,
            internal=internal,
            retryable=retryable,
            retry_after_s=retry_after_s,
        )
        self.again = again
        self.transport = transport


class Provider(Protocol):
    """One configured model at its backend. Safe for concurrent calls up to its slots."""

    async def complete(
        self, request: ChatRequest, *, trace: Mapping[str, str], deadline_ms: int
    ) -> ChatReply:
        """Make one call; ends within `deadline_ms` and 250 ms. Called only when loaded.

        `request.model` is our alias; the provider sends its own name for the model. `trace` are
        the W3C headers to send along, or none. Text in the reply is valid Unicode already.

        Raises:
            ProviderFault: No answer; never for an answer that is merely bad.
        """
        ...

    async def load(self) -> None:
        """Load the model and return once it can answer; returns at once when it is loaded.

        Runs in a task of its own that no caller's deadline cancels: aborting a load throws away
        its work (and with Ollama restarts it). Bounded by `load_timeout_ms`.

        Raises:
            ProviderFault: `model_missing`, `connect`, `model_loading` (did not finish), ….
        """
        ...

    async def state(self) -> tuple[ModelState, str | None]:
        """Tell the model's state and a detail for people, within 2 s, without asking it anything.

        Never raises.
        """
        ...

    async def close(self) -> None:
        """Release connections and workers."""
        ...
