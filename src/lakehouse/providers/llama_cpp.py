"""The embedded model: llama.cpp in this process, through the package xllamacpp.

Each slot is a worker: a thread and an engine of its own, so slots never wait for each other and a
call sees nothing of another's cache. Refuses to listen anywhere (the engine insists on a server
socket: it gets one without a name), to print, and to trust a schema: one that the engine cannot
decode under is left out of the call, since every answer is validated anyway.

Determinism: the same seed, temperature and messages give the same text on the same machine when a
worker is asked for the first time; afterwards it reuses the prompt it has in its cache, and sums
of floats in another order may tip a close decision.
"""

import asyncio
import importlib.util
import os
import tempfile
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import msgspec

from lakehouse.core.chat import ChatReply, ChatRequest, FinishReason, Message, ModelState, Usage
from lakehouse.core.json_text import NULL
from lakehouse.core.limits import MAX_TOKENS_DEFAULT
from lakehouse.providers.provider import ModelSettings, ProviderFault
from lakehouse.providers.weights import SMOLLM2, WEIGHTS, model_path

_CONTEXT_TOKENS_DEFAULT: Final = 4096
_THREADS_MAX: Final = 8  # of one worker; the models this is meant for gain nothing from more
_SCHEMAS_REFUSED_MAX: Final = 256  # remembered, so that each is tried once
_STOP_S: Final = 10.0  # for workers to notice at `close` that they are to stop
_SOCKET_DIRECTORY_MAX: Final = 80  # of the 108 bytes that the path of a socket may have
_GGUF_MAGIC: Final = b"GGUF"
_FINISH: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
}

_PULL_HINT: Final = "Run `lakehouse models pull smollm2`."
_INSTALL_HINT: Final = "Run `pip install 'lakehouse-stack[local]'`."


class _NamedSchema(msgspec.Struct):
    schema: msgspec.Raw
    name: str = "artifact"


class _ResponseFormat(msgspec.Struct):
    json_schema: _NamedSchema
    type: str = "json_schema"


class _StreamOptions(msgspec.Struct):
    include_usage: bool = True


class _Body(msgspec.Struct):
    """A chat completion in OpenAI's form; streamed, since only a stream can be stopped."""

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float | msgspec.UnsetType = msgspec.UNSET
    seed: int | msgspec.UnsetType = msgspec.UNSET
    response_format: _ResponseFormat | msgspec.UnsetType = msgspec.UNSET
    stream: bool = True
    stream_options: _StreamOptions = msgspec.field(default_factory=_StreamOptions)


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta
    finish_reason: str | None = None


class _Error(msgspec.Struct):
    message: str = ""
    type: str = ""


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: Usage | None = None
    error: _Error | None = None


_CHUNK: Final = msgspec.json.Decoder(_Chunk)


class _Generation:
    """One answer in the making: filled by its worker, stopped by the event loop or the clock."""

    def __init__(self, deadline_ms: float) -> None:
        self.began = False
        self.stopped = False
        self.error: _Error | None = None
        self._end_s = time.monotonic() + deadline_ms / 1000
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._finish: str | None = None
        self._usage = Usage()

    def take(self, data: bytes) -> bool:
        """Take one chunk in; says whether the engine is to stop.

        The engine's callback, in the worker's thread. An exception in it stops the engine too,
        and leaves an answer that did not finish.
        """
        chunk = _CHUNK.decode(data)
        if chunk.error is not None:
            self.error = chunk.error
            return True
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices:
            self._finish = choice.finish_reason or self._finish
            if choice.delta.content:
                self._text.append(choice.delta.content)
            if choice.delta.reasoning_content:
                self._thinking.append(choice.delta.reasoning_content)
        self.began = self.began or bool(self._text or self._thinking)
        self.stopped = self.stopped or time.monotonic() > self._end_s
        return self.stopped

    def reply(self, model: str) -> ChatReply | None:
        """Give the whole answer; None when it did not come to its end."""
        if self._finish is None:
            return None
        return ChatReply(
            text="".join(self._text),
            thinking="".join(self._thinking) or None,
            finish_reason=_FINISH.get(self._finish, "other"),
            usage=self._usage,
            model=model,
            provider="llama_cpp",
        )


class LlamaCppProvider:
    """One GGUF model in this process, `slots` answers at once.

    `settings.model` is a known name or the path of a GGUF file. A call whose caller goes away
    stops at its next token; while it still reads its prompt it keeps its worker busy until then.
    """

    def __init__(self, name: str, settings: ModelSettings) -> None:
        """Load nothing yet; the package xllamacpp is imported by `load`."""
        self._name = name
        self._settings = settings
        self._slots = settings.call_slots()
        self._threads = ThreadPoolExecutor(self._slots, thread_name_prefix=f"llama-{name}")
        # As many engines as threads: a worker never waits for one.
        self._engines: SimpleQueue[Any] = SimpleQueue()
        self._opening: list[Future[ProviderFault | None]] = []
        self._running: set[_Generation] = set()
        self._schemas_refused: OrderedDict[bytes, None] = OrderedDict()
        self._loaded = False
        self._closed = False

    async def complete(
        self,
        request: ChatRequest,
        *,
        traceparent: str | None,  # noqa: ARG002 - nothing to send it to: the model is in here
        deadline_ms: int,
    ) -> ChatReply:
        """Generate one answer, under the request's schema where the engine can.

        Without `max_tokens` at most `MAX_TOKENS_DEFAULT` are generated.

        Raises:
            ProviderFault: `timeout`; `upstream_status` for a prompt that the engine refuses, such
                as one longer than the context; `model_loading` before `load`.
        """
        self._check_open()
        if not self._loaded:
            raise ProviderFault(
                "model_loading", f"Model {self._name!r} is not loaded.", again=False
            )
        generation = _Generation(deadline_ms)
        self._running.add(generation)
        answer = asyncio.wrap_future(self._threads.submit(self._generate, request, generation))
        first_ms = min(deadline_ms, self._settings.first_byte_ms())
        try:
            done, _ = await asyncio.wait({answer}, timeout=first_ms / 1000)
            if not done and generation.began:
                await asyncio.wait({answer}, timeout=(deadline_ms - first_ms) / 1000)
            if not answer.done():
                self._check_open()
                raise self._too_late()
            return answer.result()
        finally:
            generation.stopped = True
            self._running.discard(generation)
            # Drops the call where it still waits for its worker, and its result where not.
            answer.cancel()

    async def load(self) -> None:
        """Open the engines, each in its worker; joins an opening that is under way.

        Raises:
            ProviderFault: `model_missing`: no weights, no engine, or not a model; `model_loading`:
                not done within `load_timeout_ms`, goes on.
        """
        self._check_open()
        if self._loaded:
            return
        if not self._opening:
            path = self._weights()
            self._opening = [self._threads.submit(self._open, path) for _ in range(self._slots)]
        engines = {asyncio.wrap_future(future) for future in self._opening}
        _, pending = await asyncio.wait(engines, timeout=self._settings.load_timeout_ms / 1000)
        if pending:
            raise ProviderFault(
                "model_loading",
                f"Model {self._name!r} did not load within {self._settings.load_timeout_ms} ms.",
                again=False,
            )
        self._opening = []
        fault = next((fault for engine in engines if (fault := engine.result())), None)
        if fault is not None:
            self._drop_engines()
            raise fault
        self._loaded = True

    async def state(self) -> tuple[ModelState, str | None]:
        """Tell whether the model is loaded, loading, or cannot be loaded."""
        if self._loaded:
            return "ready", None
        if self._opening:
            return "loading", None
        try:
            self._weights()
        except ProviderFault as fault:
            return "missing", f"{fault.public} {fault.hint}"
        return "ready", "is loaded by its first call"

    async def close(self) -> None:
        """Stop the answers under way and free the engines; waits up to 10 s for the workers."""
        self._closed = True
        self._loaded = False
        for generation in self._running:
            generation.stopped = True
        closing = asyncio.get_running_loop().run_in_executor(None, self._shut_down)
        await asyncio.wait({closing}, timeout=_STOP_S)

    def _shut_down(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._drop_engines()

    def _drop_engines(self) -> None:
        """Free the idle engines. Blocks for some milliseconds each."""
        while not self._engines.empty():
            self._engines.get()

    def _weights(self) -> Path:
        """Find what is needed to load.

        Raises:
            ProviderFault: `model_missing`, saying what.
        """
        if importlib.util.find_spec("xllamacpp") is None:
            raise _missing("The package xllamacpp, which runs embedded models, is missing.")
        model = self._settings.model
        path = model_path(model)
        if path is None and model in WEIGHTS:
            raise _missing(f"The weights of {model!r} have not been pulled.", hint=_PULL_HINT)
        if path is None:
            raise _missing(
                f"models.{self._name}.model is {model!r}: neither {SMOLLM2!r} nor a file.",
                hint="Correct the path of the GGUF file, or take the model that can be pulled: "
                "`lakehouse models pull smollm2`.",
            )
        return path

    def _open(self, path: Path) -> ProviderFault | None:
        """Open one engine; gives what went wrong. Runs in a worker."""
        # 50 ms, and only this provider needs it.
        import xllamacpp  # noqa: PLC0415

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = self._settings.context_tokens or _CONTEXT_TOKENS_DEFAULT
        params.n_parallel = 1
        # The threads of one engine spin while they wait for each other: with as many as there are
        # processors, one busy neighbour slows the whole answer down tenfold and more.
        threads = max(1, min(_THREADS_MAX, _cpus() // 2 // self._slots))
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.verbosity = -1
        params.warmup = params.fit_params = params.ui = False
        params.cache_ram_mib = 0  # else up to 8 GiB of old prompts are kept
        params.n_threads_http = 1
        # The engine always opens a server socket. This one has no port, and after this block no
        # name either, so nobody can reach it.
        parent = tempfile.gettempdir()
        short = len(parent) <= _SOCKET_DIRECTORY_MAX
        try:
            with path.open("rb") as file:
                if file.read(len(_GGUF_MAGIC)) != _GGUF_MAGIC:
                    return _missing(f"{path} is not a GGUF file.", hint="Correct the path.")
            with tempfile.TemporaryDirectory(dir=parent if short else "/tmp") as private:  # noqa: S108
                params.hostnames = [str(Path(private) / "engine.sock")]
                self._engines.put(xllamacpp.Server(params))
        except (OSError, RuntimeError, ValueError) as error:
            return _missing(
                f"{path} could not be loaded as a model.",
                hint="Check that the file is whole and of a kind that llama.cpp knows.",
                internal=f"{path}: {error}",
            )
        return None

    def _generate(self, request: ChatRequest, generation: _Generation) -> ChatReply:
        """Make one answer. Runs in a worker."""
        engine = self._engines.get()
        try:
            schema = request.schema
            if bytes(schema) in self._schemas_refused:
                schema = NULL
            failure = _decode(engine, request, schema, generation)
            if failure is not None and schema != NULL and not generation.stopped:
                generation.error = None
                failure = _decode(engine, request, NULL, generation)
                if failure is None:
                    self._remember_refused(bytes(schema))
        finally:
            self._engines.put(engine)
        reply = generation.reply(self._settings.model)
        if generation.stopped:
            self._check_open()
            raise self._too_late()
        if failure is not None:
            raise ProviderFault(
                "upstream_status",
                f"Model {self._name!r} refused the call: {failure}",
                again=False,
                hint="Shorten the prompt, or raise context_tokens of the model.",
            )
        if reply is None:
            raise ProviderFault(
                "upstream_malformed",
                f"Model {self._name!r} broke off in the middle of its answer.",
                again=False,
            )
        return reply

    def _remember_refused(self, schema: bytes) -> None:
        self._schemas_refused[schema] = None
        while len(self._schemas_refused) > _SCHEMAS_REFUSED_MAX:
            self._schemas_refused.popitem(last=False)

    def _check_open(self) -> None:
        if self._closed:
            raise ProviderFault("shutdown", f"Model {self._name!r} was closed.", again=False)

    def _too_late(self) -> ProviderFault:
        return ProviderFault(
            "timeout", f"Model {self._name!r} did not finish its answer in time.", again=False
        )


def _decode(
    engine: Any, request: ChatRequest, schema: msgspec.Raw, generation: _Generation
) -> str | None:
    """Run the engine on one request; gives its reason when it refuses to."""
    body = _Body(
        messages=request.messages,
        max_tokens=MAX_TOKENS_DEFAULT if request.max_tokens is None else request.max_tokens,
        temperature=msgspec.UNSET if request.temperature is None else request.temperature,
        seed=msgspec.UNSET if request.seed is None else request.seed,
        response_format=(
            msgspec.UNSET if schema == NULL else _ResponseFormat(_NamedSchema(schema))
        ),
    )
    try:
        engine.handle_chat_completions(msgspec.json.encode(body), generation.take)
    except (RuntimeError, ValueError) as error:
        return str(error)
    return None if generation.error is None else generation.error.message


def _missing(public: str, *, hint: str = _INSTALL_HINT, internal: str = "") -> ProviderFault:
    return ProviderFault("model_missing", public, again=False, hint=hint, internal=internal)


def _cpus() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
