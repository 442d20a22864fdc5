"""The embedded model: llama.cpp on this machine, with the package xllamacpp.

Each slot is an engine in its own process, with one of our threads, so slots never wait for each
other, and neither a load nor a crash of llama.cpp affects the daemon. It opens no port and prints
nothing. A schema that the engine cannot decode under is left out of the call, since every answer is
validated anyway; one that is narrowed to values of tables first, for the values in the prompt.

Determinism: the same seed, temperature and messages give the same text on the same machine when an
engine is asked for the first time; afterwards it reuses what it has of the prompt in its cache, and
sums of floats in another order may tip a close decision.
"""

import asyncio
import importlib.util
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import ClassVar, Final

from msgspec.structs import replace

from lakehouse.core.chat import (
    ChatReply,
    ChatRequest,
    ModelState,
    ModelStatus,
    OfferMode,
    SchemaLimits,
    Usage,
)
from lakehouse.core.conversation import offered_turns
from lakehouse.core.installed import extra_hint
from lakehouse.core.json_text import NULL
from lakehouse.core.limits import CONTEXT_TOKENS_MAX, FIRST_BYTE_TIMEOUT_MS_LOCAL
from lakehouse.core.wording import range_fault
from lakehouse.process.cpus import usable_cpus
from lakehouse.providers.finish_word import finish_reason
from lakehouse.providers.llama_engine import (
    EngineAnswer,
    EngineEnded,
    Generation,
    LlamaEngine,
)
from lakehouse.providers.narrowed_size import NarrowedSize
from lakehouse.providers.provider import ModelSettings, ProviderFault, Surroundings, too_slow
from lakehouse.providers.weights import SMOLLM2, WEIGHTS, model_path

_NAME: Final = "llama_cpp"
_CONTEXT_TOKENS_DEFAULT: Final = 4096
_THREADS_MAX: Final = 8  # of one engine; the models this is meant for gain nothing from more
_SCHEMAS_REFUSED_MAX: Final = 256  # remembered, so that each is tried once
_STOP_S: Final = 10.0  # for engines to notice at `close` that they are to stop
_GGUF_MAGIC: Final = b"GGUF"

_PULL_HINT: Final = "Run `lakehouse models pull smollm2`."
_INSTALL_HINT: Final = extra_hint("local")


class LlamaCppSettings(ModelSettings, frozen=True, kw_only=True, tag=_NAME):
    """`model` is a known name or the path of a GGUF file.

    `context_tokens` is the size of its context. Each of the `slots` is a process with weights of
    its own: by default 2 for the known model, 1 for a file.
    """

    # Measured with SmolLM2 (135M) and an answer of two members: 200 values of one member slow it
    # down by a tenth, 1,000 by half, 2,000 double its time; 200 rows of both (33 kB) double it, 500
    # take six times as long. Schemas many times larger still bind: the limits are about time alone.
    EMBEDDED: ClassVar[bool] = True
    DECODING: ClassVar[SchemaLimits | None] = SchemaLimits(values_max=1_000, bytes_max=48 << 10)

    preload: bool = True
    first_byte_timeout_ms: int = FIRST_BYTE_TIMEOUT_MS_LOCAL
    context_tokens: int | None = None

    def call_slots(self) -> int:
        """Return the answers at once in force."""
        if self.slots is not None:
            return self.slots
        return 1 if self.model.endswith(".gguf") else 2

    def faults(self) -> Iterator[tuple[str, str]]:
        """Check the size of the context."""
        fault = range_fault(self.context_tokens, 1, CONTEXT_TOKENS_MAX)
        if fault is not None:
            yield "context_tokens", fault

    def open(self, name: str, around: Surroundings) -> "LlamaCppProvider":  # noqa: ARG002  nothing else
        """Make the provider."""
        return LlamaCppProvider(name, self)

    def readiness(self) -> str | None:
        """Return when it is loaded: by a daemon only."""
        when = "when it starts" if self.preload else "at its first call"
        return f"its weights are downloaded; a daemon loads it {when}"

    def unfit(self) -> str | None:
        return f"{SMOLLM2} is the demo's, of 135 M parameters" if self.model == SMOLLM2 else None

    @staticmethod
    def fix(status: ModelStatus) -> str:
        """Return where weights come from."""
        if status.state == "missing":
            return "lakehouse models pull smollm2, or give the path of a GGUF file"
        return ModelSettings.fix(status)


class LlamaCppProvider:
    """One GGUF model on this machine, `slots` answers at once.

    `settings.model` is a known name or the path of a GGUF file. A call whose caller goes away
    stops at its next token; while it still reads its prompt it keeps its engine busy until then.
    An engine whose process dies is replaced by the next `load`.
    """

    def __init__(self, name: str, settings: LlamaCppSettings) -> None:
        """Load nothing yet; `load` starts the processes."""
        self._name = name
        self._settings = settings
        self._sampling = settings.sampling()
        self._slots = settings.call_slots()
        self._threads = ThreadPoolExecutor(self._slots, thread_name_prefix=f"llama-{name}")
        # As many engines as threads: while all live, a thread never waits for one.
        self._engines: SimpleQueue[LlamaEngine] = SimpleQueue()
        self._live: set[LlamaEngine] = set()
        self._loading: set[LlamaEngine] = set()
        self._opening: list[Future[ProviderFault | None]] = []
        self._running: set[Generation] = set()
        self._schemas_refused: OrderedDict[bytes, None] = OrderedDict()
        self._narrowed = NarrowedSize(name, time.monotonic)
        self._closed = False

    async def complete(
        self,
        request: ChatRequest,
        *,
        trace: Mapping[str, str],  # noqa: ARG002 - nothing to send it to: the model is in here
        deadline_ms: int,
    ) -> ChatReply:
        """Generate one answer, under the request's schema where the engine can.

        Without `max_tokens` at most `MAX_TOKENS_DEFAULT` are generated.

        Raises:
            ProviderFault: `timeout`; `upstream_status` for a prompt that the engine refuses, such
                as one longer than the context; `connect` when its process died; `model_loading`
                before `load`.
        """
        self._check_open()
        if len(self._live) < self._slots:
            raise ProviderFault(
                "model_loading", f"Model {self._name!r} is not loaded.", again=False
            )
        generation = Generation(deadline_ms)
        self._running.add(generation)
        request = request.with_defaults(self._sampling)
        answer = asyncio.wrap_future(self._threads.submit(self._generate, request, generation))
        first_ms = min(deadline_ms, self._settings.first_byte_timeout_ms)
        try:
            done, _ = await asyncio.wait({answer}, timeout=first_ms / 1000)
            if not done and generation.began:
                await asyncio.wait({answer}, timeout=(deadline_ms - first_ms) / 1000)
            if not answer.done():
                self._check_open()
                raise self._too_late()
            return answer.result()
        finally:
            self._running.discard(generation)
            if answer.done():
                answer.exception()  # Marks it as seen, where the caller went away right now.
            else:
                generation.stop()
                # Drops the call where it still waits for a thread, and its result where not.
                answer.cancel()

    async def load(self) -> None:
        """Start the engines that are missing, all at once; joins a start that is under way.

        Raises:
            ProviderFault: `model_missing`: no weights, no engine, or not a model; `model_loading`:
                not done within `load_timeout_ms`, goes on.
        """
        self._check_open()
        lost = self._slots - len(self._live)
        if lost == 0:
            return
        if not self._opening:
            path = self._weights()
            self._opening = [self._threads.submit(self._open, path) for _ in range(lost)]
        engines = {asyncio.wrap_future(future) for future in self._opening}
        _, pending = await asyncio.wait(engines, timeout=self._settings.load_timeout_ms / 1000)
        if pending:
            raise too_slow(self._name, self._settings)
        self._opening = []
        fault = next((fault for engine in engines if (fault := engine.result())), None)
        if fault is not None:
            raise fault

    async def state(self) -> tuple[ModelState, str | None]:
        """Return whether the model is loaded, loading, or cannot be loaded."""
        if len(self._live) == self._slots:
            return "ready", None
        if self._opening:
            return "loading", None
        try:
            self._weights()
        except ProviderFault as fault:
            return "missing", f"{fault.public} {fault.hint}"
        return "ready", "is loaded at its first call"

    async def close(self) -> None:
        """Stop the answers under way and free the engines; waits up to 10 s for that."""
        self._closed = True
        for generation in self._running:
            generation.stop()
        for engine in tuple(self._loading):
            engine.kill()
        closing = asyncio.get_running_loop().run_in_executor(None, self._shut_down)
        done, _ = await asyncio.wait({closing}, timeout=_STOP_S)
        if not done:
            for engine in (*self._live, *self._loading):
                engine.kill()
            await closing

    def _shut_down(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        while self._live:
            self._live.pop().close()

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
                hint="Correct the path of the GGUF file, or use the model that can be downloaded: "
                "`lakehouse models pull smollm2`.",
            )
        return path

    def _open(self, path: Path) -> ProviderFault | None:
        """Start one engine; gives what went wrong. Runs in a thread of ours."""
        # The threads of one engine spin while they wait for each other: with as many as there are
        # processors, one busy neighbour slows the whole answer down tenfold and more.
        threads = max(1, min(_THREADS_MAX, usable_cpus() // 2 // self._slots))
        context_tokens = self._settings.context_tokens or _CONTEXT_TOKENS_DEFAULT
        try:
            with path.open("rb") as file:
                if file.read(len(_GGUF_MAGIC)) != _GGUF_MAGIC:
                    return _missing(f"{path} is not a GGUF file.", hint="Correct the path.")
            engine = LlamaEngine(path, context_tokens=context_tokens, threads=threads)
        except OSError as error:
            return _broken(path, error)
        self._loading.add(engine)
        try:
            engine.wait_loaded()
        except EngineEnded as error:
            engine.close()
            return _broken(path, error)
        finally:
            self._loading.discard(engine)
        self._live.add(engine)
        self._engines.put(engine)
        return None

    def _generate(self, request: ChatRequest, generation: Generation) -> ChatReply:
        """Make one answer. Runs in a thread of ours."""
        try:
            engine = self._engines.get(timeout=generation.left_ms() / 1000)
        except Empty:
            raise self._too_late() from None
        try:
            answer, offered = self._ask(engine, request, generation)
        except EngineEnded as error:
            self._live.discard(engine)
            engine.close()
            raise ProviderFault(
                "connect",
                f"The process of model {self._name!r} ended in the middle of an answer.",
                again=True,
                transport=True,
                hint="Check the system's log: it may have run out of memory. Then retry.",
                internal=f"{self._name}: {error}",
            ) from error
        self._engines.put(engine)
        return self._reply(answer, offered)

    def _ask(
        self, engine: LlamaEngine, request: ChatRequest, generation: Generation
    ) -> tuple[EngineAnswer, OfferMode | None]:
        """Ask under the narrowest schema that the engine takes, without one if it takes none."""
        reason, refused = "", NULL
        for asked, offered in self._ways(request):
            answer = generation.ask(engine, asked)
            if answer.error is None and refused != NULL and not answer.stopped:
                self._learn(request, asked, reason)
            if answer.error is None or answer.stopped:
                return answer, offered
            reason, refused = answer.error, asked.schema
        return answer, None

    def _ways(self, request: ChatRequest) -> Iterator[tuple[ChatRequest, OfferMode | None]]:
        """List what to ask and how it offers the values, the best first; the last adds nothing."""
        offer, schema = request.offer, request.schema
        if bytes(schema) in self._schemas_refused:
            schema = NULL
        modes: tuple[OfferMode | None, ...] = (None,)
        if offer is not None:
            if NULL not in (schema, offer.schema) and self._narrowed.takes(offer.schema):
                messages = offered_turns(request, "decode")
                yield replace(request, schema=offer.schema, messages=messages), "decode"
            if offer.text("hint"):
                modes = ("hint", None)
        for mode in modes:
            messages = offered_turns(request, mode)
            yield replace(request, schema=schema, messages=messages), mode
            if schema != NULL:
                yield replace(request, schema=NULL, messages=messages), mode

    def _reply(self, answer: EngineAnswer, offered: OfferMode | None) -> ChatReply:
        if answer.stopped:
            self._check_open()
            raise self._too_late()
        if answer.error is not None:
            raise ProviderFault(
                "upstream_status",
                f"Model {self._name!r} refused the call: {answer.error}",
                again=False,
                hint="Shorten the prompt, or raise context_tokens of the model.",
            )
        if answer.finish is None:
            raise ProviderFault(
                "upstream_malformed",
                f"Model {self._name!r} stopped in the middle of its answer.",
                again=False,
                hint="Retry; if it happens again, download its weights again: `lakehouse models "
                "pull`.",
            )
        return ChatReply(
            text=answer.text,
            thinking=answer.thinking or None,
            finish_reason=finish_reason(answer.finish),
            usage=answer.usage or Usage(),
            model=self._settings.model,
            provider=_NAME,
            offered=offered,
        )

    def _learn(self, request: ChatRequest, asked: ChatRequest, reason: str) -> None:
        """Remember the schema that was refused just before this call was answered."""
        if asked.schema == NULL:
            self._schemas_refused[bytes(request.schema)] = None
            while len(self._schemas_refused) > _SCHEMAS_REFUSED_MAX:
                self._schemas_refused.popitem(last=False)
        elif request.offer is not None:
            self._narrowed.refused(request.offer.schema, reason, sure=True)

    def _check_open(self) -> None:
        if self._closed:
            raise ProviderFault("shutdown", f"Model {self._name!r} was closed.", again=False)

    def _too_late(self) -> ProviderFault:
        return ProviderFault(
            "timeout",
            f"Model {self._name!r} did not finish its answer in time.",
            again=False,
            hint="Raise deadline_ms, lower max_tokens, or use a smaller model.",
        )


def _broken(path: Path, error: Exception) -> ProviderFault:
    return _missing(
        f"{path} could not be loaded as a model.",
        hint="Check that the file is complete, that llama.cpp supports it, and that there is "
        "enough memory for it.",
        internal=f"{path}: {error}",
    )


def _missing(public: str, *, hint: str = _INSTALL_HINT, internal: str = "") -> ProviderFault:
    return ProviderFault("model_missing", public, again=False, hint=hint, internal=internal)
