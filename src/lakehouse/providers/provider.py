"""The seam between `chatd` and a model backend, and what the settings of every provider share.

A provider is one module: its settings with their checks, and how it is built from them.

A provider makes exactly one call per `complete`, with no retry of its own: the only retry loop of
the stack is in `chatd/service.py`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, TypedDict, Unpack

import msgspec

from lakehouse.core.chat import (
    ChatReply,
    ChatRequest,
    History,
    ModelName,
    ModelState,
    ModelStatus,
    Sampling,
    SchemaLimits,
)
from lakehouse.core.errors import InfraCode, InfraError
from lakehouse.core.limits import (
    CALL_SLOTS_DEFAULT,
    CONNECT_TIMEOUT_MS_DEFAULT,
    FIRST_BYTE_TIMEOUT_MS_REMOTE,
    IDLE_TIMEOUT_MS_DEFAULT,
    LOAD_BUDGET_MS_DEFAULT,
)

if TYPE_CHECKING:  # a configuration is read without an HTTP client where no model needs one
    from lakehouse.providers.model_clients import ModelClients


class Surroundings(msgspec.Struct, frozen=True):
    """What a provider needs besides its settings.

    `source` is the configuration's name in messages; paths of settings are relative to `base`.
    """

    source: str
    base: Path
    environment: Mapping[str, str]
    clients: "ModelClients"


class ModelSettings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="provider"
):
    """`[models.NAME]`: what every provider has; its own settings and defaults follow below.

    `preload` starts loading when the daemon starts. `slots` limits concurrent calls, 64 by default.
    `history` is what a later attempt sees of the earlier ones; a kind's own setting takes
    precedence. `reasoning_marks` are pairs of an opening and a closing mark around this model's
    reasoning, in addition to the known ones. `temperature`, `top_p`, `max_tokens`, `seed` and
    `stop` apply where neither a request nor a kind sets them. `enum_values_max` lowers the limit on
    the values of a schema that is narrowed to values of tables; a longer list is put into the
    prompt instead.
    """

    # A provider is a subclass with its name as the tag, and a line of `registry.py`.
    EMBEDDED: ClassVar[bool] = False  # it runs in memory of its daemon, once for all workers
    PATHS: ClassVar[tuple[str, ...]] = ()  # its settings that are paths of this machine
    INSTEAD: ClassVar[Mapping[str, str]] = {}  # of settings that only others have: what to write
    DECODING: ClassVar[SchemaLimits | None] = None  # what it decodes under; None: nothing

    model: str
    preload: bool = False
    slots: int | None = None
    connect_timeout_ms: int = CONNECT_TIMEOUT_MS_DEFAULT
    load_timeout_ms: int = LOAD_BUDGET_MS_DEFAULT
    first_byte_timeout_ms: int = FIRST_BYTE_TIMEOUT_MS_REMOTE
    idle_timeout_ms: int = IDLE_TIMEOUT_MS_DEFAULT
    history: History | None = None
    reasoning_marks: tuple[tuple[str, str], ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] | None = None
    enum_values_max: int | None = None

    @property
    def provider(self) -> str:
        """The provider's name."""
        return name_of(type(self))

    @property
    def address(self) -> str | None:
        """The address of the model, for messages; None: this machine."""
        return None

    def sampling(self) -> Sampling:
        """Return its default sampling."""
        return Sampling.of(self)

    def named(self, alias: str) -> ModelName:
        """Return what sessions need to know about the model, under its alias."""
        return ModelName(
            alias,
            self.model,
            self.provider,
            self.history,
            self.reasoning_marks,
            self.sampling(),
            self.decoding(),
        )

    def decoding(self) -> SchemaLimits | None:
        """Return the schemas that the model decodes under; None: it does not."""
        limits, most = self.DECODING, self.enum_values_max
        if limits is None or most is None:
            return limits
        if limits.values_max is not None:
            most = min(most, limits.values_max)
        return msgspec.structs.replace(limits, values_max=most)

    def call_slots(self) -> int:
        """Return the limit of concurrent calls."""
        return CALL_SLOTS_DEFAULT if self.slots is None else self.slots

    def faults(self) -> Iterator[tuple[str, str]]:
        """Find invalid settings; returns the setting and what is wrong with it."""
        yield from ()

    def secret_variables(self) -> Iterator[str]:
        """List the environment variables whose values must never be shown."""
        yield from ()

    def open(self, name: str, around: Surroundings) -> "Provider":
        """Build the provider of the model `name`; makes no call yet.

        Raises:
            SetupError: Something that the settings name is missing or unusable.
        """
        raise NotImplementedError

    def readiness(self) -> str | None:
        """Return what `ready` means for a model that this process does not load, or None."""
        return None

    def unfit(self) -> str | None:
        """Return why it is for trying things out and not for production, or None."""
        return None

    @staticmethod
    def fix(status: ModelStatus) -> str:
        """Return how to fix a model's state; empty if nothing needs fixing."""
        if status.state == "missing":
            return f"serve {status.model!r} at its endpoint, or correct models.{status.name}.model"
        if status.state == "unreachable":
            return f"start the endpoint, or correct models.{status.name}.base_url"
        return ""


def name_of(settings: type[ModelSettings]) -> str:
    """Return the name that `provider` has for a settings type."""
    return str(settings.__struct_config__.tag)


class FaultWords(TypedDict, total=False):
    """Details of a fault beside its message; see `InfraError`."""

    hint: str
    internal: str
    retryable: bool | None
    retry_after_s: float | None


class ProviderFault(InfraError):
    """One failed call. `again` says whether the retry loop may try it again.

    `transport` marks faults on the way to the model, which open the breaker, unlike answers of the
    endpoint such as a status.
    """

    def __init__(
        self,
        code: InfraCode,
        public: str,
        *,
        again: bool,
        transport: bool = False,
        **told: Unpack[FaultWords],
    ) -> None:
        super().__init__(code, public, **told)
        self.again = again
        self.transport = transport


def too_slow(model: str, settings: ModelSettings, *, internal: str = "") -> ProviderFault:
    """Build the fault of a model that did not load within its `load_timeout_ms`."""
    return ProviderFault(
        "model_loading",
        f"Model {model!r} did not load within {settings.load_timeout_ms} ms.",
        again=False,
        hint="Raise load_timeout_ms of the model, or use a smaller one.",
        internal=internal,
    )


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

        Runs in its own task, which no caller's deadline cancels: aborting a load throws away its
        work (and with Ollama restarts it). Bounded by `load_timeout_ms`.

        Raises:
            ProviderFault: `model_missing`, `connect`, `model_loading` (did not finish), ….
        """
        ...

    async def state(self) -> tuple[ModelState, str | None]:
        """Return the model's state and a detail for messages, within 2 s, without calling it.

        Never raises.
        """
        ...

    async def close(self) -> None: ...
