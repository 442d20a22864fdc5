"""Ollama through its native API (`/api/chat`), because its OpenAI-compatible one lacks settings.

That one ignores `num_ctx`, `think` and `keep_alive`, and silently cuts long prompts. Ollama aborts
a model's load when the requesting client disconnects, so a load here is a separate call, in its own
task, with its own limit. All of this was tested against a server that behaves as Ollama's
documentation says, not against Ollama itself.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Final, Literal, TypeVar

import msgspec

from lakehouse.core.chat import ChatReply, ChatRequest, FinishReason, ModelState, SchemaLimits
from lakehouse.core.limits import CONTEXT_TOKENS_MAX, FIRST_BYTE_TIMEOUT_MS_LOCAL
from lakehouse.core.wording import range_fault
from lakehouse.providers.access import OPEN, Access, HttpSettings, own_fault
from lakehouse.providers.capability import FORMS, Ask, Capabilities, forms_for
from lakehouse.providers.endpoint import Endpoint, usage_of
from lakehouse.providers.error_body import read_error
from lakehouse.providers.finish_word import finish_reason
from lakehouse.providers.http_fault import Malformed, decode, fault_of_error, malformed
from lakehouse.providers.provider import ProviderFault, Surroundings, too_slow
from lakehouse.transport.client import HttpClient, HttpReply, TransportFault

_NAME: Final = "ollama"
BASE_URL_DEFAULT: Final = "http://127.0.0.1:11434"

# A loaded model answers the load call within milliseconds; longer means that it really loads.
# `/api/ps` cannot tell: it lists a model from the moment its load begins.
_LOADING_AFTER_S: Final = 1.0

_OWN_OPTIONS: Final = {
    "num_ctx": "context_tokens",
    "num_predict": "max_tokens",
    **{name: name for name in ("temperature", "top_p", "seed", "stop")},
}
_ONLY_LOADED: Final = frozenset({"load", "unload"})  # `done_reason` of a call that asked nothing


class OllamaSettings(HttpSettings, frozen=True, kw_only=True, tag=_NAME):
    """`base_url` is the server's root.

    `context_tokens` is `num_ctx`; `keep_alive` and `think` are Ollama's own.
    """

    INSTEAD: ClassVar[Mapping[str, str]] = {
        "max_tokens_field": "Ollama's own API has one name for it, num_predict",
    }
    OWN_MEMBERS: ClassVar[Mapping[str, str]] = {
        "messages": "",
        "stream": "",
        "model": "model",
        "format": "response_format",
        "think": "think",
        "keep_alive": "keep_alive",
    }

    # llama.cpp's own grammars: a thousand values cost no time, since it checks the token that the
    # model chose first. Longer ones were reported to fail: 100 kB with bounds of lengths in them.
    DECODING: ClassVar[SchemaLimits | None] = SchemaLimits(values_max=1_000, bytes_max=32 << 10)

    preload: bool = True
    first_byte_timeout_ms: int = FIRST_BYTE_TIMEOUT_MS_LOCAL
    context_tokens: int | None = None
    keep_alive: str | None = None
    think: bool | Literal["low", "medium", "high"] | None = None

    def faults(self) -> Iterator[tuple[str, str]]:
        """Check the options of every call and the size of the context, too."""
        yield from super().faults()
        options = self.extra_body.get("options", {})
        if not isinstance(options, dict):
            yield "extra_body.options", f"is {options!r}; it must be a table"
        else:
            for name in options:
                if name in _OWN_OPTIONS:
                    yield f"extra_body.options.{name}", own_fault(_OWN_OPTIONS[name])
        fault = range_fault(self.context_tokens, 1, CONTEXT_TOKENS_MAX)
        if fault is not None:
            yield "context_tokens", fault

    def open(self, name: str, around: Surroundings) -> "OllamaProvider":
        """Make the provider; raises likewise."""
        http, access = self.way_in(name, around)
        return OllamaProvider(self, http, access=access)


class _AnswerMessage(msgspec.Struct):
    content: str | None = None
    thinking: Any = None
    tool_calls: Any = None


class _Loaded(msgspec.Struct):
    """What every answer says; of a load, nothing else."""

    done: bool
    error: Any = None


class _Answer(_Loaded, kw_only=True):
    message: _AnswerMessage
    done_reason: Any = None
    prompt_eval_count: Any = None
    eval_count: Any = None


class _Told(msgspec.Struct):
    error: Any = None


class _Tag(msgspec.Struct):
    name: str


class _Tags(msgspec.Struct):
    models: list[_Tag]


_L = TypeVar("_L", bound=_Loaded)


class OllamaProvider:
    """One model of one Ollama. `base_url` is the server's root.

    `keep_alive` is how long Ollama keeps the model after a call (its default: five minutes). A
    model that it drops between `load` and `complete` is loaded within that call's limits.

    Raises:
        SetupError: `base_url` is unfit, or the key cannot stand in a header.
    """

    def __init__(
        self, settings: OllamaSettings, http: HttpClient, *, access: Access = OPEN
    ) -> None:
        self._settings = settings
        self._sampling = settings.sampling()
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
        request = request.with_defaults(self._sampling)
        call = partial(self._call, request, trace)
        return await self._capabilities.ask(request, call, deadline_ms=deadline_ms)

    async def _call(
        self, request: ChatRequest, trace: Mapping[str, str], ask: Ask, left_ms: int
    ) -> ChatReply:
        reply = await self._endpoint.post(
            "/api/chat", self._body(request, ask), trace=trace, deadline_ms=left_ms
        )
        answer = self._read(reply, _Answer, "the answer is not whole")
        message = answer.message
        if answer.done_reason in _ONLY_LOADED and not message.content:
            raise ProviderFault(
                "model_loading",
                f"Ollama only loaded model {self._settings.model!r}, and did not answer.",
                again=True,
                hint="Retry; if it happens again, check Ollama's log.",
            )
        return ChatReply(
            text=message.content or "",
            thinking=message.thinking if isinstance(message.thinking, str) else None,
            finish_reason=_finish_reason(answer),
            usage=usage_of(answer.prompt_eval_count, answer.eval_count),
            model=self._settings.model,
            provider=_NAME,
        )

    async def load(self) -> None:
        """Ask Ollama to load the model, once for everybody who waits.

        Cancelling a waiter leaves the load alone. If the model is loaded, Ollama answers at once
        and restarts `keep_alive`.
        """
        if self._load_task is None or self._load_task.done():
            self._load_began_at = asyncio.get_running_loop().time()
            self._load_task = asyncio.create_task(self._load())
            self._load_task.add_done_callback(_retrieve)
        await asyncio.shield(self._load_task)

    async def state(self) -> tuple[ModelState, str | None]:
        """Return the state, from the list of pulled models and from our own load, if one runs."""
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

    def _read(self, reply: HttpReply, kind: type[_L], undone: str) -> _L:
        """Read a 2xx answer, in which Ollama also tells what went wrong once it had begun."""
        model = self._settings.model
        try:
            answer = decode(reply.body, kind)
        except Malformed as error:
            with contextlib.suppress(Malformed):  # then the first reader has said why
                self._check_told(reply, decode(reply.body, _Told).error)
            raise malformed(model, reply, str(error)) from error
        self._check_told(reply, answer.error)
        if not answer.done:
            raise malformed(model, reply, f"`done` is false: {undone}")
        return answer

    def _check_told(self, reply: HttpReply, told: object) -> None:
        """Raise the error that a 2xx answer tells, if it tells one."""
        if not told:
            return
        error = read_error(told, secrets=self._endpoint.secrets)
        if not error.empty:
            raise fault_of_error(self._settings.model, reply, error)

    def _loads(self) -> bool:
        if self._load_task is None or self._load_task.done():
            return False
        return asyncio.get_running_loop().time() - self._load_began_at >= _LOADING_AFTER_S

    async def _load(self) -> None:
        try:
            reply = await self._endpoint.post(
                "/api/generate",
                self._common(),
                trace={},
                deadline_ms=self._settings.load_timeout_ms,
                first_byte_ms=self._settings.load_timeout_ms,
            )
        except ProviderFault as fault:
            if fault.code != "timeout" or fault.again:
                raise
            model = self._settings.model
            raise too_slow(model, self._settings, internal=fault.internal) from fault
        self._read(reply, _Loaded, "the model is not loaded")

    def _common(self) -> dict[str, Any]:
        """Return the options of both load and chat: another `num_ctx` would reload the model."""
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
        body["messages"] = ask.messages_of(request)
        if self._settings.think is not None:
            body["think"] = self._settings.think
        if ask.form != "none":
            body["format"] = "json" if ask.form == "json_object" else ask.schema_of(request)
        options = ask.sampling.members(ask.tokens_field)
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
