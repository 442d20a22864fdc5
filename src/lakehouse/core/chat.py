"""Requests to a model, and its replies."""

from typing import Any, Final, Literal

import msgspec

from lakehouse.core.json_text import Int64, null
from lakehouse.core.words import Word

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "content_filter", "tool_calls", "other"]
"""The reasons that this version writes; a reader of rows accepts any `Word`."""
# What a later attempt sees of the earlier ones. `findings`: what was wrong with the last answer.
# `answer_and_findings`: that answer too, as the model's own turn. `full`: every answer so far,
# each followed by what was wrong with it.
History = Literal["findings", "answer_and_findings", "full"]
ModelState = Literal["ready", "loading", "missing", "unreachable"]
OfferMode = Literal["decode", "hint"]
"""How values of tables reached a model: in the schema it decoded under, or in the prompt."""


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One turn of a conversation."""

    role: Role
    content: str


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one model call, or their sum; null if the provider does not report them."""

    prompt_tokens: Int64 | None = None
    completion_tokens: Int64 | None = None

    def __add__(self, other: "Usage") -> "Usage":
        """Sum member by member; an unknown part makes the sum unknown."""
        return Usage(
            _sum(self.prompt_tokens, other.prompt_tokens),
            _sum(self.completion_tokens, other.completion_tokens),
        )


class Sampling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model samples its tokens; None leaves it to the model."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: Int64 | None = None
    seed: Int64 | None = None
    stop: tuple[str, ...] | None = None

    @classmethod
    def of(cls, settings: msgspec.Struct) -> "Sampling":
        """Read the sampling from the settings of a model or a kind."""
        return cls(**{name: getattr(settings, name) for name in cls.__struct_fields__})

    def over(self, other: "Sampling") -> "Sampling":
        """Return these values, with unset ones taken from `other`."""
        set_here = {name: value for name in _SAMPLING if (value := getattr(self, name)) is not None}
        return msgspec.structs.replace(other, **set_here)

    def members(self, tokens_field: str) -> dict[str, Any]:
        """Return the set values, for an endpoint that names the token limit `tokens_field`."""
        members: dict[str, Any] = {}
        if self.temperature is not None:
            members["temperature"] = self.temperature
        if self.top_p is not None:
            members["top_p"] = self.top_p
        if self.max_tokens is not None:
            members[tokens_field] = self.max_tokens
        if self.seed is not None:
            members["seed"] = self.seed
        if self.stop:  # an endpoint may refuse an empty list
            members["stop"] = self.stop
        return members


UNSAID: Final = Sampling()
_SAMPLING = Sampling.__struct_fields__


class SchemaLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The schemas that a model's decoder takes; None: no limit.

    `values_max` counts the values of every `enum` and `const` of a schema, `characters_max` those
    of their texts, `bytes_max` the schema's bytes, which its grammar grows with. Without
    `root_union` the root is no `anyOf`, as OpenAI's strict mode wants it.
    """

    values_max: int | None = None
    characters_max: int | None = None
    bytes_max: int | None = None
    root_union: bool = True


class Offer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values of tables for one call, beside its own schema.

    `schema` is the call's schema narrowed to values, or raw `null`. `hint` is the text that names
    the same values where the model does not decode under `schema`; `beside` names others, and goes
    into the prompt either way.
    """

    schema: msgspec.Raw
    hint: str = ""
    beside: str = ""

    def text(self, mode: OfferMode | None) -> str:
        """Return what the prompt says of the values, by how they are offered; may be empty."""
        texts = {"decode": (self.beside,), "hint": (self.beside, self.hint)}.get(mode or "", ())
        return "\n".join(filter(None, texts))


class ChatRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model call: the body of `POST /v1/chat`.

    `model` is an alias. `schema` is a JSON Schema to constrain decoding, where supported, or raw
    `null`; the answer is checked in any case. `temperature` is a JSON number as received.
    `fallback` is the sampling before Lakehouse changed it: if an endpoint rejects a changed value,
    the one in `fallback` is used instead. `offer` are values of tables; None: there are none.
    """

    model: str
    messages: tuple[Message, ...]
    schema: msgspec.Raw = msgspec.field(default_factory=null)
    temperature: float | None = None
    max_tokens: Int64 | None = None
    seed: Int64 | None = None
    top_p: float | None = None
    stop: tuple[str, ...] | None = None
    fallback: Sampling | None = None
    offer: Offer | None = None

    def with_defaults(self, defaults: Sampling) -> "ChatRequest":
        if defaults == UNSAID:
            return self
        return msgspec.structs.replace(self, **msgspec.structs.asdict(self.sampling.over(defaults)))

    @property
    def sampling(self) -> Sampling:
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            seed=self.seed,
            stop=self.stop,
        )


class ChatReply(msgspec.Struct, frozen=True):
    """One model answer: the reply of `POST /v1/chat`.

    `text` includes thinking blocks that the model wrote into its answer; `thinking` has only what
    the provider reports separately. A refusal by the provider is `finish_reason` `content_filter`.
    The reason is a `FinishReason`, or one of a later version of `chatd`. `text` is valid Unicode:
    lone surrogates have become U+FFFD. `load_ms` is how long the call waited for the model to load;
    that time does not count against a session's deadline. `offered` says how the request's `offer`
    reached the model; null: not at all.
    """

    text: str
    thinking: str | None
    finish_reason: Word
    usage: Usage
    model: str
    provider: str
    load_ms: int = 0
    offered: OfferMode | None = None


class CallLimits(msgspec.Struct, frozen=True):
    """The time left for one model call, retries included.

    `deadline_ms` runs only while no model loads; `load_budget_ms` only while one does.
    """

    deadline_ms: int
    load_budget_ms: int


class ModelName(msgspec.Struct, frozen=True):
    """One configured model: our alias, the provider's name for it, and the provider.

    `history` is what its later attempts see of the earlier ones; None is the default.
    `reasoning_marks` are pairs that its answers may contain in addition to the known ones.
    `sampling` applies where neither a request nor a kind sets a value. `decoding` are the schemas
    that it decodes under; None: it does not.
    """

    name: str
    model: str
    provider: str
    history: History | None = None
    reasoning_marks: tuple[tuple[str, str], ...] = ()
    sampling: Sampling = Sampling()
    decoding: SchemaLimits | None = None


class ModelStatus(msgspec.Struct, frozen=True):
    """One configured model and its state: an entry of `GET /v1/models`."""

    name: str
    model: str
    provider: str
    state: ModelState
    detail: str | None = None


def _sum(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else left + right
