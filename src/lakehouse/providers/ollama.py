"""Ollama by its native API (`/api/chat`), which its OpenAI-compatible one cannot replace.

That one ignores `num_ctx`, `think` and `keep_alive`, and cuts long prompts without a word. Ollama
aborts a model's load when the client that asked for it disconnects, so a load here is a call of
its own, in a task of its own, with a limit of its own. All of this was tested against a server
that behaves as Ollama's documentation says, not against Ollama itself.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from lakehouse.core.chat import ChatReply, ChatRequest, FinishReason, ModelState, Usage
from lakehouse.providers.access import OPEN, Access
from lakehouse.providers.capability import FORMS, Ask, Capabilities, forms_for
from lakehouse.providers.endpoint import Endpoint, token_count
from lakehouse.providers.error_body import read_error
from lakehouse.providers.finish_word import finish_reason
from lakehouse.providers.http_fault import Malformed, decode, fault_of_error, malformed
from lakehouse.providers.provider import LOAD_HINT, ModelSettings, ProviderFault
from lakehouse.transport.client import HttpClient, HttpReply, TransportFault

BASE_URL_DEFAULT: Final = "http://127.0.0.1:11434"

# A loaded model answers the load call within milliseconds; longer means that it really loads.
# `/api/ps` cannot tell: it lists a model from the moment its load begins.
_LOADING_AFTER_S: Final = 1.0

_ONLY_LOADED: Final = frozenset({"load", "unload"})  # `done_reason` of a call that asked nothing


class _AnswerMessage(msgspec.Struct):
    content: str | None = None
    thinking: Any = None
    tool_calls: Any = None


class _Answer(msgspec.Struct):
    message: _AnswerMessage
    done: bool
    done_reason: Any = None
    prompt_eval_count: Any = None
    eval_count: Any = None


class _Told(msgspec.Struct):
    error: Any = None


class _Loaded(msgspec.Struct):
    done: bool


class _Tag(msgspec.Struct):
    name: str


class _Tags(msgspec.Struct):
    models: list[_Tag]


class OllamaProvider:
    """One model of one Ollama. `base_url` is the server's root.

    `keep_alive` is how long Ollama keeps the model after a call (its default: five minutes). A
    model that it drops between `load` and `complete` is loaded within that call's limits.

    Raises:
        SetupError: `base_url` is unfit, or the key cannot stand in a header.
    """

    def __init__(self, settings: ModelSettings, http: HttpClient, *, access: Access = OPEN) -> None:
        self._settings = settings
        self._endpoint = Endpoint(settings, http, settings.base_url or BASE_URL_DEFAULT, access)
        self._load_task: asyncio.Task[None] | None = None
        self._load_began_at = 0.0
        self._capabilities = Capabilities(
            settings.model,
            forms_for(settings.response_format, FORMS[1:]),
            tokens_fields=("num_predict",),
        )

    async def complete(
        self, request: ChatRequest, *, trace: Mapping[str, str], deadline_ms: int
    ) -> ChatReply:
        """Make one call; see the protocol."""
        request = request.with_defaults(self._settings.sampling())

        async def call(ask: Ask, left_ms: int) -> ChatReply:
            reply = await self._endpoint.post(
                "/api/chat", self._body(request, ask), trace=trace, deadline_ms=left_ms
            )
            return self._reply(self._read(reply))

        return await self._capabilities.ask(request, call, deadline_ms=deadline_ms)

    def _reply(self, answer: _Answer) -> ChatReply:
        message = answer.message
        return ChatReply(
            text=message.content or "",
            thinking=message.thinking if isinstance(message.thinking, str) else None,
            finish_reason=_finish_reason(answer),
            usage=Usage(token_count(answer.prompt_eval_count), token_count(answer.eval_count)),
            model=self._settings.model,
            provider="ollama",
        )

    async def load(self) -> None:
        """Ask Ollama to load the model, once for everybody who waits.

        Cancelling a waiter leaves the load alone. An Ollama that has the model loaded answers at
        once, and starts its `keep_alive` anew.
        """
        if self._load_task is None or self._load_task.done():
            self._load_began_at = asyncio.get_running_loop().time()
            self._load_task = asyncio.create_task(self._load())
            self._load_task.add_done_callback(_retrieve)
        await asyncio.shield(self._load_task)

    async def state(self) -> tuple[ModelState, str | None]:
        """Tell the state from the list of pulled models and from our own load, if one runs."""
        try:
            reply = await self._endpoint.ask("/api/tags")
        except TransportFault as fault:
            return "unreachable", str(fault)
        if reply.status != 200:
            return "unreachable", f"status {reply.status} for the list of models"
        try:
            names = [tag.name for tag in decode(reply.body, _Tags).models]
        except Malformed:
            return "unreachable", "the list of models cannot be read; check base_url"
        model = self._settings.model
        if model not in names and f"{model}:latest" not in names:
            return "missing", f"pull it: ollama pull {model}"
        return ("loading", None) if self._loads() else ("ready", None)

    async def close(self) -> None:
        """End a load under way: nobody is left to use it."""
        if self._load_task is not None and not self._load_task.done():
            self._load_task.cancel()
            await asyncio.wait({self._load_task})

    def _read(self, reply: HttpReply) -> _Answer:
        """Read a 2xx answer, in which Ollama also tells what went wrong once it had begun."""
        model = self._settings.model
        self._check_told(reply)
        try:
            answer = decode(reply.body, _Answer)
            if not answer.done:
                raise Malformed("`done` is false: the answer is not whole")
        except Malformed as error:
            raise malformed(model, reply, str(error)) from error
        if answer.done_reason in _ONLY_LOADED and not answer.message.content:
            raise ProviderFault(
                "model_loading",
                f"Ollama only loaded model {model!r}, and did not answer.",
                again=True,
                hint="Ask again; if it stays so, look up the log of Ollama.",
            )
        return answer

    def _check_told(self, reply: HttpReply) -> None:
        """Raise the error that a 2xx answer tells, if it tells one."""
        try:
            told = decode(reply.body, _Told)
        except Malformed:
            return  # the reader of the whole answer says why it cannot be read
        error = read_error(told.error, secrets=self._endpoint.secrets)
        if not error.empty:
            raise fault_of_error(self._settings.model, reply, error)

    def _loads(self) -> bool:
        if self._load_task is None or self._load_task.done():
            return False
        return asyncio.get_running_loop().time() - self._load_began_at >= _LOADING_AFTER_S

    async def _load(self) -> None:
        model = self._settings.model
        try:
            reply = await self._endpoint.load("/api/generate", self._common())
        except ProviderFault as fault:
            if fault.code != "timeout" or fault.again:
                raise
            raise ProviderFault(
                "model_loading",
                f"Model {model!r} did not load within {self._settings.load_timeout_ms} ms.",
                again=False,
                hint=LOAD_HINT,
                internal=fault.internal,
            ) from fault
        self._check_told(reply)
        try:
            if not decode(reply.body, _Loaded).done:
                raise Malformed("`done` is false: the model is not loaded")
        except Malformed as error:
            raise malformed(model, reply, str(error)) from error

    def _common(self) -> dict[str, Any]:
        """Give what load and chat must say alike: another `num_ctx` would load the model anew."""
        body: dict[str, Any] = {
            **self._settings.extra_body,
            "model": self._settings.model,
            "stream": False,
        }
        if self._settings.keep_alive is not None:
            body["keep_alive"] = self._settings.keep_alive
        if self._settings.context_tokens is not None:
            options = body.get("options", {})
            body["options"] = options | {"num_ctx": self._settings.context_tokens}
        return body

    def _body(self, request: ChatRequest, ask: Ask) -> dict[str, Any]:
        body = self._common()
        body["messages"] = request.messages
        if self._settings.think is not None:
            body["think"] = self._settings.think
        if ask.form != "none":
            body["format"] = "json" if ask.form == "json_object" else request.schema
        asked = {
            "temperature": ask.sampling.temperature,
            "top_p": ask.sampling.top_p,
            "seed": ask.sampling.seed,
            ask.tokens_field: ask.sampling.max_tokens,
            "stop": ask.sampling.stop,
        }
        options = {name: value for name, value in asked.items() if value is not None}
        if options:
            body["options"] = body.get("options", {}) | options
        return body


def _finish_reason(answer: _Answer) -> FinishReason:
    if answer.message.tool_calls and not answer.message.content:
        return "tool_calls"
    return finish_reason(answer.done_reason)


def _retrieve(task: asyncio.Task[None]) -> None:
    # Every waiter may be gone by the time a load fails; asyncio would complain of the fault then.
    if not task.cancelled():
        task.exception()
